"""A checkpoint's config.json as typed, frozen data; every key that is used is read here."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from engines.config import CardConfig, PreprocessConfig
from engines.errors import CheckpointError
from export.keys import Keys
from export.reference.audio_tower import AudioTowerConfig
from export.reference.decoder import DecoderConfig
from export.reference.projector import PROJECTOR_TYPES, SAMPLERS
from export.reference.vision_tower import VisionTowerConfig
from export.tower_config import read_preprocess, read_vision

# model_type to the kind of decoder; the bare name is treated as Mistral, as upstream does.
DECODER_KINDS = {
    "videollama2": "mistral",
    "videollama2_mistral": "mistral",
    "videollama2_mixtral": "mixtral",
    "videollama2_qwen2": "qwen2",
}
# Room for one patch of the filter bank, and no more than the runtime accepts in a manifest.
LEAST_WINDOW_S, MOST_WINDOW_S = 0.2, 600
MOST_FRAMES = 128
# Where config.json is silent, transformers' own defaults count; Mixtral has others than the rest.
NORM_EPS = {"mixtral": 1e-5}
ROPE_THETA = {"mixtral": 1e6}
WINDOWED, WHOLE = "sliding_attention", "full_attention"


@dataclass(frozen=True)
class SoundConfig:
    """The audio side of an audio-visual checkpoint."""

    tower: AudioTowerConfig
    hidden_size: int  # `mm_hidden_size_a`, width of the tower's features
    window_s: float  # sound one pass of the tower hears; `vl2_audio_window_s`, else 30
    clip_duration_s: float  # one of the reference's snippets; `vl2_audio_clip_duration_s`, else 2


@dataclass(frozen=True)
class ModelConfig:
    """Everything the export takes from a checkpoint's configuration files."""

    model_type: str
    kind: str  # mistral, mixtral or qwen2
    decoder: DecoderConfig
    tie_word_embeddings: bool
    vision: VisionTowerConfig
    preprocess: PreprocessConfig
    projector_type: str
    num_frames: int
    sound: SoundConfig | None
    card: CardConfig
    name: str | None  # `vl2_name`


def decoder_kind(keys: Keys) -> str:
    """Return which decoder config.json is of: mistral, mixtral or qwen2.

    Raises:
        CheckpointError: of none of them.
    """
    model_type = keys.text("model_type")
    if model_type not in DECODER_KINDS:
        raise CheckpointError(
            f"{keys.path} is of model_type {model_type!r}, which is not supported; give a"
            f" checkpoint of type {', '.join(sorted(DECODER_KINDS))}."
        )
    return DECODER_KINDS[model_type]


def read_config(
    keys: Keys, tower: tuple[Path | None, Keys], beats_cfg: Mapping[str, Any] | None
) -> ModelConfig:
    """Read config.json and the tower's configuration.

    Args:
        keys: The checkpoint's config.json.
        tower: Folder and configuration of its vision tower.
        beats_cfg: `cfg` of the audio tower's `.pt` file, if there is one.

    Raises:
        CheckpointError: a key is missing, or asks for something that is not supported.
    """
    kind = decoder_kind(keys)
    vision_folder, tower_keys = tower
    projector_type = keys.text("mm_projector_type")
    if projector_type not in PROJECTOR_TYPES:
        raise CheckpointError(
            f"{keys.path} asks for the projector {projector_type!r}, which is not supported; the"
            f" supported ones are {', '.join(PROJECTOR_TYPES)}."
        )
    vision = read_vision(tower_keys, keys)
    decoder = _decoder(kind, keys)
    sampler = SAMPLERS.get(projector_type)
    if sampler and not sampler.staged and vision.hidden_size != decoder.hidden_size:
        raise CheckpointError(
            f"{keys.path} asks for the projector {projector_type}, which exists only where the"
            f" vision tower is as wide as the decoder ({vision.hidden_size} and"
            f" {decoder.hidden_size} here); give a checkpoint with an STC connector."
        )
    if keys.integer("num_frames", 8) > MOST_FRAMES:
        raise keys.bad("num_frames", f"at most {MOST_FRAMES}")
    return ModelConfig(
        model_type=keys.text("model_type"),
        kind=kind,
        decoder=decoder,
        tie_word_embeddings=bool(keys.data.get("tie_word_embeddings", False)),
        vision=vision,
        preprocess=read_preprocess(vision_folder, vision),
        projector_type=projector_type,
        num_frames=keys.integer("num_frames", 8),
        sound=_sound(keys, beats_cfg),
        card=_card(keys),
        name=keys.text("vl2_name") if "vl2_name" in keys.data else None,
    )


def _card(keys: Keys) -> CardConfig:
    card = keys.data.get("vl2_card", {})
    questions = card.get("suggested_questions", []) if isinstance(card, dict) else None
    if not isinstance(questions, list):
        raise keys.bad("vl2_card", "an object with a list of suggested_questions")
    return CardConfig(
        str(card.get("description", "")),
        str(card.get("world", "")),
        tuple(str(question) for question in questions),
    )


def _decoder(kind: str, keys: Keys) -> DecoderConfig:
    heads, width = keys.integer("num_attention_heads"), keys.integer("hidden_size")
    head_dim = keys.integer("head_dim", max(width // heads, 1))
    kv_heads = keys.integer("num_key_value_heads", heads)
    if heads % kv_heads:
        raise keys.bad("num_key_value_heads", f"a divisor of the {heads} heads")
    experts = keys.integer("num_local_experts", 8) if kind == "mixtral" else 0
    chosen = keys.integer("num_experts_per_tok", 2)
    if 0 < experts < chosen:
        raise keys.bad("num_experts_per_tok", f"at most the {experts} experts")
    if keys.data.get("hidden_act", "silu") != "silu":
        raise keys.bad("hidden_act", "'silu'")
    layers = keys.integer("num_hidden_layers")
    return DecoderConfig(
        hidden_size=width,
        intermediate_size=keys.integer("intermediate_size"),
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=kv_heads,
        head_dim=head_dim,
        vocab_size=keys.integer("vocab_size"),
        max_position_embeddings=keys.integer("max_position_embeddings"),
        rms_norm_eps=keys.number("rms_norm_eps", NORM_EPS.get(kind, 1e-6)),
        rope_theta=_rope_theta(kind, keys),
        qkv_bias=kind == "qwen2",
        num_local_experts=experts,
        num_experts_per_tok=chosen,
        windows=_windows(kind, keys, layers),
    )


def _rope_theta(kind: str, keys: Keys) -> float:
    # transformers 5 moved the value into `rope_parameters`; both spellings are read.
    rope = keys.data.get("rope_parameters") or keys.data.get("rope_scaling") or {}
    if not isinstance(rope, dict) or rope.get("rope_type", rope.get("type", "default")) != (
        "default"
    ):
        raise keys.bad("rope_scaling", "absent: scaled rotary positions are not supported")
    own = Keys(rope, keys.path).number("rope_theta", ROPE_THETA.get(kind, 1e4))
    return keys.number("rope_theta", own)


def _windows(kind: str, keys: Keys, layers: int) -> tuple[int | None, ...]:
    window = keys.data.get("sliding_window")
    if window is None or (kind == "qwen2" and not keys.data.get("use_sliding_window", False)):
        return ()
    size = keys.integer("sliding_window")
    if size >= keys.integer("max_position_embeddings"):
        return ()
    # Qwen2 keeps its first layers whole.
    first = keys.data.get("max_window_layers", 0) if kind == "qwen2" else 0
    if not isinstance(first, int):
        raise keys.bad("max_window_layers", "a whole number")
    # transformers 5 says it layer by layer as well.
    types = keys.data.get("layer_types") or [
        WINDOWED if i >= first else WHOLE for i in range(layers)
    ]
    if not isinstance(types, list) or len(types) != layers or not {*types} <= {WINDOWED, WHOLE}:
        raise keys.bad("layer_types", f"{layers} times {WINDOWED!r} or {WHOLE!r}")
    return tuple(size if kind_of == WINDOWED else None for kind_of in types)


def _sound(keys: Keys, beats_cfg: Mapping[str, Any] | None) -> SoundConfig | None:
    if "mm_audio_tower" not in keys.data:
        return None
    if keys.data.get("mm_projector_a_type", "mlp2x_gelu") != "mlp2x_gelu":
        raise keys.bad("mm_projector_a_type", "'mlp2x_gelu'")
    own = keys.data.get("beats_config") or {}
    if not isinstance(own, dict):
        raise keys.bad("beats_config", "an object")
    given = {**own, **(beats_cfg or {})}
    known = {f.name for f in fields(AudioTowerConfig)}
    if given.get("layer_norm_first", False):
        raise keys.bad("beats_config", "a post-norm BEATs, as all published ones are")
    try:
        settings: dict[str, Any] = {k: _int_or_bool(v, k) for k, v in given.items() if k in known}
        tower = AudioTowerConfig(**settings)
    except (TypeError, ValueError) as error:
        raise CheckpointError(
            f"The audio tower's configuration for {keys.path} is malformed ({error}); use the"
            " checkpoint's own."
        ) from error
    window_s = keys.number("vl2_audio_window_s", 30.0)
    if not LEAST_WINDOW_S <= window_s <= MOST_WINDOW_S:
        raise keys.bad("vl2_audio_window_s", f"{LEAST_WINDOW_S} to {MOST_WINDOW_S} seconds")
    return SoundConfig(
        tower=tower,
        hidden_size=keys.integer("mm_hidden_size_a", tower.encoder_embed_dim),
        window_s=window_s,
        clip_duration_s=keys.number("vl2_audio_clip_duration_s", min(2.0, window_s / 8)),
    )


def _int_or_bool(value: Any, name: str) -> int | bool:
    """Return a BEATs setting as the int or bool it must be."""
    default = getattr(AudioTowerConfig, name)
    if isinstance(default, bool):
        return bool(value)
    if int(value) < 1:
        raise ValueError(f"{name} is {value}")
    return int(value)

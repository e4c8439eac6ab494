"""What a bundle says about itself, and what a caller may ask of a clip: plain frozen data.

The manifest (docs/bundle-format.md) is untrusted input: `parse_manifest` checks every key and every
type against the dataclasses below and refuses what it does not know how to read.
"""

import dataclasses
import json
import os
import types
import typing
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, TypeVar

from engines.errors import BundleError

FORMAT_VERSION = 1
MAX_MANIFEST_BYTES = 8 << 20
MAX_SAID = 300

SoundMode = Literal["on", "off", "only"]
AudioWindow = Literal["cover", "reference"]


@dataclass(frozen=True)
class SourceConfig:
    """Where the weights came from."""

    checkpoint: str
    sha256: str
    model_type: str


@dataclass(frozen=True)
class CalibrationConfig:
    """What GPTQ was calibrated on: conversations, tokens by kind, how much each kind counted."""

    conversations: int
    tokens: dict[str, int]
    weights: str


@dataclass(frozen=True)
class QuantisationConfig:
    """How the decoder's linear layers are stored; `head` is the output matrix of an int4 bundle."""

    scheme: Literal["fp32", "fp16", "int4"]
    method: str
    group_size: int | None
    head: str | None = None
    calibration: CalibrationConfig | None = None


@dataclass(frozen=True)
class PreprocessConfig:
    """The pixel pipeline of the tower's image processor (preprocessor_config.json).

    `resize` is "shortest_edge" (CLIP: keep the aspect ratio, then crop the centre) or "squash"
    (SigLIP: both sides to `size`). Bicubic, PIL semantics.
    """

    resize: Literal["shortest_edge", "squash"]
    size: int
    crop: int | None
    image_mean: tuple[float, ...]
    image_std: tuple[float, ...]
    rescale_factor: float


@dataclass(frozen=True)
class VisionConfig:
    """Vision tower and connector: `num_frames` frames of `tokens_per_frame` patches each.

    `min_frames` is the least number of frames the connector takes (2 for stc_connector_v35).
    """

    image_size: int
    patch_size: int
    hidden_size: int
    num_frames: int
    tokens_per_frame: int
    min_frames: int
    projector_type: str
    preprocess: PreprocessConfig


@dataclass(frozen=True)
class AudioConfig:
    """Audio tower: one window of `window_s` seconds gives `tokens_per_window` tokens.

    `clip_duration_s` x `clips_per_video` are the snippets that the reference glues together from a
    video's sound; they are used only when the reference's way is asked for.
    """

    num_mel_bins: int
    sample_rate: int
    window_s: float
    clip_duration_s: float
    clips_per_video: int
    tokens_per_window: int
    max_windows: int
    fbank_bf16: bool


@dataclass(frozen=True)
class DecoderConfig:
    """Geometry of the language decoder (the checkpoint's config.json)."""

    hidden_size: int
    num_hidden_layers: int
    num_attention_heads: int
    num_key_value_heads: int
    head_dim: int
    vocab_size: int
    max_position_embeddings: int
    eos_token_ids: tuple[int, ...]


@dataclass(frozen=True)
class PromptConfig:
    """The checkpoint's chat template (jinja2) and the special tokens it may name."""

    chat_template: str
    system_prompt: str | None
    special_tokens: dict[str, str]
    pad_token_id: int | None


@dataclass(frozen=True)
class GenerationConfig:
    """Sampling defaults (the checkpoint's generation_config.json)."""

    do_sample: bool
    temperature: float
    top_p: float
    top_k: int
    repetition_penalty: float


@dataclass(frozen=True)
class GraphConfig:
    """One ONNX file; `inputs` and `outputs` map a name to (dtype, shape); a str is a free axis."""

    file: str
    inputs: dict[str, tuple[str, tuple[int | str, ...]]]
    outputs: dict[str, tuple[str, tuple[int | str, ...]]]


@dataclass(frozen=True)
class FileConfig:
    """Size in bytes and SHA-256 (hex) of one file of the bundle."""

    size: int
    sha256: str


@dataclass(frozen=True)
class SelftestConfig:
    """Stored inputs and reference outputs, and the tolerance per graph (share of the largest)."""

    file: str
    tolerances: dict[str, float]


@dataclass(frozen=True)
class VerificationRow:
    """What the export measured of one graph against the torch reference."""

    graph: str
    max_abs: float
    max_rel: float
    tolerance: float
    input: str


@dataclass(frozen=True)
class AccuracyRow:
    """How far one decoder graph is from the unrounded model, measured through the runtime.

    Attributes:
        graph: "decoder" or "decoder_exact".
        perplexity: Of the recorded answers; `reference_perplexity` is the unrounded model's.
        kl_divergence: From the unrounded model's next-token distribution, nats a token.
        same_choice: Share of tokens where both have the same first choice, or the unrounded model
            finds this one's choice as good.
        same_answers: Share of questions answered as the unrounded model would.
    """

    graph: str
    perplexity: float
    reference_perplexity: float
    kl_divergence: float
    same_choice: float
    same_answers: float


@dataclass(frozen=True)
class AccuracyConfig:
    """What rounding costs, on the questions in `file` about the clips beside it.

    `limits` are those it was published under; `accepted_loss` says that it was published outside.
    """

    file: str
    questions: int
    tokens: int
    limits: dict[str, float]
    rows: tuple[AccuracyRow, ...]
    accepted_loss: bool = False


@dataclass(frozen=True)
class CardConfig:
    """What a person should know about the model."""

    description: str = ""
    world: str = ""
    suggested_questions: tuple[str, ...] = ()


@dataclass(frozen=True)
class BundleConfig:
    """The whole manifest. Raises BundleError (through `parse_manifest`) when it is not one."""

    format_version: int
    name: str
    created_by: str
    source: SourceConfig
    quantisation: QuantisationConfig
    vision: VisionConfig
    audio: AudioConfig | None
    decoder: DecoderConfig
    prompt: PromptConfig
    generation: GenerationConfig
    graphs: dict[str, GraphConfig]
    files: dict[str, FileConfig]
    selftest: SelftestConfig
    verification: tuple[VerificationRow, ...]
    card: CardConfig = field(default_factory=CardConfig)
    accuracy: AccuracyConfig | None = None


@dataclass(frozen=True)
class ClipOptions:
    """What to take from a clip.

    Attributes:
        path: video, image, animated GIF, sound file, or folder of frames.
        num_frames: frames to sample; None takes the model's own number.
        range_s: (start, end) in seconds, cutting picture and sound; None takes the whole clip.
        sound: "on" picture and sound, "off" picture alone, "only" sound alone.
        audio_window: "cover" hears the sound in consecutive windows; "reference" does as upstream.
        seed: for the random crop that upstream makes of a long sound file ("reference" only).
        pad: pad pictures to a square with the mean colour instead of cropping or squashing.
    """

    path: Path
    num_frames: int | None = None
    range_s: tuple[float, float] | None = None
    sound: SoundMode = "on"
    audio_window: AudioWindow = "cover"
    seed: int = 0
    pad: bool = False


@dataclass(frozen=True)
class Coverage:
    """What the model really got: frame times and spans of sound in s, and sentences to say."""

    frame_times_s: tuple[float, ...] = ()
    sound_spans_s: tuple[tuple[float, float], ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class PartDevice:
    """Where a part runs ("tensorrt", "cuda", "cpu") and why (a sentence)."""

    part: str
    device: str
    reason: str


T = TypeVar("T")


class Mismatch(ValueError):
    """A value that is not of the annotated type; the message says where and what, in short."""

    def __init__(self, message: str) -> None:
        """What a file holds is quoted in it: no control characters, and not a megabyte of it."""
        plain = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in message)
        super().__init__(plain if len(plain) <= MAX_SAID else f"{plain[:MAX_SAID]} …")


def parse_manifest(text: bytes, path: Path) -> BundleConfig:
    """Read manifest.json.

    Args:
        text: the file's bytes.
        path: where it came from, for messages.

    Raises:
        BundleError: not JSON, of another format version, or a key is missing or of a wrong type.
    """
    if len(text) > MAX_MANIFEST_BYTES:
        raise BundleError(f"The manifest {path} is larger than any bundle's; export it again.")
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BundleError(f"The manifest {path} is not valid JSON; export the bundle again.") from (
            error
        )
    version = data.get("format_version") if isinstance(data, dict) else None
    if version != FORMAT_VERSION:
        raise BundleError(
            f"The bundle {path.parent} has format version {version!r:.20}, but this program reads "
            f"version {FORMAT_VERSION}; export it again with this version of vl2-export."
        )
    try:
        config = from_json(BundleConfig, data, "manifest")
    except Mismatch as error:
        raise BundleError(
            f"The manifest {path} is damaged ({error}); export the bundle again."
        ) from error
    return config


def to_json(config: object) -> Any:
    """The JSON form of plain dataclasses: tuples become lists, paths strings."""
    if dataclasses.is_dataclass(config) and not isinstance(config, type):
        return {f.name: to_json(getattr(config, f.name)) for f in dataclasses.fields(config)}
    if isinstance(config, dict):
        return {key: to_json(value) for key, value in config.items()}
    if isinstance(config, list | tuple):
        return [to_json(value) for value in config]
    return os.fspath(config) if isinstance(config, Path) else config


def from_json(kind: type[T], value: Any, where: str) -> T:
    """What `to_json` made of a dataclass, as that dataclass again.

    Args:
        kind: a dataclass of plain fields.
        value: parsed JSON, not to be trusted.
        where: what it is, for the message.

    Raises:
        Mismatch: a key is missing or unknown, or a value is of another type.
    """
    converted: T = _convert(kind, value, where)
    return converted


def _convert(annotation: Any, value: Any, where: str) -> Any:
    """Turn parsed JSON into the annotated type, or raise `Mismatch`."""
    if annotation is Any:
        return value
    if dataclasses.is_dataclass(annotation) and isinstance(annotation, type):
        return _convert_dataclass(annotation, value, where)
    origin = typing.get_origin(annotation)
    arguments = typing.get_args(annotation)
    if origin is Literal:
        if value not in arguments:
            raise Mismatch(f"{where} is {value!r}, not one of {', '.join(map(str, arguments))}")
        return value
    if origin in (types.UnionType, typing.Union):
        return _convert_union(arguments, value, where)
    if origin is dict:
        if not isinstance(value, dict):
            raise Mismatch(f"{where} is not an object")
        return {key: _convert(arguments[1], item, f"{where}.{key}") for key, item in value.items()}
    if origin is tuple:
        return _convert_tuple(arguments, value, where)
    return _convert_scalar(annotation, value, where)


def _convert_dataclass(annotation: type, value: Any, where: str) -> Any:
    if not isinstance(value, dict):
        raise Mismatch(f"{where} is not an object")
    hints = _type_hints(annotation)
    known = {f.name: f for f in dataclasses.fields(annotation)}
    unknown = sorted(set(value) - set(known))
    if unknown:
        raise Mismatch(f"{where} has the unknown key {unknown[0]!r}")
    found = {}
    for name, spec in known.items():
        if name in value:
            found[name] = _convert(hints[name], value[name], f"{where}.{name}")
        elif spec.default is dataclasses.MISSING and spec.default_factory is dataclasses.MISSING:
            raise Mismatch(f"{where}.{name} is missing")
    return annotation(**found)


_type_hints = lru_cache(typing.get_type_hints)  # Slow, and asked for every token of an answer.


def _convert_union(arguments: tuple[Any, ...], value: Any, where: str) -> Any:
    if value is None and type(None) in arguments:
        return None
    for candidate in arguments:
        if candidate is type(None):
            continue
        try:
            return _convert(candidate, value, where)
        except Mismatch as error:
            mismatch = error
    raise mismatch


def _convert_tuple(arguments: tuple[Any, ...], value: Any, where: str) -> Any:
    if not isinstance(value, list | tuple):
        raise Mismatch(f"{where} is not a list")
    if len(arguments) == 2 and arguments[1] is Ellipsis:
        return tuple(_convert(arguments[0], item, f"{where}[{i}]") for i, item in enumerate(value))
    if len(value) != len(arguments):
        raise Mismatch(f"{where} has {len(value)} items instead of {len(arguments)}")
    return tuple(
        _convert(kind, item, f"{where}[{i}]")
        for i, (kind, item) in enumerate(zip(arguments, value, strict=True))
    )


def _convert_scalar(annotation: Any, value: Any, where: str) -> Any:
    if annotation is float and isinstance(value, int) and not isinstance(value, bool):
        try:
            return float(value)
        except OverflowError as error:
            raise Mismatch(f"{where} is too large a number") from error
    if annotation is Path and isinstance(value, str):
        return _path(value, where)
    if not isinstance(value, annotation) or (annotation is not bool and isinstance(value, bool)):
        raise Mismatch(f"{where} is not {annotation.__name__}")
    return value


def _path(value: str, where: str) -> Path:
    try:
        os.fsencode(value)  # JSON can spell halves of characters, which no file's name holds.
    except UnicodeEncodeError as error:
        raise Mismatch(f"{where} cannot be a file's name") from error
    return Path(value)

"""The manifest of a bundle, from what the export knows (docs/bundle-format.md)."""

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path

from engines.bundle import MANIFEST, file_sha256
from engines.config import (
    FORMAT_VERSION,
    AudioConfig,
    BundleConfig,
    DecoderConfig,
    FileConfig,
    GenerationConfig,
    PromptConfig,
    QuantisationConfig,
    SelftestConfig,
    SourceConfig,
    VisionConfig,
    to_json,
)
from export import PRODUCER
from export.graph.heads import graph_head_dim
from export.model_config import ModelConfig
from export.reference.projector import SAMPLERS

SAMPLE_RATE, MEL_BINS = 16000, 128
FRAME, STEP = 400, 160  # samples of one filter bank frame, and between two
# The reference glues this many snippets of a video's sound together.
CLIPS_PER_VIDEO = 8
# Four windows of the published model: two minutes of sound, 5984 tokens.
MAX_WINDOWS = 4


def vision_config(config: ModelConfig) -> VisionConfig:
    """Describe the visual side."""
    sampler = SAMPLERS.get(config.projector_type)
    frames_needed = sampler.kernel[0] - 2 * sampler.padding if sampler else 1
    return VisionConfig(
        image_size=config.vision.image_size,
        patch_size=config.vision.patch_size,
        hidden_size=config.vision.hidden_size,
        num_frames=config.num_frames,
        tokens_per_frame=config.vision.num_patches,
        min_frames=max(frames_needed, 1),
        projector_type=config.projector_type,
        preprocess=config.preprocess,
    )


def audio_config(config: ModelConfig) -> AudioConfig | None:
    """Describe the audio side, if there is one."""
    sound = config.sound
    if sound is None:
        return None
    frames = 1 + (round(sound.window_s * SAMPLE_RATE) - FRAME) // STEP
    return AudioConfig(
        num_mel_bins=MEL_BINS,
        sample_rate=SAMPLE_RATE,
        window_s=sound.window_s,
        clip_duration_s=sound.clip_duration_s,
        clips_per_video=CLIPS_PER_VIDEO,
        tokens_per_window=sound.tower.num_tokens(frames, MEL_BINS),
        max_windows=MAX_WINDOWS,
        fbank_bf16=True,
    )


def decoder_config(config: ModelConfig, eos: tuple[int, ...]) -> DecoderConfig:
    """Describe the decoder."""
    decoder = config.decoder
    return DecoderConfig(
        hidden_size=decoder.hidden_size,
        num_hidden_layers=decoder.num_hidden_layers,
        num_attention_heads=decoder.num_attention_heads,
        num_key_value_heads=decoder.num_key_value_heads,
        head_dim=graph_head_dim(decoder),
        vocab_size=decoder.vocab_size,
        max_position_embeddings=decoder.max_position_embeddings,
        eos_token_ids=eos,
    )


def bundle_config(
    config: ModelConfig,
    source: SourceConfig,
    quantisation: QuantisationConfig,
    text_side: tuple[PromptConfig, GenerationConfig, tuple[int, ...]],
) -> BundleConfig:
    """Describe a bundle before there is one: without its graphs, files and measurements."""
    prompt, generation, eos = text_side
    return BundleConfig(
        format_version=FORMAT_VERSION,
        name=config.name or source.checkpoint,
        created_by=PRODUCER,
        source=source,
        quantisation=quantisation,
        vision=vision_config(config),
        audio=audio_config(config),
        decoder=decoder_config(config, eos),
        prompt=prompt,
        generation=generation,
        graphs={},
        files={},
        selftest=SelftestConfig("", {}),
        verification=(),
        card=config.card,
    )


def write_manifest(
    folder: Path, bundle: BundleConfig, hashed: Mapping[str, FileConfig] | None = None
) -> dict[str, FileConfig]:
    """Hash every file of a finished folder and write its manifest, in the place of an older one.

    Args:
        folder: Of the bundle.
        bundle: What the manifest says beside the files.
        hashed: Files that are known already.

    Returns:
        All files.
    """
    known = hashed or {}
    files = {
        path.name: known.get(path.name) or FileConfig(path.stat().st_size, file_sha256(path))
        for path in sorted(folder.iterdir())
        if path.name != MANIFEST
    }
    data = to_json(dataclasses.replace(bundle, files=files))
    text = json.dumps(data, indent=1, ensure_ascii=False)
    (folder / MANIFEST).write_text(text + "\n", encoding="utf-8")
    return files

"""What each part of a bundle takes in memory, on the CPU and on a GPU.

Sizes of files and the cache's geometry are known exactly, and so is what a compiled engine takes,
from its entry in the list. What ONNX Runtime makes of the weights and takes while it works is
estimated, by what was measured with graphs of the published size on a CPU (ONNX Runtime 1.31; tests
hold the sums, not the measurements).
"""

from collections.abc import Mapping
from dataclasses import dataclass

from engines.config import BundleConfig
from engines.encode import TOWER_FRAMES
from engines.engine_files import EngineFile
from engines.filter_bank import STEP_S
from engines.generate import PREFILL_CHUNK

# A clip, its sound and a long talk about them.
USUAL_CONTEXT = 8192
# The library's own copy of the weights, per byte of their file; the file itself is let go then.
# Measured: float32 1.0, float16 2.0 to 2.3 and once 2.9 (float32 on a CPU), int4 1.09 in groups of
# 128 to 1.24 in groups of 32 (a byte of codes stays one, a scale grows), .89 where activations stay
# in 32 bit. Mapped, not private, where `engines.prepacked` holds a copy.
PACKED = {"fp32": 1.0, "fp16": 2.3}
PACKED_INT4, PACKED_SCALES, PACKED_EXACT = 1.04, 6.4, 0.9
LEAST_PACKED = {"fp32": 1.0, "fp16": 2.0}
# Float32 numbers of a working space per token and channel, fitted to measurements: CLIP-L at 336
# pixels takes 117 MB for two frames, the STC connector at width 4096 takes 63 MB a frame.
TOWER_COPIES, CONNECTOR_COPIES = 14, 7
HEAD_WIDTH = 64
# BEATs' attention scores: 12 heads, four copies; a window of 1496 tokens takes 390 to 440 MB.
AUDIO_SCORES = 12 * 4
# A layer's working space while the prompt is read: per position and channel.
DECODER_COPIES = 24
# What a GPU is to hold of one question: the most frames that it may take, and the most positions
# that the decoder takes at once. Engines are compiled for these (`export.engine_sources`).
MOST_FRAMES, MOST_NEW = 32, 512
# Numbers of the arrays that go in and come out; the mask has a byte, positions have eight.
FLOAT, POSITION = 4, 8


@dataclass(frozen=True)
class PartMemory:
    """Bytes of one graph.

    Attributes:
        part: its name in the manifest.
        file_bytes: the graph and its weights as they lie on the disk.
        packed_bytes: what the CPU's library makes of the weights, in memory of its own.
        gpu_bytes: its weights on a GPU.
        working_bytes: what it takes while it works.
        gpu_working_bytes: on a GPU as much, unless an engine says less; and the arrays that go in
            and come out, for which there is memory of their own.
        opening_bytes: what this computer's memory holds while it is put on a GPU: its file.
    """

    part: str
    file_bytes: int
    packed_bytes: int
    gpu_bytes: int
    working_bytes: int
    gpu_working_bytes: int
    opening_bytes: int = 0


def part_memory(
    config: BundleConfig,
    context: int | None = None,
    exact: bool = False,
    engines: Mapping[str, EngineFile] | None = None,
) -> tuple[PartMemory, ...]:
    """What the graphs of a bundle take, in the order in which they are used.

    Args:
        config: its manifest.
        context: tokens of the conversation, clip and answers included; None: a usual one.
        exact: int4 layers with 32-bit activations.
        engines: the compiled ones, by graph.
    """
    working = {"vision_tower": _tower_bytes(config), "projector": _connector_bytes(config)}
    if config.audio is not None:
        working["audio"] = config.audio.tokens_per_window**2 * AUDIO_SCORES * 4
    tokens = usual_context(config, context)
    working["decoder"] = _decoder_bytes(config, tokens)
    engines, passing = engines or {}, passing_bytes(config, tokens)
    return tuple(
        _part(config, part, (size, passing[part]), exact and part == "decoder", engines.get(part))
        for part, size in working.items()
    )


def passing_bytes(config: BundleConfig, tokens: int) -> dict[str, int]:
    """Bytes of what goes into each graph and comes out of it, as it lies on a GPU at the most.

    That memory is kept while the graph is open, for the largest arrays that it was given. The
    decoder's cache is not in it.

    Args:
        config: the manifest.
        tokens: positions of the decoder's cache.
    """
    vision, audio, decoder = config.vision, config.audio, config.decoder
    frames, patches = most_frames(config), vision.tokens_per_frame * vision.hidden_size
    picture, seen = 3 * vision.image_size**2, _visual_tokens(config, frames)
    found = {
        "vision_tower": FLOAT * TOWER_FRAMES * (picture + patches),
        "projector": FLOAT * (frames * patches + seen * decoder.hidden_size),
    }
    if audio is not None:
        # One window at a time.
        steps = round(audio.window_s / STEP_S)
        heard = audio.tokens_per_window * decoder.hidden_size
        found["audio"] = FLOAT * (steps * audio.num_mel_bins + heard)
    new = min(MOST_NEW, tokens)
    position = FLOAT * decoder.hidden_size + POSITION + tokens
    found["decoder"] = new * position + FLOAT * decoder.vocab_size
    return found


def most_frames(config: BundleConfig) -> int:
    """The frames of the longest question that a GPU is to hold."""
    return max(MOST_FRAMES, config.vision.num_frames)


def usual_context(config: BundleConfig, context: int | None) -> int:
    """The tokens to reckon with: those asked for, or usual ones, as far as the model goes."""
    wanted = USUAL_CONTEXT if context is None else max(1, context)
    return min(config.decoder.max_position_embeddings, wanted)


def cache_bytes(config: BundleConfig, tokens: int, width: int | None = None) -> int:
    """Bytes of the keys and values of so many tokens; `width` of a number, None as on the CPU."""
    decoder = config.decoder
    declared = config.graphs["decoder"].inputs.get("past_key_values.0.key")
    if width is None:
        width = 2 if declared is not None and declared[0] == "float16" else 4
    # Narrow heads are padded in the graph, so its own width counts.
    padded = declared[1][-1] if declared is not None else None
    head = max(decoder.head_dim, padded if isinstance(padded, int) else 0)
    return 2 * decoder.num_hidden_layers * decoder.num_key_value_heads * head * width * tokens


def file_bytes(config: BundleConfig, name: str) -> int:
    """Size of a file of the bundle; 0 if it has none of that name."""
    return config.files[name].size if name in config.files else 0


def graph_bytes(config: BundleConfig, graph: str) -> int:
    """Sizes of a graph's file and its weights."""
    # decoder.exact.onnx and decoder.onnx share decoder.data.
    stem = config.graphs[graph].file.split(".")[0]
    return file_bytes(config, config.graphs[graph].file) + file_bytes(config, f"{stem}.data")


def opened_bytes(config: BundleConfig, graph: str) -> int:
    """What opening a graph takes of this computer's memory at the least: a copy of the weights."""
    return round(graph_bytes(config, graph) * _copies(config, graph, LEAST_PACKED))


def int4_copies(group: int | None) -> float:
    """What the library makes of an int4 decoder's weights in groups, per byte of them."""
    return PACKED_INT4 + PACKED_SCALES / (group or 32)


def _copies(config: BundleConfig, graph: str, packed: Mapping[str, float]) -> float:
    made = config.quantisation
    if made.scheme != "int4":
        return packed[made.scheme]
    if graph == "decoder_exact":
        return PACKED_EXACT
    # Only the decoder is rounded to 4 bits.
    return int4_copies(made.group_size) if graph == "decoder" else packed["fp16"]


def _part(
    config: BundleConfig, part: str, runs: tuple[int, int], exact: bool, engine: EngineFile | None
) -> PartMemory:
    working, passing = runs
    size = graph_bytes(config, part)
    exactly = exact and config.quantisation.scheme == "int4"
    share = _copies(config, "decoder_exact" if exactly else part, PACKED)
    return PartMemory(
        part,
        size,
        packed_bytes=round(size * share),
        gpu_bytes=size if engine is None else engine.weights_bytes,
        working_bytes=working,
        gpu_working_bytes=passing + (working if engine is None else engine.activation_bytes),
        opening_bytes=size if engine is None else engine.size,
    )


def _visual_tokens(config: BundleConfig, frames: int) -> int:
    """The most tokens that a connector makes of so many frames, by its type."""
    vision = config.vision
    if not vision.projector_type.startswith(("stc_", "stp_")):
        return frames * vision.tokens_per_frame
    side = vision.image_size // vision.patch_size
    # Halved in time, height and width; one more of each where the edges are filled up.
    return (frames // 2 + 1) * (side // 2 + 1) ** 2


def _tower_bytes(config: BundleConfig) -> int:
    vision = config.vision
    tokens, heads = vision.tokens_per_frame, max(1, vision.hidden_size // HEAD_WIDTH)
    numbers = TOWER_FRAMES * tokens * (TOWER_COPIES * vision.hidden_size + heads * tokens)
    # Two copies of the frames: as they came, and as the tower takes them.
    frames = 2 * vision.num_frames * 3 * vision.image_size**2
    return 4 * (numbers + frames)


def _connector_bytes(config: BundleConfig) -> int:
    vision = config.vision
    grid = vision.num_frames * vision.tokens_per_frame
    return 4 * CONNECTOR_COPIES * grid * config.decoder.hidden_size


def _decoder_bytes(config: BundleConfig, tokens: int) -> int:
    decoder = config.decoder
    scores = decoder.num_attention_heads * PREFILL_CHUNK * tokens
    layer = DECODER_COPIES * PREFILL_CHUNK * decoder.hidden_size
    return 4 * (scores + layer + decoder.vocab_size)

"""A bundle's graphs as a compiler gets them: file, tensors, and the shapes it is to be fast for."""

from dataclasses import dataclass
from pathlib import Path

from engines.bundle import Bundle
from engines.config import BundleConfig, VerificationRow
from engines.engine_files import Tensors
from engines.errors import ExportError
from engines.filter_bank import FRAME_S, STEP_S
from engines.part_memory import MOST_NEW, most_frames
from export.bundle_decoder import BundleDecoder, Kind, NotCompilable, write_compilable
from export.compilable import write_plain_attention
from export.engine_check import SelfTest
from export.tensorrt import Profiles

GRAPHS = ("vision_tower", "projector", "audio", "decoder")
# Positions in the decoder's cache: the longest clip of 32 frames, and room to talk about it.
CONTEXT = 4096
# Below this the compiler fails (TensorRT for RTX 1.7.1).
LEAST_CONTEXT = 128


@dataclass(frozen=True)
class Source:
    """A graph as it is given to the compiler, and how far it is from the reference."""

    path: Path
    inputs: Tensors
    outputs: Tensors
    dtype: Kind
    rows: list[VerificationRow]


def choose_context(config: BundleConfig, asked: int | None) -> int:
    """Return the size of the decoder's cache.

    Raises:
        ExportError: the model does not have so many positions.
    """
    most = config.decoder.max_position_embeddings
    if asked is not None and not LEAST_CONTEXT <= asked <= most:
        raise ExportError(
            f"--context {asked} cannot be: give {LEAST_CONTEXT} to {most}, which is all that the"
            " model has, or leave it out."
        )
    return asked or min(CONTEXT, most)


def profiles(config: BundleConfig, graph: str, context: int) -> Profiles:
    """Return least, usual and largest shape of each input with free axes."""
    vision, audio = config.vision, config.audio
    most = most_frames(config)
    if graph == "vision_tower":
        picture = (3, vision.image_size, vision.image_size)
        return {"pixel_values": ((1, *picture), (vision.num_frames, *picture), (most, *picture))}
    if graph == "projector":
        frame = (vision.tokens_per_frame, vision.hidden_size)
        frames = (vision.min_frames, vision.num_frames, most)
        low, usual, high = ((count, *frame) for count in frames)
        return {"vision_features": (low, usual, high)}
    if graph == "audio":
        assert audio is not None
        # A window is always whole: what is shorter is filled up with silence.
        window = (_filter_bank_frames(config), audio.num_mel_bins)
        return {"fbank": ((1, *window), (1, *window), (audio.max_windows, *window))}
    new, width = min(MOST_NEW, context), config.decoder.hidden_size
    return {
        "inputs_embeds": ((1, 1, width), (1, 1, width), (1, new, width)),
        "position_ids": ((1, 1), (1, 1), (1, new)),
        "attention_mask": ((1, 1, 1, context), (1, 1, 1, context), (1, 1, new, context)),
    }


def prepare(selftest: SelfTest, graph: str, context: int, scratch: Path) -> Source:
    """Find or write a graph as it is going to be compiled, and run it on the CPU.

    Args:
        selftest: Of the bundle.
        graph: One of `GRAPHS`.
        context: Positions in the decoder's cache.
        scratch: Where the decoder is written to.

    Raises:
        NotCompilable: the decoder has what no compiler takes.
        ExportError: the graph cannot be read or run.
        OSError: the disk is full or failed.
    """
    if graph == "decoder":
        return _prepare_decoder(selftest, context, scratch)
    bundle = selftest.bundle
    declared, path = bundle.config.graphs[graph], bundle.graph_path(graph)
    if graph == "audio":
        path = scratch / path.name
        write_plain_attention(bundle.graph_path(graph), path)
        rows = selftest.check_audio(path)
    else:
        rows = selftest.check_vision()
    return Source(path, declared.inputs, declared.outputs, "fp16", rows)


def decoder_type(decoder: BundleDecoder) -> Kind:
    """Return what a decoder is compiled in.

    Qwen2 has biases of some hundreds on queries and keys, and single channels that grow beyond
    float16's 65504; the mark of it is the bias. The others were made to be run in float16.
    """
    return "bf16" if decoder.config.qkv_bias else "fp16"


def _prepare_decoder(selftest: SelfTest, context: int, scratch: Path) -> Source:
    decoder = BundleDecoder(selftest.bundle.graph_path("decoder"))
    window = decoder.config.window(0)
    if window is not None and window < context:
        raise NotCompilable(
            f"{decoder.path} sees {window} positions at a time, which an engine with a cache of"
            f" {context} does not know; give --context {window} or less, or leave the decoder to"
            " ONNX Runtime."
        )
    kind, path = decoder_type(decoder), scratch / "decoder.onnx"
    inputs, outputs = write_compilable(decoder, path, context, kind, runnable=True)
    rows = selftest.check_decoder(path, decoder.config, kind, context)
    if kind == "bf16":  # What was run is not yet what is compiled.
        inputs, outputs = write_compilable(decoder, path, context, kind)
    return Source(path, inputs, outputs, kind, rows)


def _filter_bank_frames(config: BundleConfig) -> int:
    """Return the filter bank frames of one window."""
    audio = config.audio
    assert audio is not None
    frame, step = (round(audio.sample_rate * seconds) for seconds in (FRAME_S, STEP_S))
    return 1 + (round(audio.window_s * audio.sample_rate) - frame) // step


def weights_bytes(bundle: Bundle, graph: str) -> int:
    """Return about how much the weights of a graph take, in the bundle and so in its engine."""
    stem = bundle.config.graphs[graph].file.split(".")[0]
    return sum(file.size for name, file in bundle.config.files.items() if name == f"{stem}.data")

"""The image tower at the published size: our graph, llama.cpp's image encoder and torch.

    python3 -m venv LLAMA; CMAKE_ARGS=-DGGML_NATIVE=ON LLAMA/bin/pip install llama-cpp-python gguf
    PYTHONPATH=. python tests/oracles/tower_speed.py WORK --llama LLAMA/bin/python [--rounds 5]

CLIP ViT-L/14 at 336 pixels up to the layer before the last, random weights rounded to float16, two
frames. Ours: the graph with 16-bit weights opened as it is and as `engines.prepacked` keeps it
(unpacked float32, mapped); torch in float32 and bfloat16, all frames at once. llama.cpp's libmtmd
from files of the same weights in several types, a frame after the other: its graph has no batch.
Its time is that of `mtmd_encode_chunk`, from float32 pixels to tokens, through a projector of 64
columns (0.02 % of the products). Scaling the picture is in nobody's time.

In turn, round after round; one JSON object with the medians, each round's time over ours (median,
least, most), and how far each one's projected features are from torch's in float32. What was
written into WORK is used again: a new folder for other --layers or --frames. Where other programs
run, --threads 1 --cpu tells more than the clock, and four layers are enough for the ratios.
"""

import argparse
import copy
import json
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

SIZE, WIDTH, INNER, HEADS = 336, 1024, 4096, 16
MEAN = [0.48145466, 0.4578275, 0.40821073]
STD = [0.26862954, 0.26130258, 0.27577711]
# llama.cpp wants a projector of two layers. A large bias makes the GELU between them return what it
# is given; the second layer takes the bias away.
TOKEN_WIDTH, BIAS = 64, 64.0
TYPES = ["F16", "BF16", "Q8_0"]
MODULES = {  # Our names of modules, and llama.cpp's.
    "embeddings.patch_embedding": "v.patch_embd",
    "embeddings.position_embedding": "v.position_embd",
    "pre_layrnorm": "v.pre_ln",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.out_proj": "attn_out",
    "layer_norm1": "ln1",
    "layer_norm2": "ln2",
    "mlp.fc1": "ffn_up",
    "mlp.fc2": "ffn_down",
}
Array = NDArray[Any]
Run = Callable[[], float]  # seconds for all frames


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("work", type=Path)
    parser.add_argument("--llama", type=Path, help="Python that has llama-cpp-python and gguf")
    parser.add_argument("--types", nargs="+", default=TYPES, help="of llama.cpp's matrices")
    parser.add_argument("--layers", type=int, default=23)
    parser.add_argument("--frames", type=int, default=2)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--cpu", action="store_true", help="CPU seconds: for a busy machine")
    parser.add_argument("--worker", action="store_true", help="(for itself)")
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    if args.worker:
        serve_llama(args)
    else:
        print(json.dumps(compare(args), indent=1))


def compare(args: argparse.Namespace) -> dict[str, Any]:
    from engines.bench import versions
    from engines.devices import machine

    random = np.random.default_rng(0)
    frames = random.integers(0, 256, (args.frames, SIZE, SIZE, 3), dtype=np.uint8)
    projector = (random.standard_normal((TOKEN_WIDTH, WIDTH)) / WIDTH**0.5).astype(np.float16)
    pixels = ((frames / 255.0 - MEAN) / STD).astype(np.float32).transpose(0, 3, 1, 2)
    runners, features = our_runners(args, np.ascontiguousarray(pixels))
    tokens = {name: found @ projector.T.astype(np.float32) for name, found in features.items()}
    if args.llama is not None:
        np.savez(args.work / "frames.npz", frames=frames, projector=projector)
        runners |= llama_runners(args)
        with np.load(args.work / "tokens.npz") as kept:
            tokens |= {f"llama.cpp {name}": kept[name] for name in args.types}
    took: dict[str, list[float]] = defaultdict(list)
    for _ in range(args.rounds):  # Each has run once: everything is warm.
        for name, run in runners.items():
            took[name].append(run() / args.frames)
        print({name: round(values[-1], 3) for name, values in took.items()}, file=sys.stderr)
    ratios = {
        name: [theirs / ours for theirs, ours in zip(values, took["ours"], strict=True)]
        for name, values in took.items()
    }
    return {
        "machine": machine().cpu,
        "versions": versions(),
        "threads": args.threads,
        "layers": args.layers,
        "clock": "CPU seconds" if args.cpu else "seconds",
        "seconds_a_frame": {name: round(statistics.median(v), 3) for name, v in took.items()},
        "over_ours": {
            name: [round(f(v), 3) for f in (statistics.median, min, max)]
            for name, v in ratios.items()
        },
        "largest_and_mean_difference_from_torch": {
            name: difference(found, tokens["torch"]) for name, found in tokens.items()
        },
    }


def difference(found: Array, expected: Array) -> list[float]:
    """Largest and root mean square difference over the same of `expected`, all but patch 0."""
    expected = expected[:, 1:]
    apart = found[:, -expected.shape[1] :] - expected
    largest = np.abs(apart).max() / np.abs(expected).max()
    mean = (np.square(apart).mean() / np.square(expected).mean()) ** 0.5
    return [float(f"{value:.2e}") for value in (largest, mean)]


def our_runners(args: argparse.Namespace, pixels: Array) -> tuple[dict[str, Run], dict[str, Array]]:
    """Ours and torch's, each with the features that it gave; leaves the weights in WORK."""
    import torch
    from onnx import TensorProto

    from engines.backends.onnxruntime import open_ready, open_session, save_ready
    from export.graph.builder import DataFile, Graph
    from export.graph.vision_tower import write_vision_tower
    from export.reference.vision_tower import VisionTower, VisionTowerConfig

    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    config = VisionTowerConfig(
        "clip", WIDTH, INNER, args.layers + 1, HEADS, SIZE, 14, 1e-5, "quick_gelu"
    )
    tower = VisionTower(config).half().float().eval()
    graph_file, ready = args.work / "vision_tower.onnx", args.work / "ready"
    if not ready.exists():
        with DataFile(graph_file.with_suffix(".data")) as data:
            graph = Graph("vision_tower", data, TensorProto.FLOAT16)
            write_vision_tower(graph, tower)
        graph.save(graph_file)
        named = {name: value.half().numpy() for name, value in tower.state_dict().items()}
        np.savez(args.work / "weights.npz", **named)
        ready.mkdir()
        save_ready(graph_file, ready, packed=False)
    sessions = {
        "ours": open_session(graph_file, threads=args.threads),
        "ours, mapped": open_ready(ready / graph_file.name, args.threads, packed=False),
    }
    modules = {"torch": tower, "torch bfloat16": copy.deepcopy(tower).bfloat16()}
    inputs = {name: torch.from_numpy(pixels) for name in modules}
    inputs["torch bfloat16"] = inputs["torch bfloat16"].bfloat16()
    feeds: dict[str, Array] = {"pixel_values": pixels}

    def by_torch(name: str) -> torch.Tensor:
        with torch.inference_mode():
            return modules[name](inputs[name])

    features = {name: session.run(feeds)["vision_features"] for name, session in sessions.items()}
    features |= {name: by_torch(name).float().numpy() for name in modules}
    clock = time.process_time if args.cpu else time.perf_counter
    works = {name: partial(session.run, feeds) for name, session in sessions.items()}
    works |= {name: partial(by_torch, name) for name in modules}
    runners: dict[str, Run] = {name: partial(seconds, work, clock) for name, work in works.items()}
    return runners, features


def llama_runners(args: argparse.Namespace) -> dict[str, Run]:
    """Start llama.cpp in its own Python; it leaves its tokens in WORK, then waits for names."""
    options = ["--threads", args.threads, "--layers", args.layers, "--frames", args.frames]
    options += ["--types", *args.types, "--worker"]
    options += ["--cpu"] if args.cpu else []
    worker = subprocess.Popen(
        [*map(str, [args.llama, __file__, args.work, *options])],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert worker.stdin is not None
    assert worker.stdout is not None
    reader, writer = worker.stdout, worker.stdin
    if reader.readline() != "ready\n":
        raise SystemExit("llama.cpp did not start: see its messages above")

    def ask(name: str) -> float:
        print(name, file=writer, flush=True)
        return float(reader.readline())

    return {f"llama.cpp {name}": partial(ask, name) for name in args.types}


def write_words(path: Path) -> None:
    """A language model of which only the vocabulary is there: libmtmd asks for one."""
    import gguf

    writer = gguf.GGUFWriter(str(path), "llama")
    words = [b"<unk>", b"<s>", b"</s>", *(b"<0x%02X>" % byte for byte in range(256))]
    writer.add_tokenizer_model("llama")
    writer.add_token_list(words)
    writer.add_token_scores([0.0] * len(words))
    writer.add_token_types([2, 3, 3, *[6] * 256])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def write_tower(path: Path, weights: dict[str, Array], kind: str, layers: int) -> None:
    """The weights as an image encoder with LLaVA's projector."""
    import gguf

    writer = gguf.GGUFWriter(str(path), "clip")
    writer.add_clip_has_vision_encoder(True)
    writer.add_clip_projector_type("mlp")
    writer.add_vision_projection_dim(TOKEN_WIDTH)
    writer.add_vision_image_size(SIZE)
    writer.add_vision_patch_size(14)
    writer.add_vision_embedding_length(WIDTH)
    writer.add_vision_feed_forward_length(INNER)
    writer.add_vision_block_count(layers)
    writer.add_array("clip.vision.feature_layer", [layers])
    writer.add_vision_head_count(HEADS)
    writer.add_vision_attention_layernorm_eps(1e-5)
    writer.add_vision_image_mean(MEAN)
    writer.add_vision_image_std(STD)
    writer.add_vision_use_gelu(False)  # CLIP's "quick" GELU is what is left.
    of_matrices = gguf.GGMLQuantizationType[kind]
    for name, value in weights.items():
        if ".layers." in name and value.ndim == 2:
            data = gguf.quants.quantize(value.astype(np.float32), of_matrices)
            writer.add_tensor(llama_name(name), data, raw_dtype=of_matrices)
        elif name == "projector":
            writer.add_tensor("mm.0.weight", value)
            writer.add_tensor("mm.0.bias", np.full(TOKEN_WIDTH, BIAS, np.float32))
            writer.add_tensor("mm.2.weight", np.eye(TOKEN_WIDTH, dtype=np.float32))
            writer.add_tensor("mm.2.bias", np.full(TOKEN_WIDTH, -BIAS, np.float32))
        else:
            if "position" in name:
                # llama.cpp 0.3.36 appends the class token to the patches, but numbers positions
                # and leaves out the first row as if it came first (its issue 25814). With the
                # positions turned likewise, all rows but patch 0 are CLIP's.
                data = np.roll(value, -1, 0).astype(np.float32)
            else:
                data = value.astype(np.float16 if "patch" in name else np.float32)
            writer.add_tensor(llama_name(name), data)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def llama_name(name: str) -> str:
    if name == "embeddings.class_embedding":
        return "v.class_embd"
    module, end = name.rsplit(".", 1)
    if not module.startswith("encoder.layers."):
        return f"{MODULES[module]}.{end}"
    number, module = module.removeprefix("encoder.layers.").split(".", 1)
    return f"v.blk.{number}.{MODULES[module]}.{end}"


def errors_only(level: int, text: bytes, _: object) -> None:
    if level == 4:
        print(text.decode(errors="replace"), end="", file=sys.stderr)


def serve_llama(args: argparse.Namespace) -> None:
    """Encode the frames once by each file, save the tokens, then time what the input names."""
    import ctypes

    import llama_cpp as native
    from llama_cpp import mtmd_cpp as media

    with np.load(args.work / "frames.npz") as kept:
        frames, projector = kept["frames"], kept["projector"]
    write_words(args.work / "words.gguf")
    of_model = native.llama_model_default_params()
    of_model.vocab_only = True
    quiet = native.llama_log_callback(errors_only)
    for log_set in (native.llama_log_set, media.mtmd_log_set, media.mtmd_helper_log_set):
        log_set(quiet, ctypes.c_void_p(0))
    words = native.llama_model_load_from_file(str(args.work / "words.gguf").encode(), of_model)
    options = media.mtmd_context_params_default()
    options.use_gpu, options.n_threads, options.print_timings = False, args.threads, False
    count = (SIZE // 14) ** 2

    def open_encoder(kind: str) -> Callable[[], Array]:
        path = args.work / f"tower-{kind}.gguf"
        if not path.exists():
            with np.load(args.work / "weights.npz") as kept:
                write_tower(path, dict(kept) | {"projector": projector}, kind, args.layers)
        context = media.mtmd_init_from_file(str(path).encode(), words, options)
        marker = media.mtmd_default_marker()
        text = media.mtmd_input_text(marker, len(marker), False, True)
        chunks = []
        for frame in frames:
            data = frame.ctypes.data_as(ctypes.POINTER(ctypes.c_uint8))
            bitmap = media.mtmd_bitmap_init(SIZE, SIZE, data)
            pieces = media.mtmd_input_chunks_init()
            bitmaps = (ctypes.c_void_p * 1)(bitmap)
            if media.mtmd_tokenize(context, pieces, ctypes.byref(text), bitmaps, 1):
                raise SystemExit("llama.cpp did not take the picture")
            held = [
                media.mtmd_input_chunks_get(pieces, i)
                for i in range(media.mtmd_input_chunks_size(pieces))
            ]
            chunks += [
                chunk
                for chunk in held
                if media.mtmd_input_chunk_get_type(chunk) == media.MTMD_INPUT_CHUNK_TYPE_IMAGE
            ]
        assert len(chunks) == args.frames

        def encode() -> Array:
            tokens = np.empty((args.frames, count, TOKEN_WIDTH), np.float32)
            for chunk, into in zip(chunks, tokens, strict=True):
                if media.mtmd_encode_chunk(context, chunk):
                    raise SystemExit("llama.cpp did not encode the picture")
                given = media.mtmd_get_output_embd(context)
                into[:] = np.ctypeslib.as_array(given, into.shape)
            return tokens

        return encode

    encoders = {kind: open_encoder(kind) for kind in args.types}
    # Its row i is patch i + 1; the last is the class token's.
    tokens = {kind: encode()[:, :-1] for kind, encode in encoders.items()}
    np.savez(args.work / "tokens.npz", **tokens)
    clock = time.process_time if args.cpu else time.perf_counter
    print("ready", flush=True)
    for line in sys.stdin:
        print(seconds(encoders[line.strip()], clock), flush=True)


def seconds(work: Callable[[], object], clock: Callable[[], float]) -> float:
    started = clock()
    work()
    return clock() - started


if __name__ == "__main__":
    main()

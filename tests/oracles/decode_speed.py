"""Decode and prefill at the published size: our decoder, llama.cpp, torch and plain reading.

    python3 -m venv LLAMA; CMAKE_ARGS=-DGGML_NATIVE=ON LLAMA/bin/pip install llama-cpp-python gguf
    PYTHONPATH=. python tests/oracles/decode_speed.py WORK --llama LLAMA/bin/python [--layers 8]

Layers of Mistral-7B's shape with random weights and an 8-bit output matrix of 32,000 rows: ours by
our own graph writer (int4 in groups of 128, accuracy levels 4 and 0), llama.cpp's as Q4_0 and Q8_0,
torch's in bfloat16 (two layers: it is only a yardstick). All in turn, round after round, so that
what else the machine does hits all alike: the best of eight tokens and of six readings in a round,
the medians of the rounds, one JSON object. GB/s are bytes of weights and cache that a token needs,
over its time.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

WIDTH, MLP, HEADS, KV_HEADS, HEAD, VOCAB = 4096, 14336, 32, 8, 128, 32000
PROMPT = 845  # Mistral's chat template, 16 frames through the STC connector, a short question.
TOKENS = 8  # written in each round
MATRICES = {
    "attn_q": (WIDTH, WIDTH),
    "attn_k": (KV_HEADS * HEAD, WIDTH),
    "attn_v": (KV_HEADS * HEAD, WIDTH),
    "attn_output": (WIDTH, WIDTH),
    "ffn_gate": (MLP, WIDTH),
    "ffn_up": (MLP, WIDTH),
    "ffn_down": (WIDTH, MLP),
}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("work", type=Path)
    parser.add_argument("--llama", type=Path, help="Python that has llama-cpp-python and gguf")
    parser.add_argument("--layers", type=int, default=8)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--prompts", type=int, default=3, help="rounds that read a prompt too")
    parser.add_argument("--worker", choices=["gguf", "llama"], help="(for itself)")
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    if args.worker == "gguf":
        write_gguf(args.work / "model.gguf", args.layers)
    elif args.worker == "llama":
        serve_llama(args.work / "model.gguf", args.threads)
    else:
        print(json.dumps(compare(args), indent=1))


def compare(args: argparse.Namespace) -> dict[str, Any]:
    from engines.bench import versions
    from engines.devices import machine
    from engines.memory_bandwidth import read_bytes_per_s

    runners = {
        "ours_level_4": our_runner(args, "decoder"),
        "ours_level_0": our_runner(args, "decoder.exact"),
        "torch_bfloat16": torch_runner(args.threads),
    }
    if args.llama is not None:
        runners["llama_cpp"] = llama_runner(args)
    took: dict[str, list[float]] = defaultdict(list)
    for number in range(args.rounds + 1):
        reading = read_bytes_per_s(args.threads)
        found = {f"{name} decode": run("decode") for name, run in runners.items()}
        if number <= args.prompts and args.prompts:
            found |= {f"{name} prefill": run("prefill") for name, run in runners.items()}
        if number == 0:
            continue  # Everything is warm now.
        took["reading GB/s"].append(reading / 1e9)
        for name, value in found.items():
            took[name].append(value)
        print({name: round(value, 4) for name, value in found.items()}, file=sys.stderr)
    return {
        "machine": machine().cpu,
        "versions": versions(),
        "threads": args.threads,
        "layers": args.layers,
        "reading_gb_per_s": _median(took["reading GB/s"]),
        **{name: _figures(name, took, args.layers) for name in runners},
    }


def _figures(name: str, took: dict[str, list[float]], layers: int) -> dict[str, float | None]:
    token, prompts = _median(took[f"{name} decode"]), took[f"{name} prefill"]
    layers = TORCH_LAYERS if name.startswith("torch") else layers
    per_weight = {"ours": (4 + 32 / 128) / 8, "llam": 4.5 / 8, "torc": 2.0}[name[:4]]
    head = {"ours": 1 + 4 / 128, "llam": 34 / 32, "torc": 2.0}[name[:4]]
    weights = sum(n * k for n, k in MATRICES.values()) * layers * per_weight
    cache_width = 4 if name.startswith("ours") else 2
    cache = 2 * layers * KV_HEADS * HEAD * PROMPT * cache_width
    gigabytes = (weights + VOCAB * WIDTH * head + cache) / 1e9
    shares = [
        gigabytes / seconds / reading
        for seconds, reading in zip(took[f"{name} decode"], took["reading GB/s"], strict=True)
    ]
    return {
        "layers": layers,
        "decode_ms": round(token * 1e3, 2),
        "decode_gb_per_s": round(gigabytes / token, 2),
        "decode_share_of_reading": round(statistics.median(shares), 3),
        "prefill_tokens_per_s": round(PROMPT / _median(prompts), 1) if prompts else None,
    }


def _median(values: list[float]) -> float:
    return round(statistics.median(values), 5)


Run = Callable[[str], float]  # "decode" to seconds a token, "prefill" to seconds a prompt


def our_runner(args: argparse.Namespace, name: str) -> Run:
    from engines.backends.onnxruntime import DecoderSession, open_ready, save_ready
    from engines.generate import TokenPrompt, drain, prefill
    from engines.kv_cache import KvCache
    from engines.machine_memory import memory_here
    from engines.page_cache import drop, fill

    ready = args.work / f"ready-{name}"
    if not (ready / f"{name}.onnx").exists():
        if not (args.work / "decoder.onnx").exists():
            write_ours(args.work, args.layers)
        shutil.rmtree(ready, ignore_errors=True)
        ready.mkdir()
        save_ready(args.work / f"{name}.onnx", ready, packed=True)
        os.sync()  # What is not on the disk yet cannot be dropped.
    drop(ready / f"{name}.data")
    fill(ready / f"{name}.data", memory_here().available_bytes)
    decoder = DecoderSession(open_ready(ready / f"{name}.onnx", args.threads, packed=True))
    shape = (decoder.layers, decoder.kv_heads, decoder.head_dim, decoder.cache_dtype)
    cache = KvCache(*shape, limit=2048)
    cache.reserve(PROMPT + TOKENS)
    embeds = np.random.default_rng(0).standard_normal((PROMPT, WIDTH)).astype(np.float32)
    prompt = TokenPrompt(embeds, np.arange(PROMPT))

    def run(what: str) -> float:
        if what == "prefill":
            cache.trim(0)
            return seconds(lambda: drain(prefill(decoder, cache, prompt)))
        one = embeds[None, :1]
        return min(
            seconds(lambda at=at: decoder.run(one, PROMPT + at, cache.arrays))
            for at in range(TOKENS)
        )

    return run


def write_ours(folder: Path, layers: int) -> None:
    import torch
    from onnx import TensorProto

    from export.graph.builder import DataFile, Graph
    from export.graph.decoder import (
        ONNXRUNTIME,
        DecoderWriter,
        FeedForwardWeights,
        LayerWeights,
    )
    from export.graph.layers import LinearWeight
    from export.reference.decoder import DecoderConfig
    from quant.grid import Quantised

    def draw(name: str) -> LinearWeight:
        rows, columns = MATRICES.get(name, (VOCAB, WIDTH))
        top = 8 if name in MATRICES else 128
        codes = torch.randint(-top, top, (rows, columns), dtype=torch.int8)
        scales = (torch.rand(rows, columns // 128) * 0.006 + 0.004) / top
        return LinearWeight(Quantised(codes, scales.half().float(), 4 if top == 8 else 8))

    torch.manual_seed(0)
    config = DecoderConfig(WIDTH, MLP, layers, HEADS, KV_HEADS, HEAD, VOCAB, 32768, 1e-5, 1e6)
    with DataFile(folder / "decoder.data") as data:
        graph = Graph("decoder", data, TensorProto.FLOAT)
        writer = DecoderWriter(graph, config, ONNXRUNTIME)
        for index in range(layers):
            q, k, v, o, gate, up, down = (draw(name) for name in MATRICES)
            mlp = FeedForwardWeights(gate, up, down)
            norm = torch.ones(WIDTH)
            writer.layer(index, LayerWeights(norm, norm, q, k, v, o, mlp))
        writer.head(torch.ones(WIDTH), draw("output"))
    graph.save(folder / "decoder.onnx", 4)
    graph.save(folder / "decoder.exact.onnx", 0)


TORCH_LAYERS = 2


def torch_runner(threads: int) -> Run:
    import torch
    from torch.nn import functional as f

    torch.set_num_threads(threads)
    torch.manual_seed(0)
    layers = [
        {n: torch.randn(shape, dtype=torch.bfloat16) * 0.01 for n, shape in MATRICES.items()}
        for _ in range(TORCH_LAYERS)
    ]
    head = torch.randn(VOCAB, WIDTH, dtype=torch.bfloat16) * 0.01
    groups = HEADS // KV_HEADS

    def forward(x: torch.Tensor, caches: list[list[torch.Tensor]], keep: bool) -> None:
        length = len(x)
        for weights, cache in zip(layers, caches, strict=True):
            q = (x @ weights["attn_q"].T).view(1, length, HEADS, HEAD).transpose(1, 2)
            k, v = (
                (x @ weights[n].T).view(1, length, KV_HEADS, HEAD).transpose(1, 2)
                for n in ("attn_k", "attn_v")
            )
            if length == 1:
                k, v = torch.cat([cache[0], k], 2), torch.cat([cache[1], v], 2)
            if keep:
                cache[:] = [k, v]
            k, v = k.repeat_interleave(groups, 1), v.repeat_interleave(groups, 1)
            y = f.scaled_dot_product_attention(q, k, v, is_causal=length > 1)
            x = x + y.transpose(1, 2).reshape(length, WIDTH) @ weights["attn_output"].T
            y = f.silu(x @ weights["ffn_gate"].T) * (x @ weights["ffn_up"].T)
            x = x + y @ weights["ffn_down"].T
            x = f.rms_norm(x, (WIDTH,))
        x[-1:] @ head.T

    prompt = torch.randn(PROMPT, WIDTH, dtype=torch.bfloat16)
    caches: list[list[torch.Tensor]] = [[] for _ in layers]

    def run(what: str) -> float:
        with torch.inference_mode():
            if what == "prefill" or not caches[0]:
                took = seconds(lambda: forward(prompt, caches, True))
            if what == "prefill":
                return took
            return min(seconds(lambda: forward(prompt[:1], caches, False)) for _ in range(TOKENS))

    return run


def llama_runner(args: argparse.Namespace) -> Run:
    command = [args.llama, __file__, args.work, "--threads", args.threads, "--layers", args.layers]
    if not (args.work / "model.gguf").exists():
        subprocess.run([*map(str, command), "--worker", "gguf"], check=True)
    worker = subprocess.Popen(
        [*map(str, command), "--worker", "llama"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )

    def run(what: str) -> float:
        assert worker.stdin is not None
        assert worker.stdout is not None
        print(what, file=worker.stdin, flush=True)
        return float(worker.stdout.readline())

    return run


def write_gguf(path: Path, layers: int) -> None:
    import gguf

    writer = gguf.GGUFWriter(str(path), "llama")
    writer.add_context_length(32768)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(layers)
    writer.add_feed_forward_length(MLP)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(HEAD)
    writer.add_rope_freq_base(1e6)
    writer.add_vocab_size(VOCAB)
    special = [b"<unk>", b"<s>", b"</s>", *(b"<0x%02X>" % byte for byte in range(256))]
    writer.add_tokenizer_model("llama")
    writer.add_token_list([*special, *(b"t%d" % i for i in range(VOCAB - len(special)))])
    writer.add_token_scores([0.0] * VOCAB)
    writer.add_token_types([2, 3, 3, *[6] * 256, *[1] * (VOCAB - len(special))])
    random = np.random.default_rng(0)

    def blocks(name: str, shape: tuple[int, int], bits: int) -> None:
        rows, columns = shape
        drawn = random.integers(0, 256, (rows, columns // 32, 2 + 4 * bits), dtype=np.uint8)
        scales = (random.random((rows, columns // 32)) * 0.006 + 0.004) / 2 ** (bits - 1)
        drawn[:, :, :2] = scales.astype(np.float16).view(np.uint8).reshape(rows, -1, 2)
        kind = gguf.GGMLQuantizationType.Q4_0 if bits == 4 else gguf.GGMLQuantizationType.Q8_0
        writer.add_tensor(name, drawn.reshape(rows, -1), raw_dtype=kind)

    blocks("token_embd.weight", (VOCAB, WIDTH), 4)
    blocks("output.weight", (VOCAB, WIDTH), 8)
    writer.add_tensor("output_norm.weight", np.ones(WIDTH, np.float32))
    for index in range(layers):
        for norm in ("attn_norm", "ffn_norm"):
            writer.add_tensor(f"blk.{index}.{norm}.weight", np.ones(WIDTH, np.float32))
        for name, shape in MATRICES.items():
            blocks(f"blk.{index}.{name}.weight", shape, 4)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def serve_llama(path: Path, threads: int) -> None:
    import ctypes

    import llama_cpp as native

    quiet = native.llama_log_callback(lambda *_: None)
    native.llama_log_set(quiet, ctypes.c_void_p(0))
    native.llama_backend_init()
    of_model = native.llama_model_default_params()
    of_model.n_gpu_layers = 0
    model = native.llama_model_load_from_file(str(path).encode(), of_model)
    options = native.llama_context_default_params()
    options.n_ctx, options.n_batch, options.n_ubatch = 2048, 1024, 512
    options.n_threads = options.n_threads_batch = threads
    context = native.llama_init_from_model(model, options)
    memory = native.llama_get_memory(context)

    def decode(count: int, at: int) -> float:
        batch = native.llama_batch_init(count, 0, 1)
        batch.n_tokens = count
        for i in range(count):
            batch.token[i], batch.pos[i] = 300 + (at + i) * 7 % 30000, at + i
            batch.n_seq_id[i], batch.seq_id[i][0] = 1, 0
            batch.logits[i] = i == count - 1
        took = seconds(lambda: native.llama_decode(context, batch))
        native.llama_get_logits_ith(context, -1)
        native.llama_batch_free(batch)
        return took

    decode(PROMPT, 0)
    for line in sys.stdin:
        native.llama_memory_seq_rm(memory, 0, 0 if line.strip() == "prefill" else PROMPT, -1)
        if line.strip() == "prefill":
            took = decode(PROMPT, 0)
        else:
            took = min(decode(1, PROMPT + i) for i in range(TOKENS))
        print(took, flush=True)


def seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


if __name__ == "__main__":
    main()

"""`vl2 selftest`: each graph against the reference, speed, share of the roof; a report to paste."""

import json
import platform
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

import engines
from app.terminal import show
from assets import demo_bundle
from engines.bench import versions
from engines.config import PartDevice, VerificationRow
from engines.devices import driver_version, machine
from engines.engine_trust import recall, record
from engines.errors import DeviceError, ExportError, Vl2Error
from engines.model import VideoLlama2
from engines.roofline import (
    WARM_TOKENS,
    Roof,
    Speed,
    bytes_per_token,
    decoder_speed,
    memory_bytes_per_s,
    roof,
)
from engines.selftest import OUTPUTS, PARTS, Stored, Test, measure, passed, read_selftest, run_test

# What a processor may keep near itself: of a smaller model, its memory's speed is no roof.
CACHE_BYTES = 64 << 20
CACHED = " (so little may lie in caches, which are faster)"
# A prompt of so many tokens is read, and so many are written behind it.
READ_TOKENS, WRITTEN_TOKENS = 512, 64


@dataclass(frozen=True)
class Report:
    """What came of it.

    Attributes:
        bundle: name and id.
        device: asked for; `devices` is where each part really ran.
        rows: a measurement of each test; what could not run is a sentence in `problems`.
        alone: of each compiled engine, what came of its own test, between the ONNX graphs.
        speed: the decoder's; None where it could not be taken.
        roof: its share of what the memory gives.
        machine: what this machine has.
    """

    bundle: str
    device: str
    devices: tuple[PartDevice, ...]
    rows: tuple[VerificationRow, ...]
    alone: dict[str, str]
    problems: tuple[str, ...]
    speed: Speed | None
    roof: Roof
    machine: dict[str, Any]


def selftest(
    bundle: Path | None, device: str, exact: bool, threads: int | None, as_json: bool
) -> None:
    """Run it and print the report.

    Raises:
        ExportError: a graph does not give what the reference gave.
        BundleError: the bundle, or its self-test, cannot be read.
        DeviceError: the device cannot be used here.
    """
    report = measured(bundle or demo_bundle(), device, exact, threads)
    show(json.dumps(asdict(report), ensure_ascii=False) if as_json else text(report))
    if report.problems or not all(passed(row) for row in report.rows):
        raise ExportError(
            f"The self-test of {report.bundle} on {report.device} was not passed; paste the report"
            " above into an issue."
        )


def measured(path: Path, device: str, exact: bool, threads: int | None) -> Report:
    """Run the self-test of a bundle; see `selftest`."""
    model = engines.load(path, device, exact, threads, keep_encodings=False)
    stored = read_selftest(model.bundle)
    rows, problems = [], []
    for test in stored.tests():
        try:
            rows.append(_measured(model, stored, test, exact))
        except DeviceError as error:
            problems.append(f"{test}: {error}")
    speed = None
    try:
        speed = _speed(model, stored)
    except Vl2Error as error:
        problems.append(f"speed: {error}")
    # Last: what gave up on the way does not count as having run.
    devices = model.sessions.devices()
    fallen = [f"{p.part} runs on {p.device}: {p.reason}" for p in devices if p.device != device]
    if device in ("cuda", "tensorrt"):
        problems += fallen  # What was asked for was not what ran.
    tokens_per_s = None if speed is None else speed.decode_tokens_per_s
    past = 0 if speed is None else speed.past
    read = bytes_per_token(model.config, *model.sessions.cache_read(past))
    return Report(
        f"{model.config.name}, {model.bundle.id[:12]}",
        device,
        devices,
        tuple(rows),
        _alone(model),
        tuple(problems),
        speed,
        roof(read, tokens_per_s, memory_bytes_per_s(model.sessions, threads)),
        _machine(model),
    )


def _alone(model: VideoLlama2) -> dict[str, str]:
    compiled = model.sessions.compiled
    if compiled is None:
        return {}
    tested = {part: recall(compiled.engine_key(e)) for part, e in compiled.entries().items()}
    return {part: f"{came.state}: {came.detail}" for part, came in tested.items() if came}


def _machine(model: VideoLlama2) -> dict[str, Any]:
    facts = {**asdict(machine()), "driver": driver_version(), "versions": versions()}
    if not facts["gpus"] and model.sessions.compiled is not None:  # There is no nvidia-smi.
        gpu = model.sessions.compiled.gpu
        facts["gpus"] = (f"{gpu.name}, {gpu.arch}",)
    return facts


def text(report: Report) -> str:
    """The report as lines that can be pasted anywhere."""
    lines = [
        f"vl2 selftest: {report.bundle}, device {report.device}",
        f"{report.machine['system']}, {report.machine['cpu']}, {platform.python_version()}",
        f"GPU: {'; '.join(report.machine['gpus']) or 'none'}",
        "versions: " + ", ".join(f"{k} {v}" for k, v in report.machine["versions"].items()),
        "",
        f"{'test':<14}{'largest difference':>20}{'of the largest':>16}{'allowed':>10}",
    ]
    lines += [
        f"{row.graph:<14}{row.max_abs:>20.2e}{row.max_rel:>16.2e}{row.tolerance:>10.0e}"
        f"  {'passed' if passed(row) else 'FAILED'}"
        for row in report.rows
    ]
    if report.alone:
        lines += ["", "each engine between the ONNX graphs of its test:"]
        lines += [f"{part:<14}{came}" for part, came in report.alone.items()]
    lines += ["", *(f"{p.part:<14}{p.device:<10}{p.reason}" for p in report.devices), ""]
    lines += [f"problem: {problem}" for problem in report.problems]
    if report.speed is not None:
        lines.append(
            f"prefill {report.speed.prefill_tokens_per_s:.1f} tokens/s, decode"
            f" {report.speed.decode_tokens_per_s:.1f} tokens/s, behind {report.speed.past} tokens"
        )
    found = report.roof
    if found.share is not None and found.bytes_per_token and found.memory_bytes_per_s:
        lines.append(
            f"{found.bytes_per_token / 1e6:.1f} MB a token, memory"
            f" {found.memory_bytes_per_s / 1e9:.1f} GB/s: {100 * found.share:.1f} % of the roof"
            f"{CACHED if found.bytes_per_token < CACHE_BYTES else ''}"
        )
    elif report.speed is not None:
        missing = (
            "how much a token reads" if found.bytes_per_token is None else "the memory's speed"
        )
        lines.append(f"share of the roof: not known, for {missing} is not")
    return "\n".join(lines)


def _measured(model: VideoLlama2, stored: Stored, test: Test, exact: bool) -> VerificationRow:
    compiled = model.sessions.compiled
    engines_of = {} if compiled is None else compiled.entries()
    tested = [graph for graph in PARTS[test] if graph in engines_of]
    if compiled is not None and tested:
        for graph in tested:  # Asked for by name, it runs again, whatever came of it before.
            record(compiled.engine_key(engines_of[graph]), None)
    got = run_test(
        test,
        stored,
        lambda graph, feeds: model.sessions.get(graph).run(feeds),
        model.next_logits,
        model.embed,
    )
    used = {p.part for p in model.sessions.devices() if p.device == "tensorrt"}
    dtypes = {engines_of[graph].dtype for graph in tested if graph in used}
    dtype = next((d for d in ("bf16", "fp16", "fp32") if d in dtypes), None)
    limit = stored.limit(test, exact, dtype)
    return measure(test, got, stored.arrays[OUTPUTS[test]], limit)


def _speed(model: VideoLlama2, stored: Stored) -> Speed | None:
    if "input_ids" not in stored.arrays:
        return None
    decoder = model.sessions.decoder(model.decoder_graph)
    vocab, limit = model.config.decoder.vocab_size, model.config.decoder.max_position_embeddings
    # An engine's cache may be shorter than the model's; beyond it, its graph would be timed.
    limit = min(limit, getattr(decoder, "most_positions", None) or limit)
    length = min(READ_TOKENS, limit - WARM_TOKENS - WRITTEN_TOKENS)
    ids = np.resize(np.abs(stored.arrays["input_ids"]) % vocab, max(1, length))
    return decoder_speed(decoder, model.embed(ids.astype(np.int64)), WRITTEN_TOKENS)

"""How fast a bundle answers on this machine: one flat record, the median of several runs."""

import importlib.metadata
import platform
import shutil
import statistics
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import engines
from engines.config import ClipOptions
from engines.devices import machine
from engines.events import Result
from engines.messages import clip_message
from engines.model import VideoLlama2
from engines.roofline import bytes_per_token, memory_bytes_per_s, roof
from engines.sampling import GenerateOptions
from engines.version import VERSION

RUNS = 5
NEW_TOKENS = 32
QUESTION = "What happens in this clip?"
_PACKAGES = ("av", "cuda-bindings", "numpy", "onnxruntime", "tensorrt-rtx-cu12", "tokenizers")


def bench(
    load: Callable[[], VideoLlama2],
    clip: ClipOptions,
    *,
    question: str = QUESTION,
    runs: int = RUNS,
    new_tokens: int = NEW_TOKENS,
    threads: int | None = None,
    tell: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, Any]:
    """Asks the same question several times, every time from the file on, and takes medians.

    Args:
        load: opens the model without encodings kept on disk (`engines.load(…,
            keep_encodings=False)`); it is timed, with the opening of all graphs.
        clip: the clip to ask about.
        question: what to ask.
        runs: timed runs; one more runs before them and is not counted.
        new_tokens: tokens to write, whether or not the answer ends before.
        threads: that the model was loaded with, to read memory with as many.
        tell: called with (runs done, runs in all).

    Returns:
        A record that JSON can hold: commit, machine, versions, bundle, media, load_s, media_s,
        encode_s, prompt_tokens, prefill_tokens_per_s, first_token_s, decode_tokens_per_s,
        new_tokens, decode_bytes_per_token, memory_bytes_per_s, decode_share_of_memory (see
        `engines.roofline.Roof`), peak_memory_bytes, runs.
    """
    started = time.perf_counter()
    model = load()
    deque(model.open_graphs(), maxlen=0)
    load_s = time.perf_counter() - started
    options = GenerateOptions(max_new_tokens=new_tokens, ignore_eos=True)
    results: list[Result] = []
    for done in range(runs + 1):
        tell(done, runs + 1)
        model.forget()
        *_, result = model.generate([clip_message(clip, question)], options)
        if done > 0 and isinstance(result, Result):
            results.append(result)
    tell(runs + 1, runs + 1)
    peak = peak_memory_bytes()  # Before memory is taken to see how fast it is.
    speed = _medians(Path(clip.path).name, results)
    past = speed["prompt_tokens"] + new_tokens // 2
    reached = roof(
        bytes_per_token(model.config, *model.sessions.cache_read(past)),
        speed["decode_tokens_per_s"],
        memory_bytes_per_s(model.sessions, threads),
    )
    return {
        "commit": commit(),
        "machine": asdict(machine()),
        "versions": versions(),
        "bundle": {
            "name": model.config.name,
            "id": model.bundle.id,
            "scheme": model.config.quantisation.scheme,
        },
        "device": model.device.name,
        "devices": {part.part: part.device for part in model.sessions.devices()},
        "load_s": round(load_s, 4),
        **speed,
        "decode_bytes_per_token": reached.bytes_per_token,
        "memory_bytes_per_s": reached.memory_bytes_per_s,
        "decode_share_of_memory": reached.share,
        "peak_memory_bytes": peak,
        "runs": runs,
    }


def _medians(clip: str, results: Sequence[Result]) -> dict[str, Any]:
    usage, coverage = results[0].usage, results[0].coverage

    def median(measure: Callable[[Result], float | None]) -> float | None:
        values = [value for result in results if (value := measure(result)) is not None]
        return round(statistics.median(values), 4) if values else None

    return {
        "media": {
            "clip": clip,
            "frames": len(coverage.frame_times_s),
            "sound_s": round(sum(end - start for start, end in coverage.sound_spans_s), 3),
        },
        "media_s": median(lambda result: result.timing.media_s),
        "encode_s": median(lambda result: result.timing.encode_s),
        "prompt_tokens": usage.prompt_tokens,
        "prefill_tokens_per_s": median(lambda r: r.usage.prompt_tokens / r.timing.prefill_s),
        "first_token_s": median(lambda result: result.timing.first_token_s),
        "decode_tokens_per_s": median(lambda result: result.timing.decode_tokens_per_s),
        "new_tokens": usage.new_tokens,
    }


def versions() -> dict[str, str]:
    """Python's version and those of the packages that decide the speed."""
    found = {"python": platform.python_version(), "vl2": VERSION}
    for package in _PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            found[package] = "not installed"
    return found


def commit() -> str | None:
    """The commit of the source tree that runs, or None for an installed copy."""
    root = Path(engines.__file__).parent.parent
    git = shutil.which("git")
    if git is None or not (root / ".git").exists():
        return None
    try:
        answer = subprocess.run(
            [git, "-C", str(root), "rev-parse", "HEAD"],
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return answer.stdout.strip()


def peak_memory_bytes() -> int | None:
    """The most memory this process has held so far, None where the system does not say."""
    if sys.platform == "win32":
        return None
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024  # Linux counts in KiB.

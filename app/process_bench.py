"""`vl2 bench --engine-process`: what one waits for at the window, measured through the pipe."""

import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any

from app.engine_client import EngineClient
from app.inference import Ask, EngineSpec, Finished, Open, Piece, Preview
from engines.bench import NEW_TOKENS, QUESTION, commit, versions
from engines.config import ClipOptions
from engines.devices import machine
from engines.messages import Message, clip_message
from engines.sampling import GenerateOptions

FOLLOW_UP = "What else is there?"


def bench_process(
    spec: EngineSpec, clip: ClipOptions, runs: int, tell: Callable[[int, int], None]
) -> dict[str, Any]:
    """Opens a clip, asks a first question and a second one, several times; medians.

    Args:
        spec: the model; its encodings are not kept on disk, so that each run reads the clip.
        clip: the clip to ask about.
        runs: timed runs.
        tell: called with (runs done, runs in all).

    Returns:
        A record that JSON can hold. Seconds: start_s until a bundle is loaded, preview_s,
        first_question_s (all of the first answer about a clip not seen before, the graphs open),
        first_token_s of it, follow_up_first_token_s, and first_token_ahead_s of a question about a
        clip that was opened while the question was written. follow_up_ratio is first_question_s by
        follow_up_first_token_s. decode_tokens_per_s is counted where the pieces arrive.
    """
    started = time.perf_counter()
    with EngineClient(replace(spec, keep_encodings=False)) as engine:
        start_s = time.perf_counter() - started
        seen = []
        for done in range(runs):
            tell(done, runs)
            seen.append(_run(engine, clip))
        tell(runs, runs)
        info = engine.info
    medians = {name: round(statistics.median(run[name] for run in seen), 4) for name in seen[0]}
    ratio = statistics.median(r["first_question_s"] / r["follow_up_first_token_s"] for r in seen)
    return {
        "commit": commit(),
        "machine": asdict(machine()),
        "versions": versions(),
        "bundle": {"name": info["name"], "id": info["bundle"], "scheme": info["scheme"]},
        "device": info["device"],
        "clip": clip.path.name,
        "start_s": round(start_s, 4),
        **medians,
        "follow_up_ratio": round(ratio, 1),
        "runs": runs,
    }


def _run(engine: EngineClient, clip: ClipOptions) -> dict[str, float]:
    engine.load()  # Anew, so that no clip is known.
    other = replace(clip, num_frames=1)
    _answer(engine, [clip_message(other, QUESTION)])  # Opens the graphs.
    first = [clip_message(clip, QUESTION)]
    text, first_token_s, first_question_s, _ = _answer(engine, first)
    more: list[Message] = [
        *first,
        {"role": "assistant", "content": text},
        {"role": "user", "content": FOLLOW_UP},
    ]
    _, follow_up_s, _, tokens_per_s = _answer(engine, more)
    started = time.perf_counter()
    *_, _ = engine.run(Preview(clip))
    preview_s = time.perf_counter() - started
    engine.load()
    _answer(engine, [clip_message(other, QUESTION)])
    *_, _ = engine.run(Open(clip))
    _, ahead_s, _, _ = _answer(engine, first)
    return {
        "preview_s": preview_s,
        "first_question_s": first_question_s,
        "first_token_s": first_token_s,
        "follow_up_first_token_s": follow_up_s,
        "first_token_ahead_s": ahead_s,
        "decode_tokens_per_s": tokens_per_s,
    }


def _answer(engine: EngineClient, messages: list[Message]) -> tuple[str, float, float, float]:
    """The text, seconds to its first token and to its end, and tokens per second between."""
    options = GenerateOptions(max_new_tokens=NEW_TOKENS, ignore_eos=True)
    started = time.perf_counter()
    arrived: list[float] = []
    text = ""
    for reply in engine.run(Ask(messages, options)):
        if isinstance(reply, Piece):
            arrived.append(time.perf_counter() - started)
        elif isinstance(reply, Finished):
            text = reply.result["answer"]
    total = time.perf_counter() - started
    return text, arrived[0], total, (len(arrived) - 1) / (arrived[-1] - arrived[0])

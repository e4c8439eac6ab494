"""An answer on a terminal: text to stdout as it comes, progress and statistics to stderr."""

import sys
from collections.abc import Iterator

from engines.command import printable
from engines.events import Event, Progress, Result, TextPiece

_STAGES = {
    "load": "Opening the model",
    "media": "Reading the clip",
    "vision": "Looking at frames",
    "audio": "Listening",
    "prefill": "Taking it in",
}


class ProgressLine:
    """One line on stderr that says what is being done; on a pipe, a line per stage."""

    def __init__(self) -> None:
        self._live = sys.stderr.isatty()
        self._shown: set[str] = set()

    def show(self, progress: Progress) -> None:
        """Replace the line, or begin a new one where lines cannot be replaced."""
        words = _STAGES[progress.stage]
        if self._live:
            counted = f" {progress.done}/{progress.total}" if progress.total > 1 else ""
            print(f"\r\x1b[K{words}{counted} …", end="", file=sys.stderr, flush=True)
        elif progress.stage not in self._shown:
            print(f"{words} …", file=sys.stderr, flush=True)
        self._shown.add(progress.stage)

    def clear(self) -> None:
        """Take the line away."""
        if self._live and self._shown:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)
            self._shown.clear()


def say(sentence: str) -> None:
    """Print a line for the user on stderr."""
    print(printable(sentence), file=sys.stderr, flush=True)


def show(text: str, end: str = "\n") -> None:
    """Print a result on stdout, without control characters."""
    print(printable(text), end=end, flush=True)


def print_answer(events: Iterator[Event], quiet: bool = False) -> Result:
    """Show an answer while it is written.

    Args:
        events: what `VideoLlama2.generate` yields.
        quiet: leave stdout alone; progress and notes still go to stderr.

    Returns:
        The result at the end.
    """
    line = ProgressLine()
    try:
        for event in events:
            if isinstance(event, Progress):
                line.show(event)
                continue
            line.clear()
            if isinstance(event, TextPiece):
                if not quiet:
                    show(event.text, end="")
            else:
                if not quiet:
                    show("")
                return event
    finally:
        line.clear()
    raise RuntimeError("the answer ended without a result")


def statistics(result: Result) -> str:
    """One line: where the time went and what the prompt was made of."""
    timing, usage = result.timing, result.usage
    parts = [f"first token {timing.first_token_s:.2f} s"]
    if timing.decode_tokens_per_s is not None:
        parts.append(f"{timing.decode_tokens_per_s:.1f} tokens/s")
    parts.append(
        f"{usage.visual_tokens} picture + {usage.audio_tokens} sound + {usage.text_tokens} text"
        f" tokens in, {usage.new_tokens} out"
    )
    parts.append(result.device)
    if result.finish_reason == "length":
        parts.append("cut at the token limit")
    return "[" + " · ".join(parts) + "]"


def device_lines(result: Result) -> list[str]:
    """Why parts ran elsewhere than the others did: a line for each reason."""
    reasons: dict[str, list[str]] = {}
    for part in result.devices:
        if result.device == "tensorrt" and part.device != result.device:
            reasons.setdefault(f"{part.device}: {part.reason}", []).append(part.part)
    return [f"[{', '.join(parts)} on {reason}]" for reason, parts in reasons.items()]


def known_world(name: str, world: str) -> str:
    """One line: what a bundle's model does not know, where its card says so; the demo's does."""
    return f"[{name}: {world}]" if world else ""


def coverage_line(result: Result) -> str:
    """One line: what of the clip the model really got."""
    times, spans = result.coverage.frame_times_s, result.coverage.sound_spans_s
    pieces = []
    if times:
        pieces.append(f"{len(times)} frames from {times[0]:.2f} to {times[-1]:.2f} s")
    if spans:
        heard = ", ".join(f"{start:.1f}–{end:.1f} s" for start, end in spans)
        pieces.append(f"sound of {heard}")
    return "[" + ("saw " if times else "heard ") + ", ".join(pieces) + "]" if pieces else ""

"""The command line of `vl2 live`; light, for every command builds it."""

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

NONE = "none"
_EXAMPLES = """\
Type a question and press Enter: it is about the last seconds. Ctrl+C or Ctrl+D ends. Nothing of
what is recorded is written to the disk, except with --keep.

examples:
  vl2 live --list
  vl2 live --camera 0 --mic default --window 15
  vl2 live --camera rtsp://192.168.1.20/stream --mic none --ask-every 20 "What is happening?"
  vl2 live --tell-when "Is there a dog?" --keep moments --json
"""


def add_live(add: Callable[..., argparse.ArgumentParser]) -> argparse.ArgumentParser:
    """Add `vl2 live` to a command line; how to answer, and which model, the caller adds."""
    live = add("live", help="ask about what camera and microphone get now", epilog=_EXAMPLES)
    group = live.add_argument_group("recording")
    group.add_argument(
        "--camera",
        metavar="CAMERA",
        default="0",
        help="index, part of a name, address (http, rtsp), or none (default: %(default)s)",
    )
    group.add_argument(
        "--mic",
        metavar="MIC",
        default="default",
        help="number, part of a name, or none (default: the system's)",
    )
    group.add_argument(
        "--window",
        metavar="S",
        type=_moment,
        default=15.0,
        help="a question is about so many last seconds (default: 15)",
    )
    group.add_argument(
        "--remember",
        metavar="S",
        type=_moment,
        default=60.0,
        help="so many seconds are in memory (default: 60)",
    )
    group.add_argument("--list", action="store_true", help="print cameras and microphones, and end")
    group = live.add_argument_group("questions")
    group.add_argument(
        "--ask-every",
        metavar=("S", "QUESTION"),
        nargs=2,
        action=_AskEvery,
        help="ask a question every S seconds, instead of those that are typed",
    )
    group.add_argument(
        "--tell-when",
        metavar="QUESTION",
        action="append",
        default=[],
        help="a question of yes or no; say so when the answer becomes yes (may be repeated)",
    )
    group.add_argument(
        "--check-every",
        metavar="S",
        type=_moment,
        default=3.0,
        help="look for it so often (default: 3)",
    )
    group.add_argument(
        "--keep", metavar="FOLDER", type=Path, help="write a clip of each such moment"
    )
    group.add_argument("--stop-after", metavar="S", type=_moment, help="end after so many seconds")
    live.add_argument("--json", action="store_true", help="print one JSON object for each event")
    group = live.add_argument_group("clip")
    group.add_argument("--frames", metavar="N", type=int, help="default: as the model was trained")
    group.add_argument("--pad", action="store_true", help="pad pictures to a square, cut nothing")
    live.set_defaults(sound="on", audio_window="cover", range=None)
    return live


class _AskEvery(argparse.Action):
    """Stores seconds and a question."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[Any] | None,
        option_string: str | None = None,
    ) -> None:
        seconds, question = list(values or ("", ""))
        try:
            setattr(namespace, self.dest, (_moment(seconds), question))
        except argparse.ArgumentTypeError as error:
            parser.error(f"argument {option_string}: {error}")


def _moment(text: str) -> float:
    """Seconds, at least a tenth and at most an hour."""
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0.1 <= seconds <= 3600:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds from 0.1 to 3600")
    return seconds

"""`vl2`: ask a clip a question, talk about it, score answers, say what this machine has.

Answers go to stdout, progress and statistics to stderr. Exit codes: 0 done, 1 the job failed (one
sentence on stderr), 2 wrong usage, 130 interrupted.
"""

import argparse
import json
import math
import sys
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.background import still_working
from app.live_options import add_live
from app.termination import end_now, hear_termination
from engines import child_process
from engines.command import DONE, INTERRUPTED, run_command
from engines.version import VERSION

if TYPE_CHECKING:
    from app.inference import EngineSpec
    from engines.config import ClipOptions
    from engines.model import VideoLlama2
    from engines.sampling import GenerateOptions

Arguments = argparse.Namespace

_TOP = """\
examples:
  vl2                       (opens the window)
  vl2 open holiday.mp4
  vl2 ask holiday.mp4 "What happens in the video?"
  vl2 ask holiday.mp4 "What do you hear?" --sound only --range 1:05 1:20
  vl2 chat holiday.mp4
  vl2 live --camera 0
  vl2 doctor
  vl2 --safe-mode           (the window, when it does not start as it should)

Everything runs on this computer. Without --bundle the bundled demo model answers; it knows only
its small synthetic world (coloured shapes that move, flash and beep). For real clips, build a
bundle from a VideoLLaMA 2 checkpoint with vl2-export.
"""
_ASK = """\
examples:
  vl2 ask clip.mp4 "How many people are there?" --bundle VideoLLaMA2-7B-16F-int4.vl2
  vl2 ask clip.mp4 "What does it sound like?" --sound only --json
  vl2 ask film.mkv "Who enters the room?" --range 12:30 12:50 --frames 32
  vl2 ask photo.jpg "Describe the picture." --temperature 0.7 --top-p 0.9 --seed 3
  vl2 ask clip.mp4 "What happens?" --receipt answer.json
  vl2 ask --replay answer.json
"""
_CHAT = """\
Type a question and press Enter; Ctrl+C stops an answer, an empty line or Ctrl+D ends.

examples:
  vl2 chat clip.mp4
  printf 'What moves?\\nWhich colour is it?\\n' | vl2 chat clip.mp4
"""
_EVAL = """\
A line of the file is one JSON object: {"clip": "a.mp4", "question": "...", "answer": "...",
"type": "color"}, the clip's path relative to the file; "history": [["question", "answer"], ...]
holds earlier turns.

examples:
  vl2 eval assets/clips/questions.jsonl
  vl2 eval questions.jsonl --sound off --json > without-sound.json
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run `vl2`; returns the exit code."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # a terminal may not know every character
    # Pillow warns of oddities in a picture that it reads all the same.
    warnings.filterwarnings("ignore", module=r"PIL\.")
    serve_if_child(sys.argv[1:] if arguments is None else list(arguments))
    if arguments is None:
        hear_termination()
    parser = build_parser()
    parsed = parser.parse_args(arguments)
    run: Callable[[Arguments], None] = parsed.run
    if parsed.safe_mode and run is not run_window:
        parser.error("--safe-mode is for the window alone")
    code = run_command("vl2", partial(run, parsed))
    if code == INTERRUPTED and still_working():
        sys.stderr.flush()
        end_now(code)
    return code


def serve_if_child(arguments: list[str]) -> None:
    """Be one of our own children; a frozen program starts them as itself (`child_process`)."""
    if arguments == [child_process.argument("app.engine_process")]:
        from app.engine_process import main as serve

        serve()
    if arguments == [child_process.argument("engines.media_child")]:
        from engines.media_child import main as read_clips

        read_clips()
        sys.exit(DONE)


def build_parser() -> argparse.ArgumentParser:
    """The command line of `vl2`."""
    parser = argparse.ArgumentParser(
        prog="vl2",
        description="Ask a video, with its sound, a picture or a sound file; all on this computer.",
        epilog=_TOP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"vl2 {VERSION}")
    parser.add_argument(
        "--safe-mode",
        action="store_true",
        help="open the window with the least that can go wrong: on the CPU, without camera and"
        " microphone, nothing opened",
    )
    parser.set_defaults(run=run_window)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    add = partial(commands.add_parser, formatter_class=argparse.RawDescriptionHelpFormatter)

    window = add("open", help="open the window, as vl2 alone does; with a clip, if one is named")
    window.add_argument("clip", metavar="CLIP", nargs="?", type=_clip_path, help=_CLIP_HELP)
    safe_help = "name the clip but open nothing; see vl2 --help"
    # Not to undo what stands before the command.
    window.add_argument(
        "--safe-mode", action="store_true", default=argparse.SUPPRESS, help=safe_help
    )
    window.set_defaults(run=run_window)

    ask = add("ask", help="ask one question about a clip", epilog=_ASK)
    needed = [
        ask.add_argument("clip", metavar="CLIP", type=_clip_path, help=_CLIP_HELP),
        ask.add_argument("question", metavar="QUESTION"),
    ]
    ask.add_argument("--json", action="store_true", help="print one JSON object when done")
    _add_model_options(ask).add_argument(
        "--engine-process",
        action="store_true",
        help="run the model in a process of its own, as the window does",
    )
    _add_clip_options(ask)
    _add_answer_options(ask)
    receipts = ask.add_argument_group("receipt")
    receipts.add_argument(
        "--receipt", metavar="FILE", type=Path, help="write what the answer depended on"
    )
    receipts.add_argument(
        "--replay",
        metavar="FILE",
        type=Path,
        action=_replay_action(needed),
        help="give the answer of a receipt again; CLIP tells where the clip is now",
    )
    ask.set_defaults(run=run_ask, parser=ask)

    chat = add("chat", help="talk about a clip", epilog=_CHAT)
    chat.add_argument("clip", metavar="CLIP", type=_clip_path, help=_CLIP_HELP)
    _add_model_options(chat)
    _add_clip_options(chat)
    _add_answer_options(chat)
    chat.set_defaults(run=run_chat)

    live = add_live(add)
    _add_model_options(live)
    _add_answer_options(live)
    live.set_defaults(run=run_live)

    score = add("eval", help="answer a file of questions and score them", epilog=_EVAL)
    score.add_argument("questions", metavar="QUESTIONS.jsonl", type=Path)
    _add_model_options(score)
    _add_clip_options(score)
    score.add_argument("--max-new-tokens", metavar="N", type=int, default=128)
    score.add_argument("--json", action="store_true", help="print every answer and the scores")
    score.set_defaults(run=run_eval)

    doctor = add(
        "doctor",
        help="say what this machine has and what will run where",
        epilog="examples:\n  vl2 doctor\n  vl2 doctor MODEL.vl2 --context 4096\n"
        "  vl2 doctor --report vl2-report.txt",
    )
    doctor.add_argument(
        "bundle",
        metavar="BUNDLE",
        type=Path,
        nargs="?",
        help="say also what this bundle's parts need, where each runs and why",
    )
    doctor.add_argument(
        "--context", metavar="N", type=positive, help="tokens of a conversation (default: 8192)"
    )
    doctor.add_argument(
        "--device", choices=("auto", "cpu", "cuda", "tensorrt"), default="auto", help=_DEVICE_HELP
    )
    doctor.add_argument("--json", action="store_true", help="print one JSON object")
    doctor.add_argument(
        "--report",
        metavar="FILE",
        type=Path,
        help="write what helps the maintainers to find an error: machine, versions, log; no"
        " questions, answers or names of files",
    )
    doctor.add_argument("--overwrite", action="store_true", help="FILE may be there already")
    doctor.set_defaults(run=run_doctor)

    check = add(
        "selftest",
        help="hold every graph against the reference and measure it; a report to paste",
        epilog="examples:\n  vl2 selftest\n  vl2 selftest --device tensorrt --bundle MODEL.vl2",
    )
    _add_model_options(check)
    check.add_argument("--json", action="store_true", help="print one JSON object")
    check.set_defaults(run=run_selftest)

    bench = add(
        "bench",
        help="measure speed; prints one JSON line",
        epilog="examples:\n  vl2 bench\n  vl2 bench clip.mp4 --bundle MODEL.vl2 --runs 3",
    )
    bench.add_argument("clip", metavar="CLIP", type=Path, nargs="?", help="default: a demo clip")
    _add_model_options(bench).add_argument(
        "--engine-process",
        action="store_true",
        help="measure what one waits for at the window: opening, first and second question",
    )
    bench.add_argument(
        "--window",
        action="store_true",
        help="measure how long the window's thread is held, and by what",
    )
    bench.add_argument(
        "--runs", metavar="N", type=positive, default=5, help="median of N (default 5)"
    )
    bench.set_defaults(run=run_bench)
    return parser


# Arguments of `vl2 ask` that a receipt holds.
_IN_A_RECEIPT = (
    *("question", "threads", "exact", "frames", "range", "sound", "audio_window", "pad"),
    *("max_new_tokens", "temperature", "top_p", "top_k", "seed"),
)
_DEVICE_HELP = "where to compute (default: %(default)s)"
_CLIP_HELP = "video, picture, animated GIF, sound file or folder of frames"


def _replay_action(needed: Sequence[argparse.Action]) -> type[argparse.Action]:
    class Replay(argparse.Action):
        """Stores a receipt's file; what the receipt says need not be given beside it."""

        def __call__(
            self,
            parser: argparse.ArgumentParser,
            namespace: Arguments,
            values: Any,
            option_string: str | None = None,
        ) -> None:
            setattr(namespace, self.dest, values)
            for argument in needed:
                argument.required = False

    return Replay


def _add_model_options(parser: argparse.ArgumentParser) -> argparse._ArgumentGroup:
    group = parser.add_argument_group("model")
    group.add_argument("--bundle", metavar="DIR", type=Path, help="default: the demo model")
    group.add_argument(
        "--device",
        choices=("auto", "cpu", "cuda", "tensorrt"),
        default="auto",
        help=_DEVICE_HELP,
    )
    group.add_argument("--threads", metavar="N", type=int, help="default: one per physical core")
    group.add_argument(
        "--exact", action="store_true", help="int4 layers with 32-bit activations: slower, closer"
    )
    return group


def _add_clip_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("clip")
    group.add_argument("--frames", metavar="N", type=int, help="default: as the model was trained")
    group.add_argument(
        "--range",
        metavar=("START", "END"),
        nargs=2,
        type=seconds,
        help="part of the clip, in seconds or m:ss; cuts picture and sound",
    )
    group.add_argument(
        "--sound", choices=("on", "off", "only"), default="on", help="default: %(default)s"
    )
    group.add_argument(
        "--audio-window",
        choices=("cover", "reference"),
        default="cover",
        help="cover: hear the sound in consecutive windows; reference: as the published demo does",
    )
    group.add_argument("--pad", action="store_true", help="pad pictures to a square, cut nothing")


def _add_answer_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("answer")
    group.add_argument("--max-new-tokens", metavar="N", type=int, help="default: 2048")
    group.add_argument("--temperature", metavar="T", type=float, help="0 (default) is greedy")
    group.add_argument("--top-p", metavar="P", type=float, help="default: 0.9 when sampling")
    group.add_argument("--top-k", metavar="K", type=int, help="default: the model's")
    group.add_argument("--seed", metavar="S", type=int, default=0, help="default: %(default)s")


def _clip_path(text: str) -> Path:
    if not text:
        raise argparse.ArgumentTypeError("an empty name is no clip")
    return Path(text)


def seconds(text: str) -> float:
    """Seconds from "12.5", "1:05" or "1:02:03.5"; ArgumentTypeError for anything else."""
    *larger, last = text.split(":")
    try:
        total = float(last)
    except ValueError:
        total = math.nan
    if len(larger) > 2 or not all(part.isdigit() for part in larger) or not math.isfinite(total):
        raise argparse.ArgumentTypeError(f"{text!r} is not a time; write 12.5 or 1:05 or 1:02:03")
    minutes = 0
    for part in larger:
        minutes = minutes * 60 + int(part)
    return total + minutes * 60


def positive(text: str) -> int:
    """A whole number of at least 1."""
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least 1")
    return int(text)


def run_window(parsed: Arguments) -> None:
    """`vl2` alone, and `vl2 open`."""
    from app.window_main import run

    run(getattr(parsed, "clip", None), parsed.safe_mode)


def run_ask(parsed: Arguments) -> None:
    """`vl2 ask`."""
    from app.ask import answer_here, answer_in_process
    from app.receipt import (
        Question,
        answer_json,
        check_same,
        read_receipt,
        replay,
        write_receipt,
    )
    from app.terminal import coverage_line, device_lines, known_world, say, show, statistics
    from engines.messages import clip_message

    before = read_receipt(parsed.replay) if parsed.replay is not None else None
    if before is None:
        message = clip_message(clip_options(parsed), parsed.question)
        question = Question(_spec(parsed), [message], generate_options(parsed))
    else:
        _refuse_beside_replay(parsed)
        question = replay(before, parsed.bundle, parsed.clip, parsed.device)
    answer = (answer_in_process if parsed.engine_process else answer_here)(question, parsed.json)
    for note in answer.result.coverage.notes:
        say(note)
    if parsed.json:
        show(json.dumps(answer_json(answer.result), ensure_ascii=False))
    for line in (
        known_world(answer.name, answer.world),
        coverage_line(answer.result),
        *device_lines(answer.result),
        statistics(answer.result),
    ):
        if line:
            say(line)
    if parsed.receipt is not None:
        write_receipt(parsed.receipt, answer.receipt)
    if before is not None:
        check_same(before, answer.result)


def _refuse_beside_replay(parsed: Arguments) -> None:
    """A receipt says how it was asked: what the command line says against it is not ignored."""
    parser: argparse.ArgumentParser = parsed.parser
    for name in _IN_A_RECEIPT:
        if getattr(parsed, name) != parser.get_default(name):
            option = "QUESTION" if name == "question" else f"--{name.replace('_', '-')}"
            parser.error(f"{option} cannot be given with --replay: the receipt says it")


def run_chat(parsed: Arguments) -> None:
    """`vl2 chat`."""
    from app.chat import talk

    talk(_load(parsed), clip_options(parsed), generate_options(parsed))


def run_live(parsed: Arguments) -> None:
    """`vl2 live`."""
    from app.live import run_live as live

    live(parsed, _spec(parsed), clip_options(parsed), generate_options(parsed))


def run_eval(parsed: Arguments) -> None:
    """`vl2 eval`."""
    from app.score import score

    score(
        _load(parsed), parsed.questions, clip_options(parsed), generate_options(parsed), parsed.json
    )


def run_doctor(parsed: Arguments) -> None:
    """`vl2 doctor`."""
    from app.doctor import report, write_report

    if parsed.report is not None:
        write_report(parsed.report, parsed.overwrite)
        return
    report(parsed.json, parsed.bundle, parsed.context, parsed.device)


def run_selftest(parsed: Arguments) -> None:
    """`vl2 selftest`."""
    from app.selftest import selftest

    selftest(parsed.bundle, parsed.device, parsed.exact, parsed.threads, parsed.json)


def run_bench(parsed: Arguments) -> None:
    """`vl2 bench`."""
    from app.terminal import say, show
    from assets import demo_clips
    from engines.bench import bench
    from engines.config import ClipOptions

    def tell(done: int, total: int) -> None:
        if done < total:
            say(f"run {done} of {total} …")

    clip = ClipOptions(parsed.clip or demo_clips() / "bounce.mp4")
    if parsed.window:
        record = _bench_window(parsed, clip.path, tell)
    elif parsed.engine_process:
        from app.process_bench import bench_process

        record = bench_process(_spec(parsed), clip, parsed.runs, tell)
    else:
        load = partial(_load, parsed, keep_encodings=False)
        record = bench(load, clip, runs=parsed.runs, threads=parsed.threads, tell=tell)
    show(json.dumps(record))


def _bench_window(
    parsed: Arguments, clip: Path, tell: Callable[[int, int], None]
) -> dict[str, Any]:
    from app.settings import Settings
    from app.window_main import check_screen

    check_screen()
    from app.widgets.window_bench import bench_window

    bundle = "" if parsed.bundle is None else str(parsed.bundle)
    settings = Settings(
        bundle=bundle, device=parsed.device, exact=parsed.exact, threads=parsed.threads
    )
    return bench_window(clip, settings, parsed.runs, tell)


def clip_options(parsed: Arguments) -> "ClipOptions":
    """What the command line asks of a clip; `eval` names the clips later."""
    from engines.config import ClipOptions

    return ClipOptions(
        path=getattr(parsed, "clip", None) or Path(),
        num_frames=parsed.frames,
        range_s=None if parsed.range is None else (parsed.range[0], parsed.range[1]),
        sound=parsed.sound,
        audio_window=parsed.audio_window,
        seed=getattr(parsed, "seed", 0),
        pad=parsed.pad,
    )


def generate_options(parsed: Arguments) -> "GenerateOptions":
    """How the command line asks to answer."""
    from engines.sampling import GenerateOptions

    return GenerateOptions(
        max_new_tokens=parsed.max_new_tokens,
        temperature=getattr(parsed, "temperature", None),
        top_p=getattr(parsed, "top_p", None),
        top_k=getattr(parsed, "top_k", None),
        seed=getattr(parsed, "seed", 0),
    )


def _spec(parsed: Arguments, keep_encodings: bool = True) -> "EngineSpec":
    from app.inference import EngineSpec

    return EngineSpec(parsed.bundle, parsed.device, parsed.exact, parsed.threads, keep_encodings)


def _load(parsed: Arguments, keep_encodings: bool = True) -> "VideoLlama2":
    from app.ask import load

    return load(_spec(parsed, keep_encodings))

"""`vl2-export demo`: train the demo model, or write clips of its world to test on."""

import argparse
import dataclasses
import sys
from pathlib import Path
from typing import Any


def add_parser(subparsers: Any) -> None:
    """Mount the verb `demo` with its verbs; each sets `run(arguments)`."""
    parser = _verb(subparsers, "demo", "the bundled demo model: train it, test it", "clips fresh")
    verbs = parser.add_subparsers(required=True, metavar="VERB")
    train = _verb(
        verbs,
        "train",
        "train the demo model from nothing, or go on with a work folder that was begun",
        "train demo-checkpoint --work demo-work",
    )
    add_train_arguments(train)
    train.set_defaults(run=run_train)
    about = "write fresh clips with questions"
    clips = _verb(verbs, "clips", about, "clips fresh --count 100 --seed 7")
    clips.add_argument("folder", type=Path, help="where the clips and questions.jsonl go")
    clips.add_argument("--count", type=_whole, default=100, help="number of clips (default 100)")
    clips.add_argument("--seed", type=_seed, default=1000, help="another seed, other clips")
    clips.set_defaults(run=run_clips)
    about = "write the clips that come with the program"
    showcase = _verb(verbs, "showcase", about, "showcase clips")
    showcase.add_argument("folder", type=Path, help="where the clips and questions.jsonl go")
    showcase.set_defaults(run=run_showcase)
    about = "draw what a bundle got of a clip and its answers"
    poster = _verb(verbs, "poster", about, "poster demo.vl2 clips/bounce.mp4 poster.png")
    poster.add_argument("bundle", type=Path, help="the bundle to ask")
    poster.add_argument("clip", type=Path, help="a clip with a questions.jsonl beside it")
    poster.add_argument("out", type=_drawing, help="the drawing, .png or .svg")
    poster.set_defaults(run=run_poster)
    about = "draw the learning curve of a training log"
    curve = _verb(verbs, "curve", about, "curve demo-work/log.jsonl curve.svg")
    curve.add_argument("log", type=Path, help="log.jsonl of a work folder")
    curve.add_argument("out", type=_drawing, help="the drawing, .svg or .png")
    curve.set_defaults(run=run_curve)


def _verb(verbs: Any, name: str, about: str, example: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = verbs.add_parser(
        name,
        help=about,
        description=f"{about[0].upper()}{about[1:]}.",
        epilog=f"example:\n  vl2-export demo {example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    return parser


def add_train_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `demo train`."""
    parser.add_argument("out", type=Path, help="folder of the checkpoint to write")
    parser.add_argument(
        "--work", type=Path, required=True, help="folder for pools, states and the log (10 GB)"
    )
    parser.add_argument(
        "--hours", type=_hours, help="time to train for, on two cores (default: the shipped recipe)"
    )
    parser.add_argument("--seed", type=_seed, help="seed of everything drawn by chance")
    parser.add_argument(
        "--processes",
        type=_whole,
        default=2,
        help="processes that render and train together (default 2); another number, other weights",
    )


def run_train(args: argparse.Namespace) -> int:
    """Train, telling each line of progress."""
    from export.demo.train import Schedule, train

    schedule = dataclasses.replace(Schedule(), processes=args.processes)
    if args.seed is not None:
        schedule = dataclasses.replace(schedule, seed=args.seed)
    if args.hours is not None:
        schedule = schedule.scaled(args.hours)
    train(args.out, args.work, schedule, told=_tell)
    return 0


def run_clips(args: argparse.Namespace) -> int:
    """Write clips, telling how far it is."""
    from export.demo.clips import write_clips

    write_clips(args.folder, args.count, args.seed, told=_tell)
    _tell(f"{args.count} clips and questions.jsonl are in {args.folder}")
    return 0


def run_showcase(args: argparse.Namespace) -> int:
    """Write the showcase."""
    from export.demo.showcase import write_showcase

    write_showcase(args.folder)
    return 0


def run_poster(args: argparse.Namespace) -> int:
    """Draw the poster."""
    from export.demo.poster import draw

    draw(args.bundle, args.clip, args.out)
    return 0


def run_curve(args: argparse.Namespace) -> int:
    """Draw the curve."""
    from export.demo.curve import draw

    draw(args.log, args.out)
    return 0


def _whole(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not 1 or more")
    return number


def _drawing(text: str) -> Path:
    if Path(text).suffix not in (".png", ".svg"):
        raise argparse.ArgumentTypeError(f"{text} ends neither in .png nor in .svg")
    return Path(text)


def _seed(text: str) -> int:
    number = int(text)
    if number < 0:
        raise argparse.ArgumentTypeError(f"{text} is below zero")
    return number


def _hours(text: str) -> float:
    hours = float(text)
    if not 0 < hours < 1000:
        raise argparse.ArgumentTypeError(f"{text} is not a number of hours")
    return hours


def _tell(line: str) -> None:
    sys.stderr.write(line + "\n")
    sys.stderr.flush()

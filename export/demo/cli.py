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
    about = "train the connector that pools frames one by one, to compare"
    ablate = _verb(verbs, "ablate", about, "ablate demo-work")
    ablate.add_argument("work", type=Path, help="work folder of a finished training")
    ablate.set_defaults(run=run_ablate)
    add_clips_verb(verbs)
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
    about = "count the right facts of captions in what `vl2 eval --json` printed"
    facts = _verb(verbs, "facts", about, "facts scores.json")
    facts.add_argument("scores", type=Path, help="what `vl2 eval --json` printed")
    facts.set_defaults(run=run_facts)
    about = "draw the learning curve of a training log"
    curve = _verb(verbs, "curve", about, "curve demo-work/log.jsonl curve.svg")
    curve.add_argument("log", type=Path, help="log.jsonl of a work folder")
    curve.add_argument("out", type=_drawing, help="the drawing, .svg or .png")
    curve.set_defaults(run=run_curve)


def _verb(verbs: Any, name: str, about: str, *examples: str) -> argparse.ArgumentParser:
    shown = "".join(f"\n  vl2-export demo {example}" for example in examples)
    parser: argparse.ArgumentParser = verbs.add_parser(
        name,
        help=about,
        description=f"{about[0].upper()}{about[1:]}.",
        epilog=f"example{'s' * (len(examples) > 1)}:{shown}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    return parser


def add_clips_verb(verbs: Any) -> None:
    """The verb `demo clips`; what goes together and what does not is for argparse to say."""
    parser = _verb(
        verbs,
        "clips",
        "write fresh clips with questions",
        "clips fresh --count 100 --seed 7",
        "clips fresh --questions 200 --seed 7",
        "clips backwards --questions 200 --seed 7 --control reversed",
        "clips reworded --set evaluation --paraphrased",
    )
    parser.add_argument("folder", type=Path, help="where the clips and questions.jsonl go")
    much = parser.add_mutually_exclusive_group()
    much.add_argument("--count", type=_whole, metavar="N", help="number of clips (default 100)")
    much.add_argument(
        "--questions",
        type=_whole,
        metavar="N",
        help="as many clips, chosen among those of the seed, as give every type N questions with"
        " all its answers equally often",
    )
    much.add_argument(
        "--set",
        choices=("calibration", "evaluation"),
        help="a set with a name: calibration has 48 clips, evaluation 200 questions of every type",
    )
    parser.add_argument("--seed", type=_seed, help="another seed, other clips (default 1000)")
    change = parser.add_mutually_exclusive_group()
    change.add_argument(
        "--control",
        choices=("reversed", "reordered", "other-sound", "no-sound", "other-picture"),
        help="run the pictures backwards, let two things appear in the other order, take another"
        " clip's sound, none, or another clip's pictures; questions.jsonl has the answers of the"
        " changed clips, unchanged.jsonl those of the clips as they were",
    )
    change.add_argument(
        "--paraphrased", action="store_true", help="ask in words that are in no training question"
    )
    parser.set_defaults(run=run_clips, wrong=parser.error)


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


def run_ablate(args: argparse.Namespace) -> int:
    """Train and score the pooled connector."""
    from export.demo.train import ablate

    ablate(args.work, told=_tell)
    return 0


def run_clips(args: argparse.Namespace) -> int:
    """Write clips, telling how far it is."""
    from export.demo.clips import SETS, Wanted, write_set

    if args.set is not None and args.seed is not None:
        args.wrong("argument --seed: not allowed with argument --set")
    if args.set is not None:
        wanted = SETS[args.set]
    else:
        clips = None if args.questions is not None else args.count or 100
        wanted = Wanted(1000 if args.seed is None else args.seed, clips, args.questions)
    wanted = dataclasses.replace(wanted, control=args.control, paraphrased=args.paraphrased)
    number = write_set(args.folder, wanted, told=_tell)
    files = "questions.jsonl" + (" and unchanged.jsonl" if args.control else "")
    _tell(f"{number} clips, with {files}, are in {args.folder}")
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


def run_facts(args: argparse.Namespace) -> int:
    """Print the share of right facts, a type of caption a line."""
    from export.demo.facts import report

    for kind, share in report(args.scores).items():
        sys.stdout.write(f"{kind}  {100 * share:.1f} % of facts right\n")
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

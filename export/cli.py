"""`vl2-export`: a checkpoint to a bundle, checking a bundle, the demo model's recipe."""

import argparse
import importlib.util
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from engines.command import run_command
from engines.errors import ExportError

if TYPE_CHECKING:
    from export.engine_build import EngineOptions
    from export.plan import ExportOptions

PROGRAM = "vl2-export"
EXPORT_HELP = """\
examples:
  vl2-export VideoLLaMA2-7B                       int4, to ./VideoLLaMA2-7B-int4.vl2
  vl2-export VideoLLaMA2.1-7B-AV --fp16 -o av.vl2
  vl2-export VideoLLaMA2-7B --group 32            int4, a scale for every 32 weights
  vl2-export VideoLLaMA2-7B --tensorrt            and engines for the GPU that is here
  vl2-export engines av.vl2 --arch sm89,sm120     engines for a bundle that is there
  vl2-export verify av.vl2                        hashes and the stored self-test
  vl2-export demo --help                          train and build the bundled demo model

  vl2-export MY_LORA --base Mistral-7B-Instruct-v0.2     adapters and Base repositories
  vl2-export DAMO-NLP-SG/VideoLLaMA2-7B                  out of the Hugging Face hub's cache

Nothing is fetched from a network without --online. The bundle appears when it has been verified,
or not at all. What can be read: docs/checkpoints.md.
A folder whose name is one of the verbs is given as ./verify.
"""
ENGINES_HELP = """\
examples:
  vl2-export engines av.vl2                       for the GPU that is here
  vl2-export engines av.vl2 --arch sm89,sm120     for Ada and Blackwell, on any machine
  vl2-export engines av.vl2 --context 2048        a smaller cache, for little memory
  vl2-export engines av.vl2 --force               all anew, if one was set aside

What is up to date is left alone; a build that was stopped goes on when it is run again.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns 0 done, 1 failed, 2 wrong usage, 130 interrupted."""
    signal.signal(signal.SIGTERM, _terminate)
    arguments = list(sys.argv[1:] if argv is None else argv)
    verbs: dict[str, Callable[[list[str]], int]] = {
        "verify": _verify,
        "engines": _engines,
        "demo": _demo,
    }
    verb = verbs.get(arguments[0]) if arguments else None
    return verb(arguments[1:]) if verb else _export(arguments)


def _export(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog=PROGRAM,
        description="Make a bundle of a VideoLLaMA 2 checkpoint (a Hugging Face folder).",
        epilog=EXPORT_HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "checkpoint", type=Path, metavar="CHECKPOINT", help="or: verify, engines, demo"
    )
    parser.add_argument(
        "-o", "--output", type=Path, metavar="BUNDLE", help="default: ./CHECKPOINT-SCHEME.vl2"
    )
    parser.add_argument(
        "--base",
        metavar="PATH",
        help="the language model below an adapter or a Base repository, if it is not found: a"
        " folder, or a hub id in the cache",
    )
    parser.add_argument(
        "--online",
        action="store_true",
        help="download parts that are nowhere here (checkpoint, language model, vision tower)",
    )
    _add_scheme_arguments(parser)
    _add_quantising_arguments(parser)
    engines = parser.add_argument_group("engines for NVIDIA GPUs")
    engines.add_argument(
        "--tensorrt", action="store_true", help="compile engines too, when the bundle is there"
    )
    _add_engine_arguments(engines)
    parser.add_argument("--force", action="store_true", help="replace an existing bundle")
    args = parser.parse_args(arguments)

    def work() -> None:
        # torch and onnx take seconds to import: not for --help, and not for wrong usage.
        from export.build import export_bundle
        from export.engine_build import EngineOptions, build_engines, check_options
        from export.plan import default_target

        options, engines = _options(args), _engine_options(args)
        if args.tensorrt:
            check_options(engines)
        elif engines != EngineOptions():
            raise ExportError("--arch, --context and --tensorrt-flavour go with --tensorrt alone.")
        target = args.output or default_target(args.checkpoint, options.scheme)
        export_bundle(args.checkpoint, target, options)
        if args.tensorrt:
            build_engines(target, engines)

    return run_command(PROGRAM, work)


def _add_scheme_arguments(parser: argparse.ArgumentParser) -> None:
    scheme = parser.add_mutually_exclusive_group()
    for name, text in (
        ("int4", "round the decoder to 4 bits, the rest to 16 (default)"),
        ("fp16", "16 bits everywhere"),
        ("fp32", "32 bits everywhere, the reference's own numbers"),
    ):
        scheme.add_argument(f"--{name}", dest="scheme", action="store_const", const=name, help=text)
    parser.add_argument(
        "--group",
        type=_group,
        metavar="N",
        help="weights that share a scale; default: the largest of 128, 64, 32, 16 that fits;"
        " -1: a whole row",
    )
    parser.add_argument(
        "--head", choices=("int4", "int8", "fp16"), help="the output matrix of int4 (int8)"
    )
    parser.add_argument(
        "--embeddings", type=int, choices=(8, 16), default=16, help="bits of the embeddings (16)"
    )


def _add_quantising_arguments(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("where the 4 bits come from (default: GPTQ, made here)")
    group.add_argument(
        "--rtn", action="store_true", help="round to nearest: soon done, and less like the model"
    )
    group.add_argument(
        "--gptq", type=Path, metavar="DIR", help="take a GPTQ checkpoint made by another program"
    )
    group.add_argument(
        "--calibration",
        type=Path,
        metavar="FOLDER",
        help="clips to calibrate with, perhaps with questions.jsonl; default: bundled ones",
    )
    group.add_argument(
        "--calibration-tokens", type=_positive, metavar="N", help="how many are enough (32768)"
    )
    group.add_argument(
        "--calibration-weights",
        choices=("balanced", "equal"),
        default="balanced",
        help="balanced: picture and sound count no more than the text (default)",
    )
    group.add_argument(
        "--keep-gptq", type=Path, metavar="DIR", help="leave the decoder as a GPTQ checkpoint too"
    )
    group.add_argument(
        "--report", type=_drawing, metavar="FILE", help="draw what it cost: .html or .png"
    )
    group.add_argument(
        "--accept-loss", action="store_true", help="publish a bundle outside the limits as well"
    )
    group.add_argument(
        "--quantise-on", choices=("cpu", "cuda"), default="cpu", help="where torch computes (cpu)"
    )


def _add_engine_arguments(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--arch",
        default="this",
        metavar="ARCH",
        help="for which GPUs, such as sm86,sm89,sm120; or all; or this (default: the one here)",
    )
    group.add_argument(
        "--tensorrt-flavour",
        choices=("rtx", "classic"),
        default="rtx",
        help="rtx: TensorRT for RTX, on any machine (default); classic: plain TensorRT, on the GPU",
    )
    group.add_argument(
        "--context",
        type=_positive,
        metavar="N",
        help="positions in the decoder's cache (as before; at first 4096, or all the model has)",
    )


def _engine_options(args: argparse.Namespace, force: bool = False) -> "EngineOptions":
    from export.engine_build import EngineOptions

    return EngineOptions(args.arch, args.tensorrt_flavour, args.context, force)


def _options(args: argparse.Namespace) -> "ExportOptions":
    from export.calibrate import TOKENS
    from export.hub import Where
    from export.plan import CalibrationOptions, ExportOptions

    return ExportOptions(
        scheme=args.scheme or "int4",
        group=args.group,
        engines=args.tensorrt,
        replace=args.force,
        method="rtn" if args.rtn else None,
        head=args.head,
        embedding_bits=args.embeddings,
        calibration=CalibrationOptions(
            args.calibration, args.calibration_tokens or TOKENS, args.calibration_weights
        ),
        gptq=args.gptq,
        keep_gptq=args.keep_gptq,
        report=args.report,
        accept_loss=args.accept_loss,
        device=args.quantise_on,
        where=Where(args.base, args.online),
    )


def _group(text: str) -> int:
    number = int(text)
    if number < 1 and number != -1:
        raise argparse.ArgumentTypeError("must be above zero, or -1")
    return number


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be above zero")
    return number


def _drawing(text: str) -> Path:
    path = Path(text)
    if path.suffix not in (".html", ".png"):
        raise argparse.ArgumentTypeError("must end in .html or .png")
    return path


def _verify(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog=f"{PROGRAM} verify",
        description="Check a bundle: every file's hash, and its graphs by the stored self-test.",
        epilog="example:\n  vl2-export verify VideoLLaMA2-7B-int4.vl2",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("bundle", type=Path, metavar="BUNDLE")
    args = parser.parse_args(arguments)

    def work() -> None:
        from export.progress import Progress
        from export.verify import verify_bundle

        with Progress(0) as progress:
            found = verify_bundle(args.bundle, lambda what: progress.step(what, 0))
        sys.stdout.write(found + "\n")

    return run_command(PROGRAM, work)


def _engines(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog=f"{PROGRAM} engines",
        description="Compile the engines that a bundle lacks: what NVIDIA GPUs run instead of its"
        " graphs. No GPU is needed for it; the graphs are checked before, the engines are checked"
        " by the program that runs them.",
        epilog=ENGINES_HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("bundle", type=Path, metavar="BUNDLE")
    group = parser.add_argument_group("what to compile")
    _add_engine_arguments(group)
    group.add_argument(
        "--force", action="store_true", help="build what is up to date too, such as a set aside one"
    )
    args = parser.parse_args(arguments)

    def work() -> None:
        from export.engine_build import build_engines

        build_engines(args.bundle, _engine_options(args, args.force))

    return run_command(PROGRAM, work)


def _demo(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog=PROGRAM)
    if importlib.util.find_spec("export.demo.cli") is None:
        parser.error("this installation holds no demo recipe")
    from export.demo.cli import add_parser

    add_parser(parser.add_subparsers(required=True, metavar="VERB"))
    args = parser.parse_args(["demo", *arguments])

    def work() -> None:
        try:
            args.run(args)
        except BrokenPipeError:
            raise
        except OSError as error:
            what = f"{error.filename or 'A file'} cannot be used ({error.strerror or error})"
            raise ExportError(f"{what}; choose another path or free some space.") from error

    return run_command(PROGRAM, work)


def _terminate(number: int, frame: FrameType | None) -> None:
    # As Ctrl-C: what is finished is kept on the way out.
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())

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
    from export.plan import ExportOptions

PROGRAM = "vl2-export"
EXPORT_HELP = """\
examples:
  vl2-export VideoLLaMA2-7B                       int4, to ./VideoLLaMA2-7B-int4.vl2
  vl2-export VideoLLaMA2.1-7B-AV --fp16 -o av.vl2
  vl2-export VideoLLaMA2-7B --group 32 --tensorrt-graph
  vl2-export verify av.vl2                        hashes and the stored self-test
  vl2-export demo --help                          train and build the bundled demo model

Nothing is fetched from a network. The bundle appears when it has been verified, or not at all.
A folder whose name is one of the verbs is given as ./verify.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns 0 done, 1 failed, 2 wrong usage, 130 interrupted."""
    signal.signal(signal.SIGTERM, _terminate)
    arguments = list(sys.argv[1:] if argv is None else argv)
    verbs: dict[str, Callable[[list[str]], int]] = {"verify": _verify, "demo": _demo}
    verb = verbs.get(arguments[0]) if arguments else None
    return verb(arguments[1:]) if verb else _export(arguments)


def _export(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog=PROGRAM,
        description="Make a bundle of a VideoLLaMA 2 checkpoint (a Hugging Face folder).",
        epilog=EXPORT_HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("checkpoint", type=Path, metavar="CHECKPOINT", help="or: verify, demo")
    parser.add_argument(
        "-o", "--output", type=Path, metavar="BUNDLE", help="default: ./CHECKPOINT-SCHEME.vl2"
    )
    _add_scheme_arguments(parser)
    _add_quantising_arguments(parser)
    parser.add_argument(
        "--tensorrt-graph",
        action="store_true",
        help="also write the decoder in standard operators, for TensorRT",
    )
    parser.add_argument("--force", action="store_true", help="replace an existing bundle")
    args = parser.parse_args(arguments)

    def work() -> None:
        # torch and onnx take seconds to import: not for --help, and not for wrong usage.
        from export.build import export_bundle
        from export.plan import default_target

        options = _options(args)
        target = args.output or default_target(args.checkpoint, options.scheme)
        export_bundle(args.checkpoint, target, options)

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


def _options(args: argparse.Namespace) -> "ExportOptions":
    from export.calibrate import TOKENS
    from export.plan import CalibrationOptions, ExportOptions

    return ExportOptions(
        scheme=args.scheme or "int4",
        group=args.group,
        tensorrt_graph=args.tensorrt_graph,
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
        from export.verify import verify_bundle

        sys.stdout.write(verify_bundle(args.bundle) + "\n")

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
    # As Ctrl-C: what is unfinished is removed on the way out.
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())

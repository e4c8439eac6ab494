"""Everything that only a machine with an NVIDIA GPU can tell, in one report to paste."""

import argparse
import json
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from assets import demo_bundle, demo_clips
from engines.version import VERSION

DEVICES = ("tensorrt", "cpu")
QUESTIONS = 12
BENCH_RUNS = 3
# A module with a `main`, and its arguments.
Run = Callable[..., "subprocess.CompletedProcess[str]"]


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bundle", type=Path, nargs="?", help="default: a copy of the demo")
    parser.add_argument("--context", type=int, help="tokens that the engine's cache holds")
    parsed = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        # Its engines do not belong into the source tree.
        bundle = parsed.bundle or shutil.copytree(demo_bundle(), Path(folder) / "demo.vl2")
        failures = report(Path(bundle), parsed.context)
    return 1 if failures else 0


def report(bundle: Path, context: int | None, run: Run | None = None) -> list[str]:
    """Print the report, as Markdown; return what was not as it should be.

    Args:
        bundle: the bundle; engines are built beside it.
        context: tokens that the decoder's cache holds; None is what is usual.
        run: runs a command; None runs it in a process of its own.
    """
    run = run or apart
    failures: list[str] = []

    def say(text: str) -> None:
        print(_named(text, bundle).rstrip(), flush=True)

    def step(name: str, module: str, *arguments: str) -> None:
        print(f"{name} …", file=sys.stderr, flush=True)  # A large model takes minutes.
        done = run(module, *arguments)
        say(f"\n== {name}\n{done.stderr}{done.stdout}")
        if done.returncode:
            failures.append(f"{name} ended with {done.returncode}")

    print("```")
    say(f"VL2 {VERSION}, {platform.system()} {platform.release()}, {bundle.name}")
    more = [] if context is None else ["--context", str(context)]
    step("engines", "export.cli", "engines", str(bundle), "--arch", "this", *more)
    step("doctor", "app.cli", "doctor", str(bundle))
    for device in DEVICES:
        options = ("--device", device, "--bundle", str(bundle))
        step(f"selftest on {device}", "app.cli", "selftest", *options)
    answers = {device: asked(bundle, device, run, failures) for device in DEVICES}
    ours, plain = (answers[device] for device in DEVICES)
    equal = sum(ours.get(question) == answer for question, answer in plain.items())
    say(f"\n== answers: {equal} of {len(plain)} are equal")
    for (clip, question), answer in plain.items():
        if ours.get((clip, question)) != answer:
            say(f"{clip}: {question} {ours.get((clip, question))!r}, on the CPU {answer!r}")
    for device in DEVICES:
        options = ("--runs", str(BENCH_RUNS), "--device", device, "--bundle", str(bundle))
        step(f"bench on {device}", "app.cli", "bench", *options)
    say("\n" + ("; ".join(failures) if failures else "everything is as it should be"))
    print("```")
    return failures


def asked(
    bundle: Path, device: str, run: Run, failures: list[str]
) -> dict[tuple[str, str], str | None]:
    """Ask the demo's questions; None where there was no answer, which is a failure."""
    lines = (demo_clips() / "questions.jsonl").read_text(encoding="utf-8").splitlines()
    found: dict[tuple[str, str], str | None] = {}
    for line in lines[:QUESTIONS]:
        item: dict[str, Any] = json.loads(line)
        clip = str(demo_clips() / item["clip"])
        options = ("--json", "--max-new-tokens", "48", "--device", device, "--bundle", str(bundle))
        done = run("app.cli", "ask", clip, item["question"], *options)
        answer = json.loads(done.stdout)["answer"] if done.returncode == 0 else None
        found[item["clip"], item["question"]] = answer
        if answer is None:
            last = (done.stderr.strip().splitlines() or ["it says nothing"])[-1]
            failures.append(f"{item['clip']} on {device}: {_named(last, bundle).rstrip('.')}")
    return found


def _named(text: str, bundle: Path) -> str:
    """A text without the places on this computer, which are nobody's business."""
    for place, name in ((bundle, "BUNDLE"), (bundle.resolve(), "BUNDLE"), (Path.home(), "~")):
        text = text.replace(str(place), name)
    return text


def apart(module: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run a command in a process of its own."""
    code = f"import sys; from {module} import main; sys.exit(main())"
    return subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False
    )


if __name__ == "__main__":
    sys.exit(main())

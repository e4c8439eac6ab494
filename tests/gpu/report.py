"""Everything that only a machine with an NVIDIA GPU can tell, in one report to paste."""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from assets import demo_bundle, demo_clips

DEVICES = ("tensorrt", "cpu")
QUESTIONS = 12


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bundle", type=Path, nargs="?", help="default: a copy of the demo")
    parser.add_argument("--context", type=int, help="tokens that the engine's cache holds")
    parsed = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        # Its engines do not belong into the source tree.
        bundle = parsed.bundle or shutil.copytree(demo_bundle(), Path(folder) / "demo.vl2")
        failures = report(Path(bundle), parsed.context)
    print("\n" + ("; ".join(failures) if failures else "everything is as it should be"))
    return 1 if failures else 0


def report(bundle: Path, context: int | None) -> list[str]:
    """Prints the report; returns what was not as it should be."""
    failures = []
    build = ["engines", str(bundle), "--arch", "this"]
    build += [] if context is None else ["--context", str(context)]
    steps = [
        ("engines", run("export.cli", *build)),
        ("doctor", run("app.cli", "doctor", str(bundle))),
    ]
    for device in DEVICES:
        arguments = ("selftest", "--device", device, "--bundle", str(bundle))
        steps.append((f"selftest on {device}", run("app.cli", *arguments)))
    for name, done in steps:
        print(f"\n== {name}\n{done.stdout}{done.stderr}".rstrip())
        if done.returncode:
            failures.append(f"{name} ended with {done.returncode}")
    answers = {device: asked(bundle, device) for device in DEVICES}
    different = [
        f"{clip}: {question} {answers['tensorrt'][clip, question]!r}, on the CPU {answer!r}"
        for (clip, question), answer in answers["cpu"].items()
        if answers["tensorrt"].get((clip, question)) != answer
    ]
    print(
        f"\n== answers: {len(answers['cpu']) - len(different)} of {len(answers['cpu'])} are equal"
    )
    print("\n".join(different))
    for device in DEVICES:
        done = run("app.cli", "bench", "--runs", "3", "--device", device, "--bundle", str(bundle))
        print(f"\n== bench on {device}\n{done.stdout}{done.stderr}".rstrip())
        if done.returncode:
            failures.append(f"bench on {device} ended with {done.returncode}")
    return failures


def asked(bundle: Path, device: str) -> dict[tuple[str, str], str]:
    """The demo's questions and a bundle's answers."""
    lines = (demo_clips() / "questions.jsonl").read_text(encoding="utf-8").splitlines()
    found: dict[tuple[str, str], str] = {}
    for line in lines[:QUESTIONS]:
        item: dict[str, Any] = json.loads(line)
        clip = str(demo_clips() / item["clip"])
        options = ("--json", "--max-new-tokens", "48", "--device", device, "--bundle", str(bundle))
        done = run("app.cli", "ask", clip, item["question"], *options)
        answer = json.loads(done.stdout)["answer"] if done.returncode == 0 else done.stderr
        found[item["clip"], item["question"]] = answer
    return found


def run(module: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    code = f"import sys; from {module} import main; sys.exit(main())"
    return subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False
    )


if __name__ == "__main__":
    sys.exit(main())

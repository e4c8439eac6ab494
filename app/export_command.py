"""How a bundle is built from here: `vl2-export` as a process of its own, which needs torch.

The app never imports the export; it knows its command line and reads its progress.
"""

import importlib.util
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

# What `pip install vl2[export]` brings and the program itself does without.
PACKAGES = ("torch", "transformers", "onnx", "safetensors", "ml_dtypes")
_PERCENT = re.compile(r" · (\d{1,3})%(?: · |$)")


@dataclass(frozen=True)
class ExportChoices:
    """What is asked of vl2-export.

    Attributes:
        scheme: how weights are stored.
        group: weights that share a scale (int4 only); None takes the largest that fits.
        replace: replace a bundle that is there already.
    """

    scheme: Literal["int4", "fp16", "fp32"] = "int4"
    group: int | None = None
    replace: bool = False


def export_problem() -> str | None:
    """Why no bundle can be built here, in a sentence; None where one can."""
    if getattr(sys, "frozen", False):
        if _frozen_program().is_file():
            return None
        return (
            "This program comes without vl2-export; install the Python package with its export"
            " extra to build bundles: pip install 'vl2[export]'."
        )
    missing = [name for name in ("export", *PACKAGES) if importlib.util.find_spec(name) is None]
    if not missing:
        return None
    return (
        f"Building a bundle needs {', '.join(missing)}, which this installation does not have;"
        " install it with: pip install 'vl2[export]'."
    )


def export_command(checkpoint: Path, out: Path, choices: ExportChoices) -> list[str]:
    """Program and arguments that build a bundle; log and progress come on stderr.

    Args:
        checkpoint: the checkpoint's folder.
        out: the bundle to be made.
        choices: how.
    """
    if getattr(sys, "frozen", False):
        command = [str(_frozen_program())]
    else:
        # -P: not from the working folder, which may hold anything.
        command = [sys.executable, "-P", "-m", "export.cli"]
    # Absolute, so that no name looks like an option or a verb.
    command += [str(checkpoint.absolute()), "-o", str(out.absolute()), f"--{choices.scheme}"]
    if choices.group is not None and choices.scheme == "int4":
        command += ["--group", str(choices.group)]
    if choices.replace:
        command.append("--force")
    return command


def export_progress(line: str) -> float | None:
    """How far a line of the export's log says it is, 0 to 1; None where it says nothing of it."""
    found = _PERCENT.search(line.strip())
    return None if found is None else min(int(found[1]), 100) / 100


def _frozen_program() -> Path:
    ending = ".exe" if sys.platform == "win32" else ""
    return Path(sys.executable).with_name(f"vl2-export{ending}")

"""The GPU pack: what drives NVIDIA GPUs, in a folder `gpu` beside the frozen program.

    python -m app.freezing.gpu_pack dist/vl2

copies it out of the environment that it runs in (which has the extra `tensorrt`). The program puts
the folder in front of its own packages when it starts (`app/frozen.py`).
"""

import argparse
import shutil
import sys
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from app.frozen import PACK

PACKAGES = (
    *("cuda-bindings", "cuda-pathfinder", "tensorrt-rtx-cu12"),
    *("tensorrt-rtx-cu12-bindings", "tensorrt-rtx-cu12-libs"),
)
# What these import of Python, and the program itself perhaps does not.
STANDARD_LIBRARY = (
    *("argparse", "ctypes.util", "ctypes.wintypes", "glob", "importlib.metadata", "json"),
    *("linecache", "ntpath", "platform", "shlex", "site", "sysconfig", "unittest", "weakref"),
)
# Compiling headers and sources of the packages' own makers.
_LEFT_OUT = {".h", ".hpp", ".pxd", ".pyx", ".pxi", ".in", ".pyi", ".pth", ".pyc"}


def make_pack(folder: Path, packages: tuple[str, ...] = PACKAGES) -> int:
    """Copy packages into a folder, which is made anew; returns its bytes.

    Raises:
        PackageNotFoundError: one of them is not installed here.
    """
    found = [distribution(name) for name in packages]
    begun = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(begun, ignore_errors=True)
    count = 0
    for one in found:
        for file in one.files or ():
            source = Path(str(one.locate_file(file)))
            if ".." in file.parts or file.suffix in _LEFT_OUT or not source.is_file():
                continue
            target = begun / file
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)
            count += target.stat().st_size
    shutil.rmtree(folder, ignore_errors=True)
    begun.rename(folder)
    return count


def main() -> None:
    """Make the pack of a frozen program."""
    parser = argparse.ArgumentParser(prog="python -m app.freezing.gpu_pack", description=__doc__)
    parser.add_argument("program", type=Path, metavar="FOLDER", help="the frozen program's")
    folder = parser.parse_args().program / PACK
    try:
        count = make_pack(folder)
    except PackageNotFoundError as error:
        sys.exit(f"gpu_pack: {error.name} is not installed; pip install -e '.[tensorrt]'")
    sys.stdout.write(f"{folder}: {count / 1e6:.1f} MB\n")


if __name__ == "__main__":
    main()

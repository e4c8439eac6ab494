"""Encoders that FFmpeg is linked with and this program never uses, replaced by empty shells.

libx264 and libx265 are under the GPL, and with SVT-AV1 they are 30 MB. A shell has the library's
name and the functions that FFmpeg looks for, each of which only says that it failed. It takes a C
compiler; without one the libraries stay, and the licences with them.
"""

import re
import shutil
import subprocess
from pathlib import Path

# The beginning of a library's file name and of its functions', and how those say that they failed.
ENCODERS = {"libx264": ("x264_", 0), "libx265": ("x265_", 0), "libSvtAv1Enc": ("svt_", -1)}


def empty_encoders(folder: Path, work: Path) -> list[str]:
    """Replace the encoders in a folder of libraries by shells; Linux only.

    Args:
        folder: FFmpeg's libraries.
        work: where source text may be written.

    Returns:
        The libraries that are shells now; none where there is no compiler.

    Raises:
        CalledProcessError: the compiler does not work.
    """
    compiler, nm = shutil.which("cc") or shutil.which("gcc"), shutil.which("nm")
    if compiler is None or nm is None:
        return []
    looked_for = _undefined(nm, sorted(folder.glob("*.so*")))
    emptied = []
    for start, (prefix, failed) in ENCODERS.items():
        for library in sorted(folder.glob(f"{start}*.so*")):
            source = work / f"{start}.c"
            source.write_text(shell_source(looked_for, prefix, failed))
            command = [compiler, "-shared", "-nostdlib", "-s", f"-Wl,-soname,{library.name}"]
            subprocess.run([*command, "-o", str(library), str(source)], check=True)
            emptied.append(library.name)
    return emptied


def shell_source(names: dict[str, bool], prefix: str, failed: int) -> str:
    """A program in C with the functions and tables that begin with `prefix`.

    Args:
        names: what is looked for, and whether it is a function.
        prefix: of the names that are to be there.
        failed: what a function returns.
    """
    lines = []
    for name, is_function in sorted(names.items()):
        if name.startswith(prefix):
            function = f"long {name}(void) {{ return {failed}; }}"
            # A table without an entry; as large as any that is copied into a program.
            lines.append(function if is_function else f"const long {name}[64];")
    return "\n".join(lines) + "\n"


def _undefined(nm: str, libraries: list[Path]) -> dict[str, bool]:
    """What libraries look for elsewhere; True for functions, which is all but x264's one table."""
    command = [nm, "-D", "--undefined-only", *map(str, libraries)]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    names = re.findall(r"^ +U (\w+)", said, re.MULTILINE)
    return {name: not name.endswith("_levels") for name in names}

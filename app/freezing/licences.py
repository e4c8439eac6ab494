"""The licences of everything in the frozen program, collected into one folder.

A licence file comes from the package that is installed here; of what the system gave, from the
system's own documentation (Debian's `copyright` files). Packages whose wheels carry no text are
named in `INDEX` with the text that holds for them, in `app/freezing/licences`.
"""

import re
import shutil
import subprocess
import sysconfig
from collections.abc import Iterable
from importlib.metadata import Distribution, distributions
from pathlib import Path

TEXTS = Path(__file__).parent / "licences"
_LICENCE = re.compile(r"licen[cs]e|copying|notice|copyright", re.IGNORECASE)


def write_licences(
    folder: Path, modules: Iterable[str], binaries: Iterable[tuple[str, str]]
) -> list[str]:
    """Fill a folder with the licences of what went into the program.

    Args:
        folder: is made anew.
        modules: all modules of Python in the program.
        binaries: (place in the program, where it came from) of all its binary files.

    Returns:
        The distributions found, as "name version".
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for text in sorted(TEXTS.iterdir()):
        shutil.copy(text, folder / text.name)
    binaries = list(binaries)
    inside = {name.partition(".")[0] for name in modules}
    inside |= {_top(place) for place, _ in binaries}
    found = []
    for distribution in sorted(distributions(), key=lambda d: d.name.lower()):
        if inside & _tops(distribution) and distribution.name != "vl2":
            found.append(f"{distribution.name} {distribution.version}")
            _copy_texts(distribution, folder / distribution.name.lower())
    _python_licence(folder)
    _system_licences(folder / "system", [Path(source) for _, source in binaries])
    lines = ["What this program was made with:", "", *found, ""]
    (folder / "PACKAGES.txt").write_text("\n".join(lines), "utf-8")
    return found


def _tops(distribution: Distribution) -> set[str]:
    """The top-level names that a distribution installs."""
    tops = {file.parts[0] for file in distribution.files or () if file.parts[0] != ".."}
    return {_top(top) for top in tops if not top.endswith((".dist-info", ".pth"))}


def _top(place: str) -> str:
    """The first part of a place, as it is imported."""
    first = place.replace("\\", "/").partition("/")[0]
    return re.sub(r"(\.(cpython|cp3|abi3)[^/]*)?\.(py|so|pyd)$", "", first)


def _copy_texts(distribution: Distribution, folder: Path) -> None:
    for file in distribution.files or ():
        if _LICENCE.search(file.name) and file.suffix in ("", ".txt", ".md", ".rst", ".APACHE"):
            source = Path(str(distribution.locate_file(file)))
            if source.is_file():
                folder.mkdir(parents=True, exist_ok=True)
                # Some packages have several of the same name, for several parts.
                parts = [part for part in file.parts[:-1] if not part.endswith(".dist-info")]
                shutil.copy(source, folder / "-".join([*parts, file.name]))


def _python_licence(folder: Path) -> None:
    text = Path(sysconfig.get_path("stdlib")) / "LICENSE.txt"
    if text.is_file():
        (folder / "python").mkdir()
        shutil.copy(text, folder / "python" / "LICENSE.txt")


def _system_licences(folder: Path, sources: list[Path]) -> None:
    """Of the libraries that are the system's own, where dpkg knows whose they are."""
    ours = sorted({str(p.resolve()) for p in sources if str(p).startswith(("/usr/lib", "/lib"))})
    dpkg = shutil.which("dpkg")
    if dpkg is None or not ours:
        return
    # Debian lists /lib and /usr/lib, which are one folder, under either name.
    names = [*ours, *(place.removeprefix("/usr") for place in ours)]
    answer = subprocess.run([dpkg, "-S", *names], capture_output=True, text=True, check=False)
    packages = {line.partition(":")[0] for line in answer.stdout.splitlines()}
    for package in sorted(packages):
        text = Path("/usr/share/doc") / package / "copyright"
        if text.is_file():
            folder.mkdir(exist_ok=True)
            shutil.copy(text, folder / f"{package}.txt")

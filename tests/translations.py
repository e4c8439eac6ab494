"""The texts of the window and their translations; `python -m tests.translations` updates both.

Collects every text of app/ into app/translations/vl2_LANGUAGE.ts (lupdate) and packs the finished
translations into the .qm files that the program reads (lrelease). New texts are then `unfinished`
in the .ts: translate them (a text editor or Qt Linguist will do), and run it again.
"""

import subprocess
import sys
import sysconfig
from pathlib import Path

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "app" / "translations"
# English needs its file for plurals alone.
LANGUAGES = ("de", "en")


def sources() -> list[Path]:
    """Every module with texts that a person sees."""
    return sorted((ROOT / "app").rglob("*.py"))


def collect(file: Path, language: str) -> None:
    """Bring a .ts file up to date with the sources; what is gone from them is taken out."""
    plural = ["-pluralonly"] if language == "en" else []
    options = ["-no-obsolete", "-locations", "none", "-source-language", "en_GB", *plural]
    _run("pyside6-lupdate", *options, *map(str, sources()), "-ts", str(file))


def pack(file: Path, target: Path) -> None:
    """Make the .qm file of a .ts file, of its finished translations alone."""
    _run("pyside6-lrelease", "-silent", "-nounfinished", str(file), "-qm", str(target))


def _run(program: str, *arguments: str) -> None:
    path = Path(sysconfig.get_path("scripts")) / program
    done = subprocess.run([path, *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{program} failed: {done.stdout}{done.stderr}")


def main() -> int:
    """Update every language."""
    for language in LANGUAGES:
        file = FOLDER / f"vl2_{language}.ts"
        collect(file, language)
        pack(file, file.with_suffix(".qm"))
    return 0


if __name__ == "__main__":
    sys.exit(main())

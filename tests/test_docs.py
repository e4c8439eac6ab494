"""Documents name only what exists, and the code map names every module there is."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TOP = {path.name for path in ROOT.iterdir()}
DOCUMENTS = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")])
# A name in backticks, up to the first space or placeholder; a link's target in parentheses.
IN_BACKTICKS = re.compile(r"`([\w.-]+/[\w./-]*|[\w-]+\.(?:md|toml|txt))`")
LINKED = re.compile(r"\]\(([^)#:\s]+)\)")


def named_paths(document: Path) -> list[Path]:
    text = re.sub(r"^```.*?^```", "", document.read_text(encoding="utf-8"), flags=re.S | re.M)
    quoted = [ROOT / name for name in IN_BACKTICKS.findall(text) if name.split("/")[0] in TOP]
    return quoted + [document.parent / name for name in LINKED.findall(text)]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.name))
def test_every_path_that_a_document_names_exists(document: Path) -> None:
    assert [str(path) for path in named_paths(document) if not path.exists()] == []


def test_paths_are_found_in_text(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("`engines/a.py` `no/such` `make test` [b](docs/c.md) [d](https://e.org/f)\n")
    assert named_paths(page) == [ROOT / "engines/a.py", tmp_path / "docs/c.md"]


def test_the_code_map_names_every_module() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    modules = [
        path for folder in ("engines", "app", "export") for path in (ROOT / folder).glob("*.py")
    ]
    small = {"app/__init__.py", "app/__main__.py", "export/__init__.py"}
    names = {str(path.relative_to(ROOT)) for path in modules} - small
    assert sorted(name for name in names if f"`{name}`" not in text) == []
    assert len(text.splitlines()) < 200

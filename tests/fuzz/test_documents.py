"""A seeded part of what `tests.fuzz.documents` does at length, and what once failed."""

from collections import Counter
from pathlib import Path

import pytest

from engines.errors import Vl2Error
from tests.fuzz import documents

REGRESSIONS = sorted((Path(__file__).parent / "regressions").iterdir())


@pytest.fixture(scope="module", autouse=True)
def _libraries() -> None:
    documents.load_libraries()


@pytest.mark.parametrize("kind", documents.READERS)
def test_a_real_one_is_read(kind: str, tmp_path: Path) -> None:
    try:
        assert documents.examine(kind, documents.real(kind), tmp_path / "case") == "read"
    except Vl2Error as error:
        pytest.fail(str(error))


@pytest.mark.parametrize("kind", documents.READERS)
def test_damaged_ones_end_in_an_answer_or_a_sentence(kind: str, tmp_path: Path) -> None:
    found = Counter(
        documents.examine(kind, documents.damaged(kind, number), tmp_path / "case")
        for number in range(40)
    )
    assert found.total() == 40


@pytest.mark.parametrize("kind", documents.READERS)
def test_made_up_ones_end_in_an_answer_or_a_sentence(kind: str) -> None:
    found: Counter[str] = Counter()
    documents.run(kind, 12, 0, found)
    assert found.total() >= 12


@pytest.mark.parametrize("path", REGRESSIONS, ids=lambda path: path.name)
def test_what_once_failed(path: Path, tmp_path: Path) -> None:
    kind = path.name.partition("-")[0]
    assert documents.examine(kind, path.read_bytes(), tmp_path / "case") in ("read", "told")

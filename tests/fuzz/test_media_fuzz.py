"""Damaged clips, a few each time, and all that ever failed: an answer or one sentence, no more."""

import shutil
import sys
from pathlib import Path
from random import Random

import pytest

from tests.clips import MEDIA
from tests.fuzz.media_fuzz import Case, children, examine, run
from tests.fuzz.media_mutate import damaged
from tests.fuzz.media_seeds import make_seeds

KEPT = sorted((Path(__file__).parents[1] / "data" / "fuzz").glob("*.*"))
# Another one than that of the long run (docs/security.md): each adds to what was tried.
SEED, COUNT, SECONDS = 20_261_122, 60, 600.0
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="watches children in /proc")


@pytest.mark.confined
def test_damaged_clips_end_in_an_answer_or_in_a_sentence(tmp_path: Path) -> None:
    sources = make_seeds(tmp_path / "seeds")
    cases = list(run(SEED, range(COUNT), tmp_path, sources, SECONDS))
    assert cases
    assert [case for case in cases if case.faults] == []
    assert any("answer" in case.outcomes.values() for case in cases)


@pytest.mark.confined
@pytest.mark.parametrize("path", KEPT, ids=lambda path: path.name)
def test_what_failed_once_does_so_no_more(path: Path, tmp_path: Path) -> None:
    case = examine(Path(shutil.copy(path, tmp_path)), Case(0, path.name, []))
    assert case.faults == []
    assert "died" not in case.outcomes.values()
    assert not children()


def test_damage_is_the_same_again_and_is_damage() -> None:
    whole = (MEDIA / "test.png").read_bytes()
    found = [damaged(whole, [whole], Random(f"1:{number}"))[0] for number in range(50)]
    assert found == [damaged(whole, [whole], Random(f"1:{number}"))[0] for number in range(50)]
    assert len({whole, *found}) > 45

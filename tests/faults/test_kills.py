"""A few rounds of what `tests.faults.kills` does a hundred times; exports: test_killed."""

import random

import pytest

from tests.faults import kills


@pytest.mark.confined
def test_killed_engines() -> None:
    assert kills.kill_engines(4, random.Random(0), print).total() == 4


@pytest.mark.confined
def test_killed_media_children() -> None:
    assert kills.kill_media_children(5, random.Random(0), print).total() == 5


@pytest.mark.gui
def test_killed_windows() -> None:
    assert kills.kill_windows(3, random.Random(0), print).total() >= 3

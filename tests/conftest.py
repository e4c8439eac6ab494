"""Every test reads its clips in its own process, unless it is about the child that usually does."""

import pytest

from engines import media_child, media_process


@pytest.fixture(autouse=True)
def _clips_read_here(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A child for every clip would take most of the time; `confined` asks for it."""
    if request.node.get_closest_marker("confined") is None:
        monkeypatch.setattr(media_process, "call", media_child.answers)
        monkeypatch.setattr(media_process, "warm", lambda: None)

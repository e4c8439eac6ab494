"""Every test reads its clips in its own process, unless it is about the child that usually does.

Made-up cases are the same in every run, however busy the machine is: long runs that try others are
started by hand (`tests/fuzz`).
"""

import os
import signal

import pytest
from hypothesis import HealthCheck, settings

from engines import media_child, media_process

# What the window says is looked for in English, and Qt complains of any other encoding.
os.environ.pop("LANGUAGE", None)
os.environ["LC_ALL"] = "C.UTF-8"
# A shell's background jobs begin with Ctrl+C ignored, and all that they start: nothing would stop.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

settings.register_profile(
    "repeatable", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("repeatable")


@pytest.fixture(autouse=True)
def _clips_read_here(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A child for every clip would take most of the time; `confined` asks for it."""
    if request.node.get_closest_marker("confined") is None:
        monkeypatch.setattr(media_process, "call", media_child.answers)
        monkeypatch.setattr(media_process, "warm", lambda: None)

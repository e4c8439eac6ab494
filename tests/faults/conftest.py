"""Every fault happens in a home of its own; no program is left."""

from tests.test_app.conftest import home, nothing_left

__all__ = ["home", "nothing_left"]

"""A live session as a user has it: the program watches a camera on this computer for a flash."""

import json
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.live_devices import PictureServer, jpegs
from tests.screen import PATIENCE_S

ANSWER = "Yes, the background flashes."


def watch_a_flash(
    clip: Path,
    start: Callable[[list[str]], "subprocess.Popen[str]"],
    end: Callable[["subprocess.Popen[str]"], None],
) -> tuple[dict[str, Any], int]:
    """The moment that the program tells of, and the port that the camera was at.

    Args:
        clip: what the camera sees: a background that flashes.
        start: starts `vl2 live` with these options, its stdout a pipe.
        end: ends it.
    """
    film = jpegs(clip)
    with PictureServer(film[0]) as server:
        options = ["--camera", server.url, "--mic", "none", "--window", "4", "--json"]
        options += ["--check-every", "0.5", "--tell-when", "Does the background flash?"]
        process = start(options)
        watchdog = threading.Timer(PATIENCE_S, end, [process])
        watchdog.start()
        try:
            assert process.stdout is not None
            events = map(json.loads, process.stdout)
            assert any(event.get("state") == "on" for event in events)
            server.play(film, time.monotonic(), every_s=6.0)
            moment = next(event for event in events if event["event"] == "moment")
        finally:
            watchdog.cancel()
            end(process)
            process.communicate()
        assert moment["answer"] == ANSWER
        return moment, server.port

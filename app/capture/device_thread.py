"""A thread that keeps a device open: opened again with growing pauses whenever it is lost."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from engines.command import sentence_of
from engines.errors import CaptureError

FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 8.0
# A device that gave something for so long was in order: the pauses begin anew.
SETTLED_S = 5.0
# How long `close` waits; a native call that hangs ends with its own time limit, or the program.
PATIENCE_S = 3.0


@dataclass(frozen=True)
class DeviceState:
    """How a device is.

    Attributes:
        name: the device's, as the user knows it.
        kind: "opening"; "on"; "waiting", lost or refused, will be tried again; "off".
        sentence: while waiting, what is wrong, in one sentence for the user.
        retry_at_s: while waiting, when it is tried again (`time.monotonic`).
        openings: how many times it came on.
    """

    name: str
    kind: Literal["opening", "on", "waiting", "off"]
    sentence: str = ""
    retry_at_s: float = 0.0
    openings: int = 0


class DeviceThread:
    """Runs `record` for as long as it lasts, again and again."""

    def __init__(
        self, name: str, record: Callable[[Callable[[], None], threading.Event], None]
    ) -> None:
        """Starts nothing yet.

        Args:
            name: for the user.
            record: opens the device, calls its first argument when something comes, and returns
                soon after its second is set; raises CaptureError when the device cannot be opened
                or is lost.
        """
        self._record = record
        self._stopping = threading.Event()
        self._state = DeviceState(name, "opening")
        self._thread = threading.Thread(target=self._run, name=f"vl2-{name}", daemon=True)

    @property
    def state(self) -> DeviceState:
        """How the device is now."""
        return self._state

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def close(self) -> None:
        """End the thread; waits `PATIENCE_S` at most for a device that hangs."""
        self._stopping.set()
        if self._thread.ident is not None:
            self._thread.join(PATIENCE_S)
        self._set("off")

    def _run(self) -> None:
        pause_s = FIRST_PAUSE_S
        while not self._stopping.is_set():
            self._set("opening")
            started = time.monotonic()
            try:
                self._record(self._came_on, self._stopping)
                sentence = ""
            except CaptureError as error:
                sentence = str(error)
            except Exception as error:  # noqa: BLE001 (the edge of a thread: said, and tried again)
                sentence = sentence_of(error)
            if self._state.kind == "on" and time.monotonic() - started > SETTLED_S:
                pause_s = FIRST_PAUSE_S
            if not self._stopping.is_set():
                self._set("waiting", sentence, time.monotonic() + pause_s)
            self._stopping.wait(pause_s)
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
        self._set("off")

    def _came_on(self) -> None:
        if self._state.kind != "on":
            before = self._state
            self._state = DeviceState(before.name, "on", openings=before.openings + 1)

    def _set(
        self,
        kind: Literal["opening", "waiting", "off"],
        sentence: str = "",
        retry_at_s: float = 0.0,
    ) -> None:
        before = self._state
        if kind == "opening" and before.kind == "waiting":
            return  # What is wrong stays to be read until the device is on again.
        self._state = DeviceState(before.name, kind, sentence, retry_at_s, before.openings)

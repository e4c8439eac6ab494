"""A playing clip's pictures and sound, taken from the media child by a thread, a little ahead."""

import threading
from collections import deque
from contextlib import closing
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engines.errors import MediaError
from engines.media import Played, PlayOptions, play

# How far ahead of what is seen and heard is decoded.
AHEAD_S = 0.8
# And how much of it at most: pictures of a large screen, in bytes and in number.
MOST_BYTES, MOST_PICTURES = 512 << 20, 256
# More than a piece of sound and a picture are apart.
SILENT_S = 0.4


class PlayStream:
    """Begins at once; what has come is taken by `picture_at` and out of `sound`.

    Attributes:
        sound: pieces not yet heard, float32 (n, 2), each with its time.
        begun: something has come.
        over: nothing more comes.
        failed: nothing came at all.
        problem: why it ended before the clip's end; "" if it did not.
    """

    def __init__(self, path: Path, options: PlayOptions, before: "PlayStream | None") -> None:
        """Take a clip's parts from a time on; `before` gives its child back first."""
        self.sound: deque[Played] = deque()
        self.problem = ""
        self.begun = self.over = self.failed = False
        self._clock_s = self._last_s = options.start_s
        self._pictures: deque[Played] = deque()
        self._held = 0
        self._stopped = False
        self._path, self._options = path, options
        self._changed = threading.Condition()
        self._before = before
        self._thread = threading.Thread(target=self._run, name="player", daemon=True)
        self._thread.start()

    def is_silent_at(self, time_s: float) -> bool:
        """No sound waits, and none comes around a time: all that comes is in order."""
        beyond = self.over or self._last_s > time_s + SILENT_S or self._is_full()
        return not self.sound and beyond

    def is_spent(self) -> bool:
        """Nothing comes any more, and all that came was taken."""
        return self.over and not self.sound and not self._pictures

    def picture_at(self, time_s: float) -> NDArray[np.uint8] | None:
        """The newest picture of a time, once; it is played up to there, so more is taken."""
        found = None
        while self._pictures and self._pictures[0].time_s <= time_s + 0.001:
            found = self._pictures.popleft().content
            with self._changed:
                self._held -= found.nbytes
        with self._changed:
            self._clock_s = time_s
            self._changed.notify()
        return None if found is None else np.asarray(found, np.uint8)

    def stop(self) -> None:
        """Take no more; the thread ends by itself."""
        with self._changed:
            self._stopped = True
            self._changed.notify()

    def _run(self) -> None:
        if self._before is not None:
            self._before._thread.join()
            self._before = None
        if self._stopped:  # meanwhile, by whoever went on to another time
            self.over = True
            return
        try:
            with closing(play(self._path, self._options)) as parts:
                for part in parts:
                    if self._stopped:
                        return
                    self._keep(part)
        except MediaError as error:
            self.failed, self.problem = not self.begun, str(error)
        finally:
            self.over = True

    def _keep(self, part: Played) -> None:
        if part.content.ndim == 3:
            with self._changed:
                self._held += part.content.nbytes
            self._pictures.append(part)
        else:
            self.sound.append(part)
        self._last_s = part.time_s
        self.begun = True
        with self._changed:
            self._changed.wait_for(lambda: self._stopped or self._is_wanted_after(part))

    def _is_wanted_after(self, part: Played) -> bool:
        return part.time_s <= self._clock_s + AHEAD_S and not self._is_full()

    def _is_full(self) -> bool:
        return self._held >= MOST_BYTES or len(self._pictures) >= MOST_PICTURES

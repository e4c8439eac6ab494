"""A standing question, "tell me when …": when to look, when to ask, what counts as a moment.

Knows no model: whoever has one asks `due`, shows it the newest stretch (`engines.live.changes`),
and tells what it answered. A moment is an answer that begins with yes after one that did not.
"""

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

EVERY_S = 3.0
# Even where nothing changes, the model is asked so often: a gate may be wrong.
LONGEST_REST_S = 60.0
# A frame that differs from the one before it by more than this (see `engines.live.changes`) …
LEAST_CHANGE = 0.02
# … and by more than so many times what is usual here: a camera's noise opens no gate.
TIMES_USUAL = 3.0
REMEMBERED = 64
# Sound that is louder or quieter than before by so much opens the gate, if it is no mere hiss.
LEVEL_STEP_DB = 6.0
HISS_DB = -60.0
_LEVEL_S = 0.1
_YES = re.compile(r"\W*(yes|ja|oui|sí|si)\b", re.IGNORECASE)


@dataclass(frozen=True)
class Moment:
    """What was waited for came true: the question, the answer, and the stretch it is about."""

    question: str
    answer: str
    start_s: float
    end_s: float


class Watch:
    """One standing question."""

    def __init__(self, question: str, every_s: float = EVERY_S) -> None:
        """Args: a question that is answered by yes or no, and how often to look, s."""
        self.question = question
        self.every_s = every_s
        self.looks = 0
        self.asked = 0
        self._looked_s = -np.inf
        self._asked_s = -np.inf
        self._level_db = -np.inf
        self._usual: list[float] = []
        self._was_true = False

    def due(self, now_s: float) -> bool:
        """Whether it is time to look again."""
        return now_s - self._looked_s >= self.every_s

    def worth_asking(
        self,
        now_s: float,
        times_s: NDArray[np.float64],
        changes: NDArray[np.float64],
        level_db: float,
    ) -> bool:
        """Whether enough has changed since the last look for the model to be asked.

        Args:
            now_s: when the stretch was looked at.
            times_s: when its T frames were taken, on the same clock; T may be 0.
            changes: how much each differs from the one before it, (T - 1,).
            level_db: the loudest moment since the last look; see `loudest_db`.
        """
        new = changes[times_s[1:] > self._looked_s] if len(times_s) > 1 else np.zeros(0)
        first = self.looks == 0
        self.looks += 1
        self._looked_s = now_s
        usual = float(np.median(self._usual)) if self._usual else 0.0
        moved = bool(np.any(new > max(LEAST_CHANGE, TIMES_USUAL * usual)))
        self._usual = [*self._usual, *map(float, new)][-REMEMBERED:]
        heard, before = max(level_db, HISS_DB), max(self._level_db, HISS_DB)
        self._level_db = level_db
        sounded = abs(heard - before) >= LEVEL_STEP_DB
        return first or moved or sounded or now_s - self._asked_s >= LONGEST_REST_S

    def answered(self, now_s: float, answer: str, start_s: float, end_s: float) -> Moment | None:
        """The model's answer about a stretch; a moment when it has just become yes."""
        self.asked += 1
        self._asked_s = now_s
        before, self._was_true = self._was_true, says_yes(answer)
        if not self._was_true or before:
            return None
        return Moment(self.question, answer, start_s, end_s)


def says_yes(answer: str) -> bool:
    """Whether an answer begins with yes."""
    return _YES.match(answer) is not None


def loudest_db(samples: NDArray[np.float32], rate: int) -> float:
    """The loudest tenth of a second of (n,) samples, dB below full scale; -90 for silence."""
    size = max(round(_LEVEL_S * rate), 1)
    count = len(samples) // size
    if not count:
        return -90.0
    power = np.square(samples[: count * size].reshape(count, size)).mean(axis=1).max()
    return float(10 * np.log10(max(float(power), 1e-9)))

"""When things were recorded, on one clock: `time.monotonic`.

A device tells late, never early, when it recorded something. So a time that is earlier than
expected is believed more readily than one that is later.
"""

# Later than expected by more than this, a block of sound lies behind a gap.
GAP_S = 0.25
# Behind an overflow, which the sound library tells of, samples are missing.
OVERFLOW_GAP_S = 0.02
# Shares of the difference that are taken over at each block: 50 blocks a second follow a device's
# clock that is .1 % off within 4 ms, and forget a single late block.
EARLIER_GAIN = 0.2
LATER_GAIN = 0.005


class SoundClock:
    """The times of consecutive blocks of sound, ascending, without the jitter of their arrival."""

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._next_s: float | None = None

    def stamp(self, heard_s: float, count: int, overflowed: bool = False) -> float:
        """When a block's first sample was heard.

        Args:
            heard_s: when the device says it was.
            count: samples in the block.
            overflowed: samples were lost in front of it.
        """
        if self._next_s is None:
            start_s = heard_s
        else:
            late_s = heard_s - self._next_s
            if late_s > (OVERFLOW_GAP_S if overflowed else GAP_S):
                start_s = heard_s
            else:
                gain = LATER_GAIN if late_s > 0 else EARLIER_GAIN
                # Never backwards: a block cannot be shortened to nothing.
                step_s = max(gain * late_s, -0.5 * count / self._rate)
                start_s = self._next_s + step_s
        self._next_s = start_s + count / self._rate
        return start_s

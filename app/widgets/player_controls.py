"""What the player's commands do: to the playback, the range, speed and loudness."""

from collections.abc import Callable

from PySide6.QtCore import QObject, Signal
from PySide6.QtGui import QAction
from PySide6.QtWidgets import QWidget

from app.widgets import theme
from app.widgets.coverage_bar import CoverageBar
from app.widgets.playback import EPSILON_S, Playback
from app.widgets.player_actions import make_actions, player_commands

LEAP_S = 5.0
LOUDER = 0.1
ZOOM = 1.6
RATES = (0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0, 3.0)
OF_FILMS = ("step-back", "step-forward")
OF_CLIPS = (
    *("play", "slower", "faster", "normal-speed", "back", "forward", "to-start", "to-end"),
    *("range-start", "range-end", "edge-left", "edge-right", "zoom-in", "zoom-out", "zoom-whole"),
)
OF_SOUND = ("mute", "louder", "quieter")
OF_RANGES = ("play-range", "clear-range")


class PlayerControls(QObject):
    """The commands by name (`actions`), over whatever is being played."""

    rateChanged = Signal(float)
    volumeChanged = Signal(float)

    def __init__(self, owner: QWidget, bar: CoverageBar) -> None:
        """Nothing to control yet.

        Args:
            owner: Gets the actions; their keys are heard in it.
            bar: Holds range and zoom.
        """
        super().__init__(owner)
        self._bar = bar
        self._playback: Playback | None = None
        self._rate, self._volume = 1.0, 1.0
        self.actions: dict[str, QAction] = make_actions(owner, player_commands(), self._handlers())
        self.actions["mute"].setCheckable(True)
        self.take(None)

    def take(self, playback: Playback | None) -> None:
        """Control another playback, as fast and as loud as the one before."""
        self._playback = playback
        if playback is not None:
            playback.set_rate(self._rate)
            self._apply_volume()
        self.show_playing(False)
        self.enable()

    def enable(self) -> None:
        """Enable what can be done now."""
        playback = self._playback
        moves = playback is not None and bool(self._bar.facts.duration_s)
        pictures = moves and self._bar.facts.has_picture
        sounds = playback is not None and playback.audible
        chosen = moves and self._bar.range_s is not None
        groups = ((OF_CLIPS, moves), (OF_FILMS, pictures), (OF_SOUND, sounds), (OF_RANGES, chosen))
        for names, on in groups:
            for name in names:
                self.actions[name].setEnabled(on)

    def seek(self, time_s: float) -> None:
        """Go to a time."""
        if self._playback is not None:
            self._playback.seek(time_s)

    def set_rate(self, rate: float) -> None:
        """Play so many times as fast."""
        self._rate = rate
        if self._playback is not None:
            self._playback.set_rate(rate)
        self.rateChanged.emit(rate)

    def set_volume(self, volume: float) -> None:
        """Play so loud, 0 to 1; sets an end to silence."""
        self._volume = min(max(volume, 0.0), 1.0)
        self.actions["mute"].setChecked(False)
        self._apply_volume()

    def range_edited(self) -> None:
        """While the range is played, play to its new end."""
        playback = self._playback
        if playback is not None and playback.playing and playback.until_s is not None:
            chosen = self._bar.range_s
            playback.until_s = chosen[1] if chosen is not None else None
        self.enable()

    def _handlers(self) -> dict[str, Callable[[], None]]:
        bar = self._bar
        return {
            "play": self._toggle,
            "slower": lambda: self._next_rate(-1),
            "faster": lambda: self._next_rate(1),
            "normal-speed": lambda: self.set_rate(1.0),
            "back": lambda: self._leap(-LEAP_S),
            "forward": lambda: self._leap(LEAP_S),
            "step-back": lambda: self._step(-1),
            "step-forward": lambda: self._step(1),
            "to-start": lambda: self.seek(0.0),
            "to-end": lambda: self.seek(bar.facts.duration_s),
            "mute": self._apply_volume,
            "louder": lambda: self.set_volume(self._volume + LOUDER),
            "quieter": lambda: self.set_volume(self._volume - LOUDER),
            "range-start": lambda: bar.set_edge_here("start"),
            "range-end": lambda: bar.set_edge_here("end"),
            "edge-left": lambda: bar.move_edge(-1),
            "edge-right": lambda: bar.move_edge(1),
            "play-range": self._play_range,
            "clear-range": bar.clear_range,
            "zoom-in": lambda: bar.zoom(ZOOM),
            "zoom-out": lambda: bar.zoom(1 / ZOOM),
            "zoom-whole": lambda: bar.zoom(0),
        }

    def _toggle(self) -> None:
        """Play or pause; from within the range to its end, from its end once more."""
        playback, chosen = self._playback, self._bar.range_s
        if playback is None:
            return
        if playback.playing:
            playback.pause()
            return
        here = playback.position_s + EPSILON_S
        if chosen is None or not chosen[0] <= here <= chosen[1] + 2 * EPSILON_S:
            playback.play()
        elif here >= chosen[1]:
            self._play_range()
        else:
            playback.play(chosen[1])

    def _play_range(self) -> None:
        playback, chosen = self._playback, self._bar.range_s
        if playback is not None and chosen is not None:
            playback.seek(chosen[0])
            playback.play(chosen[1])

    def _step(self, direction: int) -> None:
        if self._playback is not None:
            self._playback.step(direction)

    def _leap(self, by_s: float) -> None:
        if self._playback is not None:
            self._playback.seek(self._playback.position_s + by_s)

    def _next_rate(self, direction: int) -> None:
        at = min(range(len(RATES)), key=lambda index: abs(RATES[index] - self._rate))
        self.set_rate(RATES[min(max(at + direction, 0), len(RATES) - 1)])

    def _apply_volume(self) -> None:
        mute = self.actions["mute"]
        silent = mute.isChecked() or self._volume == 0.0
        mute.setIcon(theme.icon("muted" if silent else "volume"))
        if self._playback is not None:
            self._playback.set_volume(self._volume, mute.isChecked())
        self.volumeChanged.emit(self._volume)

    def show_playing(self, playing: bool) -> None:
        """Let the command say what it would do now."""
        play = self.actions["play"]
        play.setIcon(theme.icon("pause" if playing else "play"))
        words = self.tr("Pause") if playing else self.tr("Play")
        play.setText(words)
        keys = play.toolTip().partition("(")[2]
        play.setToolTip(f"{words} ({keys}" if keys else words)

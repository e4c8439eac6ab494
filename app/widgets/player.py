"""The clip in the middle of the window: picture, transport, coverage bar, film strip."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QStackedLayout, QVBoxLayout, QWidget

from app.widgets.clip_status import ClipStatus
from app.widgets.clip_view import ClipView
from app.widgets.coverage_bar import CoverageBar
from app.widgets.coverage_facts import CoverageFacts, merged, summary
from app.widgets.empty_clip import EmptyClip
from app.widgets.film_playback import FilmPlayback
from app.widgets.film_strip import FilmStrip
from app.widgets.latest_task import LatestTask
from app.widgets.picture_images import array_image
from app.widgets.pictures_playback import still, thumbnails
from app.widgets.playback import Playback
from app.widgets.player_actions import KeysFirst
from app.widgets.player_controls import RATES, PlayerControls
from app.widgets.time_axis import decimals_for
from app.widgets.transport import TransportRow
from engines.config import Coverage

if TYPE_CHECKING:
    from engines.preview import Preview

Kind = Literal["video", "image", "audio", "frames"]

SPACING = 4
MOVING_KEYS = {
    *(Qt.Key.Key_Left, Qt.Key.Key_Right, Qt.Key.Key_Up, Qt.Key.Key_Down),
    *(Qt.Key.Key_Home, Qt.Key.Key_End, Qt.Key.Key_PageUp, Qt.Key.Key_PageDown),
}


class PlayerPane(QWidget):
    """One clip, or the invitation to open one.

    Every command is a QAction of this widget (`actions()`), heard while the focus is inside it.
    Drops are left to the window; `open` does not tell `rangeChanged`.
    """

    rangeChanged = Signal(object)  # (start_s, end_s) or None, by the user
    cancelRequested = Signal()  # the button beside what `set_busy` tells
    openRequested = Signal()  # "Open…" of the empty pane
    demoRequested = Signal()  # "Try the demo clip" of the empty pane

    def __init__(self, parent: QWidget | None = None) -> None:
        """The invitation."""
        super().__init__(parent)
        self._path: Path | None = None
        self._kind: Kind = "video"
        self._images = LatestTask(self)
        self._media: FilmPlayback | None = None  # made for the first film, kept for the others
        self._playback: Playback | None = None
        self._preview: Preview | None = None
        self._coverage: Coverage | None = None
        self._facts = CoverageFacts()
        self._unplayable = ""
        self.view = ClipView()
        self.bar = CoverageBar()
        self.controls = PlayerControls(self, self.bar)
        self.transport = TransportRow(self.controls.actions, RATES)
        self.status = ClipStatus()
        self.strip = FilmStrip()
        self.empty = EmptyClip()
        self._lay_out()
        self._connect()
        self._keep_keys()
        self.setFocusProxy(self.bar)
        self.close_clip()

    # The clip.

    def open(self, path: Path, kind: Kind, range_s: tuple[float, float] | None = None) -> None:
        """Show a clip, paused at its beginning (or the range's); the one before is closed."""
        self.close_clip()
        self._path, self._kind = path, kind
        self.setAccessibleName(self.tr("Player: {name}").format(name=path.name))
        self._facts = CoverageFacts(
            has_picture=kind != "audio", has_sound={"video": None, "audio": True}.get(kind, False)
        )
        self._stack.setCurrentIndex(1)
        self._show_parts()
        self._take(self._open_playback(path, kind))
        self.set_range(range_s)
        if range_s is not None:
            self.seek(range_s[0])
        self._show_facts()

    def close_clip(self) -> None:
        """Show the invitation; nothing plays and no file is open any more."""
        self._let_go()
        self._path = self._preview = self._coverage = None
        self._unplayable = ""
        self._facts = CoverageFacts()
        self.setAccessibleName(self.tr("Player"))
        self.view.set_sentence("")
        self.strip.clear()
        self.set_range(None)
        self.set_busy(None)
        self.status.set_notes(())
        self.status.set_problem("")
        self._show_facts()
        self._stack.setCurrentIndex(0)

    def show_problem(self, sentence: str) -> None:
        """Say in the picture's place why there is no clip (it is gone, it cannot be read)."""
        self.close_clip()
        self.view.set_sentence(sentence)
        for part in (self.transport, self.bar, self.status, self.strip):
            part.hide()
        self.view.show()
        self._stack.setCurrentIndex(1)

    def set_preview(self, preview: "Preview") -> None:
        """Show thumbnails and waveform."""
        if self._playback is None:
            return
        self._preview = preview
        times = preview.frame_times_s
        self._facts = replace(
            self._facts,
            duration_s=preview.duration_s or 0.0,
            has_sound=preview.peaks is not None,
            peaks=preview.peaks,
        )
        self.strip.set_frames(times, preview.thumbnails, decimals_for(preview.duration_s or 0.0))
        self._playback.set_duration(preview.duration_s or 0.0)
        if self._unplayable:
            self._stand_in()
        elif not self._playback.has_picture:
            self._show_thumbnail()
        self._show_parts()
        self._show_facts()
        self.strip.set_position(self._playback.position_s)

    def set_coverage(self, coverage: Coverage | None) -> None:
        """Mark what the model got; None while that is not known."""
        self._coverage = coverage
        self.status.set_notes(coverage.notes if coverage is not None else ())
        self._show_facts()
        if self._playback is not None:
            self._show_parts()

    def set_busy(self, text: str | None, fraction: float | None = None) -> None:
        """Tell what is being done with the clip, how far it is (0 to 1), and offer to cancel it."""
        self.status.set_busy(text, fraction)

    def set_range(self, range_s: tuple[float, float] | None) -> None:
        """Show a range without telling `rangeChanged`."""
        self.bar.set_range(range_s)
        self.transport.set_range(range_s)
        self.controls.enable()

    @property
    def range_s(self) -> tuple[float, float] | None:
        """The chosen range in seconds, None for the whole clip."""
        return self.bar.range_s

    @property
    def position_s(self) -> float:
        """Where the player is, in seconds."""
        return self._playback.position_s if self._playback is not None else 0.0

    @property
    def playing(self) -> bool:
        """Whether it plays."""
        return self._playback is not None and self._playback.playing

    def pause(self) -> None:
        """Stop playing, keep the place."""
        if self._playback is not None:
            self._playback.pause()

    def warm_up(self) -> FilmPlayback:
        """Load the library behind the sound output, which takes longer than a click may."""
        if self._media is None:
            self._media = FilmPlayback(self._images, self)
            self._listen(self._media)
        return self._media

    def seek(self, time_s: float) -> None:
        """Go to a time."""
        if self._playback is not None:
            self._playback.seek(time_s)

    def minimumSizeHint(self) -> QSize:
        """Room for everything but the strip."""
        return QSize(self._stack.minimumSize().width(), self._least_height())

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Leave the strip out where there is no room for it."""
        super().resizeEvent(event)
        if self._playback is not None:
            self._show_parts()

    # Within.

    def _lay_out(self) -> None:
        clip = QWidget()
        column = QVBoxLayout(clip)
        column.setContentsMargins(8, 8, 8, 6)
        column.setSpacing(SPACING)
        column.addWidget(self.view, 1)
        column.addWidget(self.transport)
        column.addWidget(self.bar, 1)
        column.addWidget(self.status)
        column.addWidget(self.strip)
        self._stack = QStackedLayout(self)
        self._stack.setSizeConstraint(QStackedLayout.SizeConstraint.SetNoConstraint)
        self._stack.addWidget(self.empty)
        self._stack.addWidget(clip)

    def _connect(self) -> None:
        self.empty.openRequested.connect(self.openRequested)
        self.empty.demoRequested.connect(self.demoRequested)
        self.status.cancelRequested.connect(self.cancelRequested)
        self.view.boxChanged.connect(self._set_box)
        self.view.clicked.connect(self.controls.actions["play"].trigger)
        self.bar.seekRequested.connect(self.controls.seek)
        self.bar.rangeEdited.connect(self._range_edited)
        self.strip.seekRequested.connect(self.controls.seek)
        self.transport.rateChosen.connect(self.controls.set_rate)
        self.transport.volumeChosen.connect(self.controls.set_volume)
        self.transport.clicked.connect(self.bar.setFocus)
        self.controls.rateChanged.connect(self.transport.set_rate)
        self.controls.volumeChanged.connect(self.transport.set_volume)

    def _keep_keys(self) -> None:
        """Give the widgets with keys of their own those keys, before the commands get them."""
        self._press = KeysFirst({Qt.Key.Key_Space}, self)
        self._move = KeysFirst(MOVING_KEYS, self)
        empty, status = self.empty, self.status
        for widget in (*self.transport.key_users(), *empty.buttons(), status.cancel):
            widget.installEventFilter(self._press)
        for widget in (self.strip, self.transport.volume):
            widget.installEventFilter(self._move)

    def _open_playback(self, path: Path, kind: Kind) -> Playback:
        if kind == "image":
            return self._listen(still(path, self._images, self))
        media = self.warm_up()
        media.open(path)
        return media

    def _listen(self, playback: Playback) -> Playback:
        playback.imageChanged.connect(self.view.set_image)
        playback.positionChanged.connect(self._moved)
        playback.durationChanged.connect(self._duration_told)
        playback.playingChanged.connect(self.controls.show_playing)
        playback.audibleChanged.connect(self._audible_told)
        playback.interrupted.connect(self.status.set_problem)
        playback.playingChanged.connect(self._forget_interruption)
        # Later: another one may take its place, which it must not find in the middle of a call.
        playback.failed.connect(self._failed, Qt.ConnectionType.QueuedConnection)
        return playback

    def _take(self, playback: Playback) -> None:
        self._playback = playback
        playback.set_box(self.view.box())
        self.controls.take(playback)
        self._audible_told()
        playback.render()

    def _let_go(self) -> None:
        playback, self._playback = self._playback, None
        self.controls.take(None)
        if playback is not None:
            playback.close()
            if playback is not self._media:
                playback.deleteLater()

    def _show_parts(self) -> None:
        moving, seen = self._kind != "image", self._kind != "audio"
        self.view.setVisible(seen)
        self.transport.setVisible(moving)
        self.bar.setVisible(moving)
        self.bar.set_large(not seen)
        self.status.show()
        frames = self.strip.count() > 0 and moving and seen
        needed = self._least_height() + self.strip.height()
        self.strip.setVisible(frames and self.height() >= needed)

    def _least_height(self) -> int:
        """What is needed without the strip, which comes where there is room for it."""
        least = self._stack.minimumSize().height()
        strip = self.strip.height() + SPACING if self.strip.isVisible() else 0
        return least - strip

    def _show_facts(self) -> None:
        """Put together what file, preview and coverage tell."""
        facts, preview, coverage = self._facts, self._preview, self._coverage
        if preview is not None:
            facts = replace(facts, frame_times_s=preview.frame_times_s)
        if coverage is not None:
            facts = replace(
                facts,
                known=True,
                frame_times_s=tuple(sorted(set(coverage.frame_times_s))),
                heard_s=tuple(merged(coverage.sound_spans_s)),
                has_sound=facts.has_sound or bool(coverage.sound_spans_s),
            )
        self.bar.set_facts(facts)
        self.status.set_summary(summary(facts))
        self.transport.set_duration(facts.duration_s)
        self._moved(self.position_s)
        self.controls.enable()

    def _moved(self, time_s: float) -> None:
        self.bar.set_position(time_s)
        self.strip.set_position(time_s)
        self.transport.set_time(time_s)

    def _set_box(self, box: QSize) -> None:
        if self._playback is not None:
            self._playback.set_box(box)

    def _duration_told(self, duration_s: float) -> None:
        self._facts = replace(self._facts, duration_s=duration_s)
        self._show_facts()

    def _audible_told(self) -> None:
        playback = self._playback
        if playback is None:
            return
        reason = ""
        if playback.has_sound is False:
            reason = self.tr("The clip has no sound")
        elif not playback.audible:
            reason = self.tr("This computer has nothing to play sound with")
        self.transport.set_audible(playback.audible, reason)
        self.controls.enable()

    def _forget_interruption(self, playing: bool) -> None:
        if playing:
            self.status.set_problem(self._unplayable)

    def _range_edited(self, range_s: tuple[float, float] | None) -> None:
        self.transport.set_range(range_s)
        self.controls.range_edited()
        self.rangeChanged.emit(range_s)

    def _failed(self) -> None:
        """Say so in one line; thumbnails and questions stay of use."""
        if self._playback is None or not self._playback.broken or self._path is None:
            return
        name = self._path.name
        if self._kind == "image":
            sentence = self.tr("{name} cannot be shown here in full size.").format(name=name)
        else:
            sentence = self.tr(
                "{name} cannot be played here; the model may understand it all the same."
            ).format(name=name)
        self._unplayable = sentence
        if self._preview is None:
            self.view.set_sentence(sentence)
        else:
            self._stand_in()

    def _stand_in(self) -> None:
        """Play the thumbnails in the place of the film."""
        self.status.set_problem(self._unplayable)
        if self._preview is None or not len(self._preview.thumbnails):
            return
        position = self.position_s
        self._let_go()
        self._take(self._listen(thumbnails(self._preview, self._images, self)))
        if self._playback is not None:
            self._playback.seek(position)

    def _show_thumbnail(self) -> None:
        """Until the first picture is there, its thumbnail."""
        if self._preview is not None and len(self._preview.thumbnails):
            self.view.set_image(array_image(self._preview.thumbnails[0]))

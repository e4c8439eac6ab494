"""Films and sounds, played by QtMultimedia; pictures come out scaled, made off the window's thread.

QtMultimedia counts from where the file begins, everybody else here from the first picture, unless
the sound begins long before it (see engines.packet_index): the first frame tells the difference.
"""

from functools import partial
from pathlib import Path

from PySide6.QtCore import QObject, QTimer, QUrl

from app.widgets.latest_task import LatestTask
from app.widgets.multimedia import (
    QAudioOutput,
    QMediaDevices,
    QMediaMetaData,
    QMediaPlayer,
    QtAudio,
    QVideoFrame,
    QVideoSink,
    hush_ffmpeg,
    hush_qt,
)
from app.widgets.picture_images import frame_image
from app.widgets.playback import Playback
from engines.packet_index import LEAD_TOLERANCE_S

State = QMediaPlayer.PlaybackState
Status = QMediaPlayer.MediaStatus
# A picture that is not there by now will not come: its codec is unknown here.
FIRST_PICTURE_MS = 3_000


class MediaPlayback(Playback):
    """One film or sound file after another; looking for the sound output is done but once."""

    def __init__(self, images: LatestTask, parent: QObject | None = None) -> None:
        """No file yet.

        Args:
            images: Where pictures are made.
            parent: The owner.
        """
        self._origin_s = 0.0
        self._frame: QVideoFrame | None = None
        self._wanted_s: float | None = None  # asked for before the first frame was there
        self._stepping = self._blind = self._loaded = False
        self._volume = (1.0, False)
        self._output: QAudioOutput | None = None
        super().__init__(images, parent)
        hush_qt(True)
        self._player = QMediaPlayer(self)
        hush_ffmpeg()
        self._sink = QVideoSink(self)
        self._player.setVideoSink(self._sink)
        self._devices = QMediaDevices(self)
        self._devices.audioOutputsChanged.connect(self._find_output)
        self._find_output()
        self._sink.videoFrameChanged.connect(self._frame_came)
        self._player.durationChanged.connect(self._duration_came)
        self._player.positionChanged.connect(self._position_came)
        self._player.playbackStateChanged.connect(self._state_came)
        self._player.mediaStatusChanged.connect(self._status_came)
        self._player.errorOccurred.connect(self._error_came)
        self._patience = QTimer(self)
        self._patience.setSingleShot(True)
        self._patience.setInterval(FIRST_PICTURE_MS)
        self._patience.timeout.connect(self._go_on_blind)

    def open(self, path: Path) -> None:
        """Show a file, paused at its first picture; `failed` tells when that does not work."""
        self.reset()
        self._origin_s, self._frame, self._wanted_s = 0.0, None, None
        self._stepping = self._blind = self._loaded = False
        hush_qt(True)
        self._player.setSource(QUrl.fromLocalFile(str(path)))
        self._player.pause()

    def play(self, until_s: float | None = None) -> None:
        """Play; at the end, from the beginning."""
        self.until_s = until_s
        if self.at_end():
            self.seek(0.0)
        self._player.play()

    def pause(self) -> None:
        """Stay at this frame."""
        self._player.pause()

    def seek(self, time_s: float) -> None:
        """Go to a time; its frame follows."""
        self._stepping = False
        self.position_s = self.clamped(time_s)
        if self._ready():
            # Qt shows the frame before when asked for the very moment at which one begins.
            self._set_ms(int((self.position_s + self._origin_s) * 1000) + self._player.hasVideo())
        else:
            self._wanted_s = time_s
        self.positionChanged.emit(self.position_s)

    def step(self, direction: int) -> None:
        """Go to the frame beside the one that is seen."""
        self.pause()
        frame = self._frame
        if frame is None or frame.endTime() <= frame.startTime():
            self.seek(self.position_s + direction / (self._player_rate() or 25.0))
            return
        beside = frame.endTime() // 1000 + 1 if direction > 0 else frame.startTime() // 1000 - 1
        if 0 <= beside <= self._player.duration():
            self._stepping = True
            self._set_ms(beside)

    def set_rate(self, rate: float) -> None:
        """Play faster or slower; voices keep their pitch."""
        self._player.setPlaybackRate(rate)

    def set_volume(self, volume: float, muted: bool) -> None:
        """Loudness from 0 to 1, as it is perceived."""
        self._volume = (volume, muted)
        if self._output is not None:
            scales = QtAudio.VolumeScale
            linear = QtAudio.convertVolume(
                volume, scales.LogarithmicVolumeScale, scales.LinearVolumeScale
            )
            self._output.setVolume(linear)
            self._output.setMuted(muted)

    def render(self) -> None:
        """Scale the frame that is seen anew."""
        if self._frame is not None:
            self.images.ask(partial(frame_image, self._frame, self.box))

    def close(self) -> None:
        """Close the file; another can be opened."""
        super().close()
        self._patience.stop()
        self._player.setSource(QUrl())
        self._frame, self._loaded = None, False
        hush_qt(False)

    def _set_ms(self, position_ms: int) -> None:
        if self._player.playbackState() == State.StoppedState:
            self._player.pause()  # at the end of a clip it is neither here nor there
        self._player.setPosition(min(position_ms, self._player.duration() or position_ms))

    def _ready(self) -> bool:
        seen = self._blind or self._frame is not None or not self._player.hasVideo()
        return self._loaded and seen

    def _go_on_blind(self) -> None:
        if self._frame is None:
            self._blind = True
            self._go_where_wanted()

    def _player_rate(self) -> float:
        rate = self._player.metaData().value(QMediaMetaData.Key.VideoFrameRate)
        return float(rate) if isinstance(rate, int | float) else 0.0

    def _find_output(self) -> None:
        if self._output is not None:
            return  # it follows the system's choice by itself
        if QMediaDevices.audioOutputs():
            self._output = QAudioOutput(self)
        if self._output is not None:
            self._player.setAudioOutput(self._output)
            self.set_volume(*self._volume)
            self._tell_audible()

    def _tell_audible(self) -> None:
        self.audible = bool(self.has_sound) and self._output is not None
        self.audibleChanged.emit()

    def _frame_came(self, frame: QVideoFrame) -> None:
        if not self._loaded or not frame.isValid():
            return  # one of the file before; the end, where the last one stays
        first = self._frame is None
        self._frame = QVideoFrame(frame)
        self.render()
        start_s = frame.startTime() / 1e6
        if first:
            self._origin_s = start_s if 0 <= start_s <= LEAD_TOLERANCE_S else 0.0
            self._go_where_wanted()
        elif self._stepping:
            self._stepping = False
            self._reach(max(start_s - self._origin_s, 0.0))

    def _go_where_wanted(self) -> None:
        wanted, self._wanted_s = self._wanted_s, None
        if wanted is not None:
            self.seek(wanted)

    def _duration_came(self, duration_ms: int) -> None:
        if not self.duration_s:  # who knows the clip better may have told already
            self.set_duration(duration_ms / 1000)

    def _position_came(self, position_ms: int) -> None:
        if self.playing:
            self._reach(self.clamped(position_ms / 1000 - self._origin_s))

    def _state_came(self, state: QMediaPlayer.PlaybackState) -> None:
        self._turn(state == State.PlayingState)

    def _status_came(self, status: QMediaPlayer.MediaStatus) -> None:
        if status == Status.EndOfMedia:
            self._reach(self.duration_s)
        elif status in (Status.LoadedMedia, Status.BufferedMedia):
            self._loaded = True
            self.has_sound = self._player.hasAudio()
            self._tell_audible()
            if self._ready():
                self._go_where_wanted()
            elif not self._patience.isActive():
                self._patience.start()

    def _error_came(self) -> None:
        self._fail()

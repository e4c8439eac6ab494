"""Where sound is heard: the system's output, found when there is one, fed a little ahead."""

from collections import deque

import numpy as np
from PySide6.QtCore import QIODevice, QObject, Signal

from app.widgets.multimedia import QAudioFormat, QAudioSink, QMediaDevices, QtAudio, hushed
from engines.media import Played

SAMPLE_RATE = 48_000
CHANNELS = 2
_FRAME_BYTES = 2 * CHANNELS  # of 16-bit samples
# What the system holds: enough for a window that is busy for a moment.
BUFFER_S = 0.2
# A sink that has nothing to play for a moment is in order.
_IN_ORDER = (QtAudio.Error.NoError, QtAudio.Error.UnderrunError)


class Speaker(QObject):
    """The default sound output; `found` tells when there is one, or another one."""

    found = Signal()

    def __init__(self, parent: QObject | None = None) -> None:
        """Look for an output."""
        super().__init__(parent)
        self._volume = (1.0, False)
        self._sink: QAudioSink | None = None
        self._pipe: QIODevice | None = None
        self._rest = b""
        self._written = 0
        with hushed():
            self._devices = QMediaDevices(self)
            self._devices.audioOutputsChanged.connect(self._look)
            self.there = bool(QMediaDevices.audioOutputs())

    @property
    def idle(self) -> bool:
        """All that was fed has been heard."""
        sink = self._sink
        if sink is None or self._pipe is None:
            return True
        return not self._rest and sink.bytesFree() >= sink.bufferSize()

    def start(self) -> None:
        """Begin anew; nothing of what was fed before is heard any more."""
        self.stop()
        form = QAudioFormat()
        form.setSampleRate(SAMPLE_RATE)
        form.setChannelCount(CHANNELS)
        form.setSampleFormat(QAudioFormat.SampleFormat.Int16)
        self._sink = QAudioSink(QMediaDevices.defaultAudioOutput(), form, self)
        self._sink.setBufferSize(round(BUFFER_S * SAMPLE_RATE) * _FRAME_BYTES)
        self._pipe = self._sink.start()
        self._apply_volume()

    def stop(self) -> None:
        """Fall silent."""
        if self._sink is not None:
            self._sink.reset()
            self._sink.deleteLater()
        self._sink = self._pipe = None
        self._rest, self._written = b"", 0

    def feed(self, sound: "deque[Played]") -> None:
        """Hand over as much as there is room for, out of pieces (n, 2)."""
        if self._sink is not None and self._sink.error() not in _IN_ORDER:
            self._pipe = None  # the output was taken away: it takes nothing any more
        if self._sink is None or self._pipe is None:
            sound.clear()
            return
        room = self._sink.bytesFree()
        while room > 0 and (self._rest or sound):
            if not self._rest:
                whole = np.clip(np.nan_to_num(sound.popleft().content), -1, 1) * 32767
                self._rest = whole.astype("<i2").tobytes()
            taken = int(self._pipe.write(self._rest[:room]))
            if taken <= 0:
                return
            self._rest = self._rest[taken:]
            self._written += taken
            room -= taken

    def heard_s(self) -> float:
        """How much of what was fed since `start` has left the buffer."""
        if self._sink is None:
            return 0.0
        waiting = self._sink.bufferSize() - self._sink.bytesFree()
        return max(self._written - waiting, 0) / (_FRAME_BYTES * SAMPLE_RATE)

    def set_volume(self, volume: float, muted: bool) -> None:
        """Loudness from 0 to 1, as it is perceived."""
        self._volume = (volume, muted)
        self._apply_volume()

    def _apply_volume(self) -> None:
        if self._sink is None:
            return
        volume, muted = self._volume
        scales = QtAudio.VolumeScale
        linear = QtAudio.convertVolume(
            volume, scales.LogarithmicVolumeScale, scales.LinearVolumeScale
        )
        self._sink.setVolume(0.0 if muted else linear)

    def _look(self) -> None:
        self.there = bool(QMediaDevices.audioOutputs())
        self.found.emit()

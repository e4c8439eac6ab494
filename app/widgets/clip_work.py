"""The open clip: what of it is to be asked about, its preview, its encoding ahead of questions."""

from dataclasses import replace

from PySide6.QtCore import QObject, QTimer, Signal

from app.history import ClipRecord
from app.inference import Opened
from app.widgets.ask_options import AskOptions
from app.widgets.engine_link import EngineLink
from app.widgets.stages import fraction, stage_text
from engines.config import AudioWindow, ClipOptions, SoundMode
from engines.preview import Preview

# A range is dragged through many values; the last one is encoded.
SETTLE_MS = 350

Range = tuple[float, float] | None


class ClipWork(QObject):
    """One clip at a time; opening one begins to encode it, a change of options does so again."""

    changed = Signal(object, object)  # ClipRecord or None; range in seconds or None
    previewed = Signal(object)  # engines.preview.Preview
    covered = Signal(object)  # engines.config.Coverage, None while it is not known
    encoding = Signal(object, object)  # what is being done or None; fraction or None
    opened = Signal(object)  # Opened
    replaced = Signal(object)  # ClipRecord whose content is not the one that was remembered
    problem = Signal(str)  # it cannot be encoded; a sentence
    cancelled = Signal()

    def __init__(self, link: EngineLink, parent: QObject | None = None) -> None:
        """No clip is open.

        Args:
            link: the engine.
            parent: the owner.
        """
        super().__init__(parent)
        self._link = link
        self.clip: ClipRecord | None = None
        self.preview: Preview | None = None
        self.audio_window: AudioWindow = "cover"
        self._range: Range = None
        self._sound: SoundMode = "on"
        self._num_frames: int | None = None
        self._opening: int | None = None
        self._previewing: int | None = None
        self._prepared: ClipOptions | None = None  # what the engine was last told to encode
        self._drawn: ClipOptions | None = None  # what the preview shows
        self._settle = QTimer(self)
        self._settle.setSingleShot(True)
        self._settle.setInterval(SETTLE_MS)
        self._settle.timeout.connect(self.prepare)
        link.progress.connect(self._progress)
        link.opened.connect(self._opened)
        link.previewed.connect(self._previewed)
        link.failed.connect(self._failed)
        link.stopped.connect(self._stopped)
        link.restarted.connect(self._again)

    @property
    def encoding_now(self) -> bool:
        """Whether the clip is being encoded."""
        return self._opening is not None

    def options(self) -> ClipOptions | None:
        """What the next question is about; None without a clip."""
        if self.clip is None:
            return None
        return ClipOptions(
            path=self.clip.path,
            num_frames=self._num_frames,
            range_s=self._range,
            sound=self._sound,
            audio_window=self.audio_window,
        )

    def show(self, clip: ClipRecord, options: AskOptions, range_s: Range = None) -> None:
        """Open a clip in the place of the one before."""
        self._leave()
        self.clip, self._range = clip, range_s
        self._sound, self._num_frames = options.sound, options.num_frames
        self.changed.emit(clip, range_s)
        self.prepare()

    def close(self) -> None:
        """Open nothing and stop what is being done."""
        self._leave()
        if self.clip is not None:
            self.clip = None
            self.changed.emit(None, None)

    def set_range(self, range_s: Range) -> None:
        """Ask about a part of the clip from now on; None is all of it."""
        if range_s != self._range:
            self._range = range_s
            self._later()

    def set_options(self, options: AskOptions) -> None:
        """Ask with this sound and this number of frames from now on."""
        self._sound, self._num_frames = options.sound, options.num_frames
        self._later()

    def prepare(self) -> None:
        """Encode what is to be asked about, unless that was begun already."""
        self._settle.stop()
        options = self.options()
        if options is None or options == self._prepared:
            return
        self._link.stop(self._opening)
        self._prepared = options
        self.covered.emit(None)
        self.encoding.emit(self.tr("Waiting for the model"), None)
        shown = replace(options, audio_window="cover")
        if shown != self._drawn:
            self._link.stop(self._previewing)
            self._drawn = shown
            self._previewing = self._link.preview(options)
        self._opening = self._link.open(options)

    def cancel(self) -> None:
        """Stop encoding; it is done when the next question is asked."""
        self._settle.stop()
        self._link.stop(self._opening)

    def forget(self) -> None:
        """What the engine knew of the clip is lost: `prepare` begins anew."""
        self._link.stop(self._opening)
        self._opening = self._prepared = None
        self.encoding.emit(None, None)

    def give_up(self, sentence: str) -> bool:
        """The engine has died; returns whether it was encoding, which `problem` then tells.

        The clip that may have ended it is not encoded again by itself.
        """
        encoding, self._opening = self._opening is not None, None
        self._previewing = self._drawn = None
        if encoding:
            self.encoding.emit(None, None)
            self.problem.emit(sentence)
        else:
            self._prepared = None
        return encoding

    def _later(self) -> None:
        if self.clip is not None and self.options() != self._prepared:
            self.covered.emit(None)
            self._settle.start()

    def _leave(self) -> None:
        self._settle.stop()
        self._link.stop(self._opening)
        self._link.stop(self._previewing)
        self._opening = self._previewing = self._prepared = self._drawn = self.preview = None
        self.encoding.emit(None, None)

    def _progress(self, job: int, stage: str, done: int, total: int) -> None:
        if job == self._opening or (job == 0 and self._opening is not None):
            self.encoding.emit(stage_text(stage, done, total), fraction(done, total))

    def _opened(self, job: int, opened: Opened) -> None:
        if job != self._opening:
            return
        self._opening = None
        if self.clip is not None:
            known = self.clip.sha256
            self.clip = replace(self.clip, sha256=opened.sha256)
            if known not in (None, opened.sha256):
                self.replaced.emit(self.clip)
        self.encoding.emit(None, None)
        self.covered.emit(opened.coverage)
        self.opened.emit(opened)

    def _previewed(self, job: int, preview: Preview) -> None:
        if job == self._previewing:
            self._previewing = None
            self.preview = preview
            self.previewed.emit(preview)

    def _failed(self, job: int, sentence: str) -> None:
        if job == self._previewing:
            self._previewing = None  # The encoding tells the same.
        elif job == self._opening:
            self._opening = None
            self.encoding.emit(None, None)
            self.problem.emit(sentence)

    def _stopped(self, job: int) -> None:
        if job == self._opening:
            self._opening = self._prepared = None
            self.encoding.emit(None, None)
            self.cancelled.emit()

    def _again(self) -> None:
        if self._prepared is None:
            self.prepare()

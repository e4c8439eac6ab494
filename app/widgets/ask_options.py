"""How the next question is asked: what of the clip, how many frames, how words are chosen."""

from dataclasses import dataclass, field
from typing import get_args

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtGui import QAction, QActionGroup, QResizeEvent
from PySide6.QtWidgets import QHBoxLayout, QSizePolicy, QSpinBox, QToolButton, QWidget

from app.widgets import theme
from app.widgets.sampling_popover import SamplingPopover
from engines.config import SoundMode
from engines.sampling import GenerateOptions

MAX_FRAMES = 128


@dataclass(frozen=True)
class AskOptions:
    """What the user chose beside the words; passed whole to whoever asks."""

    sound: SoundMode = "on"  # "on" picture and sound, "off" picture alone, "only" sound alone.
    num_frames: int | None = None  # None: as the model was trained.
    generate: GenerateOptions = field(default_factory=GenerateOptions)


class AskOptionsBar(QWidget):
    """The row under the question; every choice is told by `changed`."""

    changed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        """With the defaults, for a clip with picture and sound."""
        super().__init__(parent)
        self._sound: SoundMode = "on"
        self._trained, self._most = 8, MAX_FRAMES
        self._num_frames: int | None = None
        self._has = {"picture": True, "sound": True, "hears": True, "video": True}
        self.modes = self._make_modes()
        self._buttons = {mode: self._mode_button(action) for mode, action in self.modes.items()}
        self.frames = QSpinBox(self)
        self.frames.setKeyboardTracking(False)
        self.frames.setAccessibleName(self.tr("Number of frames"))
        self.frames.lineEdit().setTextMargins(4, 0, 0, 0)
        self.frames.valueChanged.connect(self._frames_chosen)
        self.popover = SamplingPopover(self)
        self.popover.changed.connect(self._sampling_chosen)
        self.sampling = QAction(theme.icon("settings"), self.tr("How words are chosen"), self)
        self.sampling.triggered.connect(self._open_sampling)
        self._sampling_button = QToolButton(self)
        self._sampling_button.setDefaultAction(self.sampling)
        theme.mark(self._sampling_button, "flat")
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(2)
        for button in self._buttons.values():
            row.addWidget(button)
        row.addSpacing(6)
        row.addWidget(self.frames)
        row.addStretch(1)
        row.addWidget(self._sampling_button)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self._refresh()

    def options(self) -> AskOptions:
        """What is chosen now."""
        # "on" takes what there is; the wish outlives a clip that cannot meet it.
        possible = not self._why_not(self._sound)
        return AskOptions(
            self._sound if possible else "on", self._num_frames, self.popover.options()
        )

    def set_options(self, options: AskOptions) -> None:
        """Show these choices, without telling of a change."""
        self._sound, self._num_frames = options.sound, options.num_frames
        self.popover.set_options(options.generate)
        self._refresh()

    def set_clip(self, has_picture: bool, has_sound: bool, is_video: bool = True) -> None:
        """Disable, with the reason, what the clip cannot give.

        What had to change by that is told by `changed`.
        """
        before = self.options()
        self._has |= {"picture": has_picture, "sound": has_sound, "video": is_video}
        self._refresh()
        if self.options() != before:
            self.changed.emit()

    def set_model(self, num_frames: int, hears: bool, max_frames: int = MAX_FRAMES) -> None:
        """The trained number of frames, whether the model takes sound, the most frames it takes."""
        self._trained, self._most = num_frames, max_frames
        self._has["hears"] = hears
        self._refresh()

    def minimumSizeHint(self) -> QSize:
        """With icons alone."""
        return QSize(220, super().minimumSizeHint().height())

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Words where there is room for them."""
        super().resizeEvent(event)
        self._fit_words()

    def _make_modes(self) -> dict[SoundMode, QAction]:
        words = {
            "on": ("picture-sound", self.tr("Picture + sound")),
            "off": ("picture", self.tr("Picture")),
            "only": ("sound", self.tr("Sound")),
        }
        group = QActionGroup(self)
        modes: dict[SoundMode, QAction] = {}
        for mode in get_args(SoundMode):
            icon, text = words[mode]
            action = QAction(theme.icon(icon), text, self)
            action.setCheckable(True)
            action.triggered.connect(lambda _=False, mode=mode: self._mode_chosen(mode))
            group.addAction(action)
            modes[mode] = action
        return modes

    def _mode_button(self, action: QAction) -> QToolButton:
        button = QToolButton(self)
        button.setDefaultAction(action)
        button.setAccessibleName(action.text())
        button.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        theme.mark(button, "flat")
        return button

    def _mode_chosen(self, mode: SoundMode) -> None:
        if mode != self._effective():
            self._sound = mode
            self._refresh()
            self.changed.emit()

    def _frames_chosen(self, count: int) -> None:
        self._num_frames = None if count == self._trained else count
        self._refresh()
        self.changed.emit()

    def _sampling_chosen(self) -> None:
        self._refresh()
        self.changed.emit()

    def _open_sampling(self) -> None:
        self.popover.open_above(self._sampling_button)

    def _refresh(self) -> None:
        for mode, action in self.modes.items():
            why = self._why_not(mode)
            action.setEnabled(not why)
            action.setChecked(mode == self._effective())
            action.setToolTip(why or self._meaning(mode))
            self._buttons[mode].setAccessibleDescription(action.toolTip())
        self._refresh_frames()
        usual = self.popover.options() == GenerateOptions()
        told = self.tr("How words are chosen: temperature, seed, longest answer")
        if not usual:
            told = self.tr("{what} (changed)").format(what=told)
        self.sampling.setToolTip(told)
        self.sampling.setIcon(theme.icon("settings", "text" if usual else "accent"))
        self._sampling_button.setText("" if usual else "•")
        self._sampling_button.setAccessibleName(told)
        self._fit_words()

    def _refresh_frames(self) -> None:
        self.frames.blockSignals(True)
        self.frames.setRange(1, self._most)
        self.frames.setValue(self._num_frames or self._trained)
        self.frames.setSuffix(self.tr(" frames"))
        self.frames.blockSignals(False)
        video = self._has["picture"] and self._has["video"]
        self.frames.setEnabled(video and self._effective() != "only")
        meaning = self.tr(
            "Pictures taken from the clip, spread evenly. The model was trained with {trained}; "
            "more take longer and see shorter events."
        ).format(trained=self._trained)
        if not video:
            meaning = self.tr("This clip has no moving picture.")
        elif self._effective() == "only":
            meaning = self.tr("Only the sound is asked about.")
        self.frames.setToolTip(meaning)
        self.frames.setAccessibleDescription(meaning)

    def _why_not(self, mode: SoundMode) -> str:
        if mode != "off" and not self._has["hears"]:
            return self.tr("This model does not take sound.")
        if mode != "off" and not self._has["sound"]:
            return self.tr("This clip has no sound.")
        if mode != "only" and not self._has["picture"]:
            return self.tr("This clip has no picture.")
        return ""

    def _effective(self) -> SoundMode:
        """What the model gets: of what was chosen, what there is."""
        if not self._why_not(self._sound):
            return self._sound
        return next((mode for mode in self.modes if not self._why_not(mode)), "on")

    def _meaning(self, mode: SoundMode) -> str:
        return {
            "on": self.tr("The model gets the picture and the sound."),
            "off": self.tr("The model gets the picture alone."),
            "only": self.tr("The model gets the sound alone."),
        }[mode]

    def _fit_words(self) -> None:
        """Words beside the icons if all fit, else the chosen one's, else none."""
        style = Qt.ToolButtonStyle
        for shown in (tuple(self._buttons), (self._effective(),), ()):
            for mode, button in self._buttons.items():
                beside = (
                    style.ToolButtonTextBesideIcon if mode in shown else style.ToolButtonIconOnly
                )
                button.setToolButtonStyle(beside)
            layout = self.layout()
            assert layout is not None
            if layout.sizeHint().width() <= self.width():
                return

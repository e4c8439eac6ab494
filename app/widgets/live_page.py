"""The live page: camera and microphone, what of them is kept, which stretch is asked about.

Shows what it is told and tells what the user wants; opens nothing and asks nothing by itself.
"""

from collections.abc import Callable
from functools import partial

from PySide6.QtCore import QLocale, Qt, Signal
from PySide6.QtGui import (
    QAccessible,
    QAccessibleAnnouncementEvent,
    QAction,
    QImage,
    QKeySequence,
    QResizeEvent,
)
from PySide6.QtWidgets import (
    QComboBox,
    QFrame,
    QHBoxLayout,
    QLabel,
    QMenu,
    QPushButton,
    QScrollArea,
    QSizePolicy,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from app.capture.microphone import RATE
from app.capture.recorder import PICTURE_BYTES, SECONDS, LiveStatus, Span
from app.widgets import theme
from app.widgets.labels import picture, text_label
from app.widgets.level_meter import LevelMeter
from app.widgets.live_bar import DEFAULT_S, LiveBar
from app.widgets.live_devices import Devices, LiveDevices
from app.widgets.live_facts import facts
from app.widgets.live_view import LiveView
from app.widgets.moments_list import MomentsList
from app.widgets.watch_row import WatchRow

WINDOWS_S = (5.0, 15.0, 60.0)
# Below this there are no words on the button that keeps a clip.
LEAST_WIDTH = 500
MOST_BYTES = PICTURE_BYTES + round(SECONDS) * RATE * 2


class LivePage(QScrollArea):
    """Its commands are its `actions()`."""

    startRequested = Signal()
    stopRequested = Signal()
    keepRequested = Signal(bool)  # True: what was asked about; False: the chosen stretch
    interruptChanged = Signal(bool)  # what a question does to the answer before it

    def __init__(self, parent: QWidget | None = None) -> None:
        """Nothing is recorded."""
        super().__init__(parent)
        self.setAccessibleName(self.tr("Live"))
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setWidgetResizable(True)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.on = False
        self.devices = LiveDevices()
        self.start_button = QPushButton()
        self.view = LiveView()
        self.meter = LevelMeter()
        self.bar = LiveBar()
        self.window_buttons: dict[float, QToolButton] = {}
        self._told_icon = picture("info", "muted")
        self._told = text_label("", None)
        self._facts = text_label("", "muted")
        self.when_busy = QComboBox()
        self.keep_button = QToolButton()
        self.wait = WatchRow()
        self.moments = MomentsList()
        self._make_actions()
        self._lay_out()
        self._connect()
        self.setFocusProxy(self.start_button)
        self.start_action.setEnabled(False)  # until it is known what is connected
        self.set_recording(on=False, busy=False)
        self.view.set_empty(self.tr("Looking for cameras and microphones …"))
        self.set_keepable(asked=False)
        self._choose(DEFAULT_S)

    # What the owner tells.

    def set_devices(self, devices: Devices) -> None:
        """Offer these cameras and microphones."""
        self.devices.set_devices(devices)
        if not self.start_action.isEnabled():
            self.start_action.setEnabled(True)
            self.set_recording(on=False, busy=False)
        if devices.problem:
            self.tell(devices.problem, "warning")

    def set_recording(self, on: bool, busy: bool) -> None:
        """Whether it records, or is about to."""
        self.on = on or busy
        self.devices.set_recording(self.on)
        word = self.tr("Stop") if self.on else self.tr("Start")
        self.start_action.setText(self.tr("Stop recording") if self.on else self.start_text)
        self.start_action.setIcon(theme.icon("stop" if self.on else "camera"))
        self.start_button.setText(word)
        self.start_button.setIcon(theme.icon("stop" if self.on else "play", "on_accent"))
        self.start_button.setAccessibleName(self.start_action.text())
        if not on:
            self.meter.set_level(None)
            size = QLocale().formattedDataSize(
                MOST_BYTES, 0, QLocale.DataSizeFormat.DataSizeSIFormat
            )
            will = self.tr(
                "Once started, the last {seconds} s are kept, in memory alone, in at most {size}."
            )
            self._facts.setText(will.format(seconds=round(SECONDS), size=size))
        if busy:
            self.view.set_empty(self.tr("Opening camera and microphone …"))
        elif not on:
            self.view.set_empty(self.tr("Camera and microphone are off."))
        elif self.devices.wanted_camera() is None:
            self.view.set_empty(self.tr("Sound alone: no camera was chosen."))
        self._enable()

    def set_status(self, status: LiveStatus) -> None:
        """Show how the recording is."""
        self.bar.set_status(status)
        hears = status.microphone is not None and status.microphone.kind == "on"
        self.meter.set_level(status.level_db if hears else None)
        self._facts.setText(facts(status))
        for state in (status.camera, status.microphone):
            if state is not None and state.kind == "waiting" and state.sentence:
                self.tell(state.sentence, "warning")
                return
        if self._told.property("kind") == "warning":
            self.tell("", "info")

    def set_picture(self, image: QImage) -> None:
        """Show what the camera sees."""
        self.view.set_image(image)

    def tell(self, sentence: str, kind: str = "info") -> None:
        """One line about the devices; "" takes it away."""
        if sentence == self._told.text():
            return
        self._told.setText(sentence)
        self._told.setAccessibleName(sentence)
        theme.mark(self._told, "warning" if kind == "warning" else "muted")
        self._told_icon.show_icon(kind, "warning" if kind == "warning" else "muted")
        self._told.setVisible(bool(sentence))
        self._told_icon.setVisible(bool(sentence))
        if sentence:
            QAccessible.updateAccessibility(QAccessibleAnnouncementEvent(self, sentence))

    def set_keepable(self, asked: bool) -> None:
        """Whether there is a question whose stretch can be kept as a clip."""
        self.keep_asked.setEnabled(asked)
        self._enable()

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Leave out a word where there is no room for it."""
        super().resizeEvent(event)
        style = Qt.ToolButtonStyle
        wide = self.viewport().width() >= LEAST_WIDTH
        self.keep_button.setToolButtonStyle(
            style.ToolButtonTextBesideIcon if wide else style.ToolButtonIconOnly
        )

    # Within.

    def _make_actions(self) -> None:
        self.start_text = self.tr("Start camera and microphone")
        self.start_action = self._action("camera", self.start_text, self._start_or_stop, "Ctrl+G")
        self.keep_asked = self._action(
            "film",
            self.tr("Keep what was asked about as a clip"),
            lambda: self.keepRequested.emit(True),
            "Ctrl+K",
        )
        self.keep_chosen = self._action(
            "range-start",
            self.tr("Keep the chosen stretch as a clip"),
            lambda: self.keepRequested.emit(False),
            "Ctrl+Shift+K",
        )
        self.open_moment = self._action(
            "open", self.tr("Open the chosen moment’s clip"), self.moments.open_current
        )
        for seconds in WINDOWS_S:
            words = self.tr("Ask about the last {seconds} s").format(seconds=round(seconds))
            action = self._action(None, words, partial(self._choose, seconds))
            action.setCheckable(True)
            action.setIconText(self.tr("{seconds} s").format(seconds=round(seconds)))
            button = QToolButton()
            button.setDefaultAction(action)
            action.setToolTip(words)
            button.setAccessibleName(words)
            theme.mark(button, "flat")
            self.window_buttons[seconds] = button

    def _action(
        self, icon: str | None, text: str, act: Callable[[], None], keys: str | None = None
    ) -> QAction:
        action = QAction(text, self)
        if icon is not None:
            action.setIcon(theme.icon(icon))
        if keys is not None:
            action.setShortcut(QKeySequence(keys))
            action.setShortcutContext(Qt.ShortcutContext.WindowShortcut)
        action.triggered.connect(lambda _=False: act())
        self.addAction(action)
        return action

    def _lay_out(self) -> None:
        theme.mark(self.start_button, "primary")
        self.start_button.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Expanding)
        top = QHBoxLayout()
        top.addWidget(self.devices, 1)
        top.addWidget(self.start_button)
        told = QHBoxLayout()
        told.addWidget(self._told_icon, 0, Qt.AlignmentFlag.AlignTop)
        told.addWidget(self._told, 1)
        self._told.hide()
        self._told_icon.hide()
        self.view.setMinimumHeight(120)
        page = QWidget()
        column = QVBoxLayout(page)
        column.setContentsMargins(8, 8, 8, 6)
        column.setSpacing(6)
        column.addLayout(top)
        column.addLayout(told)
        column.addWidget(self.view, 1)
        for widget in (self.meter, self.bar):
            column.addWidget(widget)
        column.addWidget(self._facts)
        column.addLayout(self._choices())
        column.addLayout(self._busy_row())
        column.addWidget(self.wait)
        column.addWidget(self.moments)
        self.setWidget(page)

    def _choices(self) -> QHBoxLayout:
        row = QHBoxLayout()
        row.setSpacing(2)
        about = QLabel(self.tr("Ask about"))
        about.setAccessibleName(self.tr("Ask about the last …"))
        theme.mark(about, "muted")
        row.addWidget(about)
        for button in self.window_buttons.values():
            row.addWidget(button)
        self._stretch_word = text_label("", "muted")
        self._stretch_word.setWordWrap(False)
        self._stretch_word.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        row.addWidget(self._stretch_word, 1)
        menu = QMenu(self.keep_button)
        menu.addActions([self.keep_asked, self.keep_chosen])
        self.keep_button.setText(self.tr("Keep as clip"))
        self.keep_button.setIcon(theme.icon("film"))
        self.keep_button.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self.keep_button.setMenu(menu)
        self.keep_button.setAccessibleName(self.keep_button.text())
        self.keep_button.setToolTip(self.keep_button.text())
        row.addWidget(self.keep_button)
        return row

    def _busy_row(self) -> QHBoxLayout:
        row = QHBoxLayout()
        label = text_label(self.tr("A question during an answer"), "muted")
        label.setTextInteractionFlags(Qt.TextInteractionFlag.NoTextInteraction)
        label.setBuddy(self.when_busy)
        self.when_busy.addItem(self.tr("waits for its turn"), False)
        self.when_busy.addItem(self.tr("interrupts the answer"), True)
        self.when_busy.setAccessibleName(label.text())
        self.when_busy.setMinimumWidth(90)
        self.when_busy.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        row.addWidget(label, 1)
        row.addWidget(self.when_busy, 1)
        return row

    def _connect(self) -> None:
        self.start_button.clicked.connect(self.start_action.trigger)
        self.start_action.changed.connect(
            lambda: self.start_button.setEnabled(self.start_action.isEnabled())
        )
        self.bar.chosen.connect(self._show_choice)
        self.when_busy.currentIndexChanged.connect(
            lambda _: self.interruptChanged.emit(bool(self.when_busy.currentData()))
        )
        self.moments.currentRowChanged.connect(lambda _: self._enable())

    def _start_or_stop(self) -> None:
        if self.on:
            self.stopRequested.emit()
        else:
            self.startRequested.emit()

    def _choose(self, seconds: float) -> None:
        self.bar.choose(seconds)
        self._show_choice(seconds)

    def _show_choice(self, choice: float | Span) -> None:
        for seconds, button in self.window_buttons.items():
            button.defaultAction().setChecked(choice == seconds)
        other = ""
        if isinstance(choice, Span):
            other = self.tr("{seconds} s of what was").format(seconds=round(choice.seconds))
        elif choice not in WINDOWS_S:
            other = self.tr("{seconds} s").format(seconds=round(choice))
        self._stretch_word.setText(other)

    def _enable(self) -> None:
        self.keep_chosen.setEnabled(self.on)
        self.keep_button.setEnabled(self.keep_asked.isEnabled() or self.keep_chosen.isEnabled())
        self.wait.set_possible(self.on)
        self.open_moment.setEnabled(self.moments.currentRow() >= 0)

"""The row of buttons under the picture: play, frame by frame, time, range, speed, loudness."""

from collections.abc import Mapping, Sequence

from PySide6.QtCore import QEvent, QObject, QSize, Qt, Signal
from PySide6.QtGui import QAction, QActionGroup, QResizeEvent
from PySide6.QtWidgets import (
    QHBoxLayout,
    QLabel,
    QMenu,
    QSizePolicy,
    QSlider,
    QToolButton,
    QWidget,
)

from app.widgets import theme
from app.widgets.time_axis import clock, decimals_for

ICON = QSize(20, 20)
SPACING, GAP = 2, 8


class TransportRow(QWidget):
    """Buttons for commands that live elsewhere, and what the player is at."""

    rateChosen = Signal(float)
    volumeChosen = Signal(float)  # 0 to 1
    clicked = Signal()  # somebody used the mouse here

    def __init__(
        self,
        actions: Mapping[str, QAction],
        rates: Sequence[float],
        parent: QWidget | None = None,
    ) -> None:
        """Lay the row out.

        Args:
            actions: The player's commands by name.
            rates: The speeds to choose from.
            parent: The owner.
        """
        super().__init__(parent)
        self._duration_s = 0.0
        self._has_range = False
        self._buttons = [
            self._button(actions[name]) for name in ("step-back", "play", "step-forward")
        ]
        self.time = QLabel()
        self.time.setAccessibleName(self.tr("Time"))
        font = self.time.font()
        font.setFeature(font.Tag("tnum"), 1)
        self.time.setFont(font)
        self.range_button = self._range_button(actions["play-range"])
        self.clear_button = self._button(actions["clear-range"])
        self.clear_button.hide()
        self.speed = self._speed_button(rates)
        self.mute_button = self._button(actions["mute"])
        self.volume = QSlider(Qt.Orientation.Horizontal)
        self.volume.setRange(0, 100)
        self.volume.setValue(100)
        self.volume.setPageStep(10)
        self.volume.setFixedWidth(84)
        self.volume.setAccessibleName(self.tr("Loudness"))
        self.volume.setToolTip(self.tr("Loudness"))
        self.volume.valueChanged.connect(lambda value: self.volumeChosen.emit(value / 100))
        self._lay_out()
        self.set_time(0.0)
        self.set_rate(1.0)

    def set_duration(self, duration_s: float) -> None:
        """Show a clip's length."""
        self._duration_s = duration_s
        longest = self._time_text(duration_s)
        self.time.setMinimumWidth(self.time.fontMetrics().horizontalAdvance(longest) + 4)
        self._fit()

    def set_time(self, time_s: float) -> None:
        """Show where the player is."""
        self.time.setText(self._time_text(time_s))

    def set_range(self, range_s: tuple[float, float] | None) -> None:
        """Show the chosen range as something that can be taken away."""
        self._has_range = range_s is not None
        if range_s is not None:
            decimals = decimals_for(self._duration_s)
            start, end = (clock(time, decimals) for time in range_s)
            self.range_button.setText(f"{start} – {end}")
            self.range_button.setAccessibleName(
                self.tr("Play the range {start} to {end}").format(start=start, end=end)
            )
        self._fit()

    def set_rate(self, rate: float) -> None:
        """Show a speed."""
        self.speed.setText(f"{rate:g}×")
        for action in self._rates.actions():
            action.setChecked(action.data() == rate)

    def set_volume(self, volume: float) -> None:
        """Show a loudness, 0 to 1, without telling of it."""
        self.volume.blockSignals(True)
        self.volume.setValue(round(volume * 100))
        self.volume.blockSignals(False)

    def set_audible(self, audible: bool, reason: str) -> None:
        """Offer the loudness, or say why there is nothing to set."""
        for widget in (self.volume, self.mute_button):
            widget.setEnabled(audible)
        self.volume.setToolTip(reason or self.tr("Loudness"))

    def minimumSizeHint(self) -> QSize:
        """Room for the three buttons and the time."""
        kept = [*self._buttons, self.time]
        width = sum(part.sizeHint().width() + SPACING for part in kept) + GAP
        return QSize(width, super().minimumSizeHint().height())

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Leave out what there is no room for."""
        super().resizeEvent(event)
        self._fit()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """A click here is a wish to use the player's keys too."""
        if event.type() == QEvent.Type.MouseButtonRelease:
            self.clicked.emit()
        return super().eventFilter(watched, event)

    def key_users(self) -> Sequence[QWidget]:
        """What must get its keys before the player's commands do."""
        return (
            *self._buttons,
            self.range_button,
            self.clear_button,
            self.speed,
            self.mute_button,
            self.volume,
        )

    def _range_button(self, action: QAction) -> QToolButton:
        # No default action: each change of the action would put its words back.
        button = QToolButton()
        button.setIcon(action.icon())
        button.setIconSize(ICON)
        button.setToolTip(action.toolTip())
        button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        button.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        theme.mark(button, "flat")
        button.clicked.connect(action.trigger)
        button.installEventFilter(self)
        button.hide()
        return button

    def _button(self, action: QAction) -> QToolButton:
        button = QToolButton()
        button.setDefaultAction(action)
        button.setIconSize(ICON)
        button.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        button.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)
        theme.mark(button, "flat")
        button.installEventFilter(self)
        return button

    def _speed_button(self, rates: Sequence[float]) -> QToolButton:
        button = QToolButton()
        button.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        button.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        button.setToolTip(self.tr("Speed (J slower, L faster)"))
        button.setAccessibleName(self.tr("Speed"))
        theme.mark(button, "flat")
        menu = QMenu(button)
        self._rates = QActionGroup(menu)
        for rate in rates:
            action = menu.addAction(f"{rate:g}×")
            action.setCheckable(True)
            action.setData(rate)
            self._rates.addAction(action)
        self._rates.triggered.connect(lambda action: self.rateChosen.emit(action.data()))
        button.setMenu(menu)
        return button

    def _lay_out(self) -> None:
        row = QHBoxLayout(self)
        row.setSizeConstraint(QHBoxLayout.SizeConstraint.SetNoConstraint)
        row.setContentsMargins(0, 2, 0, 2)
        row.setSpacing(SPACING)
        for button in self._buttons:
            row.addWidget(button)
        row.addSpacing(GAP)
        row.addWidget(self.time)
        row.addSpacing(GAP)
        row.addWidget(self.range_button)
        row.addWidget(self.clear_button)
        row.addStretch()
        row.addWidget(self.speed)
        row.addWidget(self.mute_button)
        row.addWidget(self.volume)

    def _fit(self) -> None:
        """Show what there is room for; what can be done elsewhere too goes first."""
        ranged = (self.range_button, self.clear_button) if self._has_range else ()
        wanted: list[QWidget] = [*self._buttons, self.time]
        wanted += [*ranged[1:], self.mute_button, self.speed, *ranged[:1], self.volume]
        room = self.width() - 2 * GAP
        for part in wanted:
            room -= max(part.sizeHint().width(), part.minimumWidth()) + SPACING
            part.setVisible(room >= 0 or part in self._buttons)
        for part in (self.range_button, self.clear_button):
            if not self._has_range:
                part.hide()

    def _time_text(self, time_s: float) -> str:
        decimals = decimals_for(self._duration_s)
        hours = self._duration_s >= 3600
        now = clock(time_s, decimals, hours)
        return f"{now} / {clock(self._duration_s, decimals, hours)}"

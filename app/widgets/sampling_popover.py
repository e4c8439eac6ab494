"""How the words of an answer are chosen, each setting with what it does in plain words."""

from dataclasses import replace

from PySide6.QtCore import QPoint, Qt, Signal
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import (
    QAbstractSpinBox,
    QDoubleSpinBox,
    QFrame,
    QGridLayout,
    QLabel,
    QPushButton,
    QSpinBox,
    QWidget,
)

from app.widgets import theme
from engines.sampling import SAMPLED_TOP_P, GenerateOptions

_MODELS_OWN = -1  # of top-k: what the bundle says
_MAX_SEED = 2**31 - 1
_DEFAULT_LENGTH, _MAX_LENGTH = 2048, 8192


class SamplingPopover(QFrame):
    """Opens over its button; Esc closes it. Every change counts at once."""

    changed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        """With the defaults."""
        super().__init__(parent, Qt.WindowType.Popup)
        theme.mark(self, "card")
        self.setAccessibleName(self.tr("How words are chosen"))
        self._base = GenerateOptions()
        self._grid = QGridLayout(self)
        self._grid.setContentsMargins(14, 12, 14, 12)
        self._grid.setVerticalSpacing(2)
        self._grid.setColumnStretch(0, 1)
        title = QLabel(self.tr("How words are chosen"), self)
        theme.mark(title, "heading")
        self._grid.addWidget(title, 0, 0, 1, 2)
        self.temperature = QDoubleSpinBox(self)
        self.temperature.setRange(0, 2)
        self.temperature.setSingleStep(0.1)
        self._add(
            self.temperature,
            self.tr("&Temperature"),
            self.tr("0 takes the likeliest word every time. Higher is livelier and errs more."),
        )
        self.top_p = QDoubleSpinBox(self)
        self.top_p.setRange(0.05, 1)
        self.top_p.setSingleStep(0.05)
        self._add(
            self.top_p,
            self.tr("Top-&p"),
            self.tr("Choose among the likeliest words that together reach this share."),
        )
        self.top_k = QSpinBox(self)
        self.top_k.setRange(_MODELS_OWN, 1000)
        self.top_k.setSpecialValueText(self.tr("model’s own"))
        self._add(
            self.top_k,
            self.tr("Top-&k"),
            self.tr("Choose among this many words at most; 0 is all of them."),
        )
        self.seed = QSpinBox(self)
        self.seed.setRange(0, _MAX_SEED)
        self._add(
            self.seed,
            self.tr("&Seed"),
            self.tr("The same seed gives the same answer again; another one, another answer."),
        )
        self.length = QSpinBox(self)
        self.length.setRange(1, _MAX_LENGTH)
        self.length.setSingleStep(64)
        self._add(
            self.length,
            self.tr("&Longest answer"),
            self.tr("In tokens, which are words or parts of words."),
        )
        self.reset = QPushButton(self.tr("&Defaults"), self)
        self.reset.clicked.connect(self._reset)
        self._grid.addWidget(self.reset, self._grid.rowCount(), 0, 1, 2, Qt.AlignmentFlag.AlignLeft)
        self.set_options(self._base)

    def options(self) -> GenerateOptions:
        """What is chosen; None where it is the default."""
        top_p, top_k = round(self.top_p.value(), 2), self.top_k.value()
        length = self.length.value()
        return replace(
            self._base,
            temperature=round(self.temperature.value(), 2) or None,
            top_p=None if top_p == SAMPLED_TOP_P else top_p,
            top_k=None if top_k == _MODELS_OWN else top_k,
            seed=self.seed.value(),
            max_new_tokens=None if length == _DEFAULT_LENGTH else length,
        )

    def set_options(self, options: GenerateOptions) -> None:
        """Show these choices, without telling of a change."""
        self._base = options
        for field, value in (
            (self.temperature, options.temperature or 0.0),
            (self.top_p, SAMPLED_TOP_P if options.top_p is None else options.top_p),
        ):
            field.blockSignals(True)
            field.setValue(value)
            field.blockSignals(False)
        for whole, number in (
            (self.top_k, _MODELS_OWN if options.top_k is None else options.top_k),
            (self.seed, min(options.seed, _MAX_SEED)),
            (self.length, options.max_new_tokens or _DEFAULT_LENGTH),
        ):
            whole.blockSignals(True)
            whole.setValue(number)
            whole.blockSignals(False)
        self._refresh()

    def open_above(self, button: QWidget) -> None:
        """Open with its lower right corner at the button's upper right one, on the screen."""
        self.setFixedWidth(min(340, button.screen().availableGeometry().width() - 16))
        self.adjustSize()
        corner = button.mapToGlobal(QPoint(button.width() - self.width(), -self.height() - 6))
        area = button.screen().availableGeometry()
        x = max(area.left() + 8, min(corner.x(), area.right() - self.width() - 8))
        self.move(x, max(area.top() + 8, corner.y()))
        self.show()
        self.temperature.setFocus(Qt.FocusReason.PopupFocusReason)
        self.temperature.selectAll()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Enter closes as Esc does: every change counted already."""
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter, Qt.Key.Key_Escape):
            self.close()
        else:
            super().keyPressEvent(event)

    def _add(self, field: QSpinBox | QDoubleSpinBox, name: str, meaning: str) -> None:
        label = QLabel(name, self)
        label.setBuddy(field)
        about = QLabel(meaning, self)
        about.setWordWrap(True)
        theme.mark(about, "muted")
        field.setAccessibleName(name.replace("&", ""))
        field.setAccessibleDescription(meaning)
        field.setButtonSymbols(QAbstractSpinBox.ButtonSymbols.UpDownArrows)
        field.setKeyboardTracking(False)
        field.setMinimumWidth(112)
        field.lineEdit().setTextMargins(4, 0, 0, 0)
        field.valueChanged.connect(self._changed)
        row = self._grid.rowCount()
        self._grid.setRowMinimumHeight(row, 34)
        self._grid.addWidget(label, row, 0, Qt.AlignmentFlag.AlignBottom)
        self._grid.addWidget(field, row, 1, Qt.AlignmentFlag.AlignBottom)
        self._grid.addWidget(about, row + 1, 0, 1, 2)

    def _changed(self) -> None:
        self._refresh()
        self.changed.emit()

    def _reset(self) -> None:
        self.set_options(GenerateOptions())
        self.changed.emit()

    def _refresh(self) -> None:
        """Without chance there is nothing for these to do."""
        chance = self.temperature.value() > 0
        why = "" if chance else self.tr("Has no effect while the temperature is 0.")
        for field in (self.top_p, self.top_k, self.seed):
            field.setEnabled(chance)
            field.setToolTip(why)

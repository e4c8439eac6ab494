"""One control for each kind of setting, all alike to who uses them: value, set_value, changed."""

from typing import Any

from PySide6.QtCore import QCoreApplication, Qt, Signal
from PySide6.QtGui import QWheelEvent
from PySide6.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDoubleSpinBox,
    QHBoxLayout,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from app.settings_table import Field

CONTROL_WIDTH = 220
FLOAT_PLACES = 2
# Where a number begins that had been left to the model.
START = {
    "threads": 4,
    "num_frames": 16,
    "top_k": 50,
    "repetition_penalty": 1.1,
    "max_new_tokens": 512,
}


def words(text: str) -> str:
    """Return a text of the settings' table in the user's language."""
    return QCoreApplication.translate("Settings", text) if text else ""


class Control(QWidget):
    """What all have in common; `main` is the part that has the keyboard and the name."""

    changed = Signal()

    def __init__(self, field: Field, parent: QWidget) -> None:
        """Keep the field; a kind adds its parts."""
        super().__init__(parent)
        self.field = field
        self.row = QHBoxLayout(self)
        self.row.setContentsMargins(0, 0, 0, 0)

    def take(self, main: QWidget) -> None:
        """Make a part the one that has the keyboard, and name it."""
        self.main = main
        main.setAccessibleName(words(self.field.label))
        main.setAccessibleDescription(words(self.field.explanation))
        self.setFocusProxy(main)

    def value(self) -> Any:
        """Return what is chosen, in the type the settings have."""
        raise NotImplementedError

    def set_value(self, value: Any) -> None:
        """Show a value, without telling of a change."""
        raise NotImplementedError

    def text_of(self, value: Any) -> str:
        """Return a value as a person reads it."""
        raise NotImplementedError


class ChoiceControl(Control):
    """One of a few values."""

    def __init__(self, field: Field, parent: QWidget) -> None:
        """Fill in the choices."""
        super().__init__(field, parent)
        self.box = _Combo(self)
        self.box.setMinimumWidth(CONTROL_WIDTH)
        self.box.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        for value, label in field.choices:
            self.box.addItem(words(label), value)
        self.take(self.box)
        self.row.addWidget(self.box, 1)
        self.box.activated.connect(self.changed)

    def value(self) -> Any:
        """Return the chosen value."""
        return self.box.currentData()

    def set_value(self, value: Any) -> None:
        """Choose it."""
        self.box.setCurrentIndex(self.box.findData(value))

    def text_of(self, value: Any) -> str:
        """Return its label."""
        return words(dict(self.field.choices)[value])


class SwitchControl(Control):
    """On or off."""

    def __init__(self, field: Field, parent: QWidget) -> None:
        """Make the box."""
        super().__init__(field, parent)
        self.box = QCheckBox(self)
        self.take(self.box)
        self.row.addWidget(self.box)
        self.row.addStretch()
        self.box.toggled.connect(self._say)
        self.box.clicked.connect(self.changed)
        self._say(False)

    def value(self) -> Any:
        """Return whether it is on."""
        return self.box.isChecked()

    def set_value(self, value: Any) -> None:
        """Turn it on or off."""
        self.box.setChecked(bool(value))

    def text_of(self, value: Any) -> str:
        """Return on or off."""
        return self.tr("On") if value else self.tr("Off")

    def _say(self, on: bool) -> None:
        self.box.setText(self.text_of(on))


class NumberControl(Control):
    """A number, and a box for "no number of my own" where that is possible."""

    def __init__(self, field: Field, parent: QWidget) -> None:
        """Take limits and step from the field."""
        super().__init__(field, parent)
        self._quiet = True
        self.spin: QSpinBox | QDoubleSpinBox
        low, high, step = field.minimum or 0, field.maximum or 0, field.step or 1
        if field.kind == "int":
            self.spin = _Spin(self)
            self.spin.setRange(int(low), int(high))
            self.spin.setSingleStep(int(step))
        else:
            self.spin = _DoubleSpin(self)
            self.spin.setDecimals(FLOAT_PLACES)
            self.spin.setRange(low, high)
            self.spin.setSingleStep(step)
        self.spin.setKeyboardTracking(False)
        # Not by the wheel, which is to scroll the page.
        self.spin.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.spin.lineEdit().setTextMargins(6, 0, 0, 0)
        self.spin.valueChanged.connect(self._tell)
        self.box = QCheckBox(words(field.none_label), self)
        self.box.setVisible(field.optional)
        self.box.toggled.connect(self.spin.setHidden)
        self._start()
        self.box.clicked.connect(self.changed)
        self.take(self.spin)
        if field.optional:
            self.box.setAccessibleName(f"{words(field.label)}: {words(field.none_label)}")
            self.setFocusProxy(self.box)
            column = QVBoxLayout()
            column.addWidget(self.box)
            column.addWidget(self.spin)
            self.row.addLayout(column, 1)
        else:
            self.row.addWidget(self.spin, 1)
        self.setMinimumWidth(CONTROL_WIDTH)
        self._quiet = False

    def value(self) -> Any:
        """Return the number, or None."""
        if self.field.optional and self.box.isChecked():
            return None
        number = self.spin.value()
        return round(number, FLOAT_PLACES) if self.field.kind == "float" else number

    def set_value(self, value: Any) -> None:
        """Show it; None ticks the box and leaves the number."""
        self._quiet = True
        self.box.setChecked(value is None)
        if value is not None:
            self.spin.setValue(value)
        self._quiet = False

    def text_of(self, value: Any) -> str:
        """Return the number, or what None reads."""
        return words(self.field.none_label) if value is None else self.spin.textFromValue(value)

    def _start(self) -> None:
        number = START.get(self.field.name, self.field.minimum or 0)
        if isinstance(self.spin, QSpinBox):
            self.spin.setValue(int(number))
        else:
            self.spin.setValue(number)

    def _tell(self) -> None:
        if not self._quiet:
            self.changed.emit()


class _Combo(QComboBox):
    """Lets the wheel scroll the page where it does not have the keyboard."""

    def wheelEvent(self, event: QWheelEvent) -> None:
        if self.hasFocus():
            super().wheelEvent(event)
        else:
            event.ignore()


class _Spin(QSpinBox):
    def wheelEvent(self, event: QWheelEvent) -> None:
        if self.hasFocus():
            super().wheelEvent(event)
        else:
            event.ignore()


class _DoubleSpin(QDoubleSpinBox):
    def wheelEvent(self, event: QWheelEvent) -> None:
        if self.hasFocus():
            super().wheelEvent(event)
        else:
            event.ignore()

"""Controls for texts and folders, and the choice of a control for a setting."""

from typing import Any

from PySide6.QtCore import Qt
from PySide6.QtWidgets import (
    QFileDialog,
    QHBoxLayout,
    QLineEdit,
    QListWidget,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from app.settings_table import Field
from app.widgets import theme
from app.widgets.plain_tip import plain_tip
from app.widgets.setting_controls import (
    ChoiceControl,
    Control,
    NumberControl,
    SwitchControl,
    words,
)

LINE_WIDTH = 140


def control_for(field: Field, parent: QWidget) -> "Control":
    """Return the control of a setting."""
    kinds: dict[str, type[Control]] = {
        "choice": ChoiceControl,
        "bool": SwitchControl,
        "int": NumberControl,
        "float": NumberControl,
        "text": TextControl,
        "path": TextControl,
        "list": ListControl,
    }
    return kinds[field.kind](field, parent)


class TextControl(Control):
    """A line of text; a path has a button to choose a folder."""

    def __init__(self, field: Field, parent: QWidget) -> None:
        """Make the line."""
        super().__init__(field, parent)
        self.line = QLineEdit(self)
        self.line.setMinimumWidth(LINE_WIDTH)
        self.take(self.line)
        self.row.addWidget(self.line, 1)
        self.line.editingFinished.connect(self._tell)
        self._before = ""
        if field.kind == "path":
            self.button = QPushButton(self.tr("Choose…"), self)
            self.button.setAccessibleName(
                self.tr("Choose a folder for {setting}").format(setting=words(field.label))
            )
            self.button.clicked.connect(self._choose)
            self.row.addWidget(self.button)

    def value(self) -> Any:
        """Return the text."""
        return self.line.text().strip()

    def set_value(self, value: Any) -> None:
        """Show it."""
        self._before = str(value)
        self.line.setText(self._before)

    def text_of(self, value: Any) -> str:
        """Return the text, or that there is none."""
        return str(value) or self.tr("empty")

    def _tell(self) -> None:
        if self.value() != self._before:
            self._before = self.value()
            self.changed.emit()

    def _choose(self) -> None:
        folder = QFileDialog.getExistingDirectory(self, words(self.field.label), self.value())
        if folder:
            self.line.setText(folder)
            self._tell()


class ListControl(Control):
    """Several folders."""

    def __init__(self, field: Field, parent: QWidget) -> None:
        """Make list and buttons."""
        super().__init__(field, parent)
        self.list = QListWidget(self)
        self.list.setMinimumWidth(LINE_WIDTH)
        self.list.setTextElideMode(Qt.TextElideMode.ElideLeft)
        self.take(self.list)
        self.add = QPushButton(theme.icon("plus"), self.tr("Add folder…"), self)
        self.remove = QPushButton(self.tr("Remove"), self)
        self.remove.setAccessibleName(self.tr("Remove the chosen folder from the list"))
        self.add.clicked.connect(self._choose)
        self.remove.clicked.connect(self._remove)
        self.list.currentRowChanged.connect(lambda row: self.remove.setEnabled(row >= 0))
        self.remove.setEnabled(False)
        buttons = QHBoxLayout()
        buttons.addWidget(self.add)
        buttons.addWidget(self.remove)
        column = QVBoxLayout()
        column.addWidget(self.list)
        column.addLayout(buttons)
        self.row.addLayout(column, 1)

    def value(self) -> Any:
        """Return the folders."""
        return tuple(self.list.item(row).text() for row in range(self.list.count()))

    def set_value(self, value: Any) -> None:
        """Show them."""
        self.list.clear()
        for folder in value:
            self.list.addItem(str(folder))
            self.list.item(self.list.count() - 1).setToolTip(plain_tip(str(folder)))
        lines = min(4, max(1, len(value)))
        self.list.setFixedHeight(lines * (self.fontMetrics().height() + 6) + 8)

    def text_of(self, value: Any) -> str:
        """Return the folders in one line, or that there is none."""
        return ", ".join(value) or self.tr("none")

    def _choose(self) -> None:
        folder = QFileDialog.getExistingDirectory(self, words(self.field.label))
        if folder and folder not in self.value():
            self.set_value((*self.value(), folder))
            self.changed.emit()

    def _remove(self) -> None:
        self.list.takeItem(self.list.currentRow())
        self.set_value(self.value())
        self.changed.emit()

"""The sheet of keyboard shortcuts, under the headings of the command palette, searchable."""

from collections.abc import Callable, Iterable, Sequence

from PySide6.QtCore import Qt
from PySide6.QtGui import QAction
from PySide6.QtWidgets import (
    QDialog,
    QDialogButtonBox,
    QFrame,
    QGridLayout,
    QLabel,
    QLineEdit,
    QScrollArea,
    QVBoxLayout,
    QWidget,
)

from app.widgets import theme
from app.widgets.fuzzy import match
from app.widgets.palette import GROUP, command_name, key_names


class ShortcutSheet(QDialog):
    """Every command that has a shortcut; what cannot be used at the moment is listed too."""

    def __init__(
        self,
        commands: Sequence[QAction] | Callable[[], Iterable[QAction]],
        parent: QWidget | None = None,
    ) -> None:
        """Make it, hidden.

        Args:
            commands: The actions, or a function that collects them anew at each `open`.
            parent: The window it belongs to.
        """
        super().__init__(parent)
        self._commands = commands
        self.setWindowTitle(self.tr("Keyboard shortcuts"))
        self.search = QLineEdit(self)
        self.search.setPlaceholderText(self.tr("Search by command or key"))
        self.search.setAccessibleName(self.tr("Search shortcuts"))
        self.search.setClearButtonEnabled(True)
        self.search.addAction(
            theme.icon("search", "muted"), QLineEdit.ActionPosition.LeadingPosition
        )
        self.search.textChanged.connect(self._fill)
        self._scroll = QScrollArea(self)
        self._scroll.setWidgetResizable(True)
        self._scroll.setFrameShape(QFrame.Shape.NoFrame)
        self._scroll.setAccessibleName(self.tr("Shortcuts"))
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close, self)
        buttons.button(QDialogButtonBox.StandardButton.Close).setText(self.tr("Close"))
        buttons.rejected.connect(self.reject)
        layout = QVBoxLayout(self)
        layout.addWidget(self.search)
        layout.addWidget(self._scroll)
        layout.addWidget(buttons)
        self.resize(560, 620)

    def open(self) -> None:
        """Show it with the shortcuts as they are now."""
        self.search.clear()
        self._fill("")
        self.search.setFocus()
        super().open()

    def _fill(self, query: str) -> None:
        commands = self._commands() if callable(self._commands) else self._commands
        groups: dict[str, list[QAction]] = {}
        for action in dict.fromkeys(commands):
            words = " ".join([command_name(action), *key_names(action)])
            if key_names(action) and command_name(action) and match(query, words):
                heading = action.property(GROUP) or self.tr("General")
                groups.setdefault(heading, []).append(action)
        page = QWidget()
        grid = QGridLayout(page)
        grid.setColumnStretch(0, 1)
        grid.setVerticalSpacing(6)
        for heading, actions in groups.items():
            _add_group(grid, heading, actions)
        if not groups:
            grid.addWidget(_label(self.tr("No shortcut fits."), "muted"), 0, 0)
        grid.setRowStretch(grid.rowCount(), 1)
        self._scroll.setWidget(page)


def _add_group(grid: QGridLayout, heading: str, actions: Sequence[QAction]) -> None:
    row = grid.rowCount()
    title = _label(heading, "heading")
    title.setContentsMargins(0, 10 if row > 1 else 0, 0, 2)
    grid.addWidget(title, row, 0, 1, 2)
    for number, action in enumerate(actions, start=row + 1):
        grid.addWidget(_label(command_name(action)), number, 0)
        keys = QWidget()
        line = QGridLayout(keys)
        line.setContentsMargins(0, 0, 0, 0)
        for column, name in enumerate(key_names(action)):
            line.addWidget(_label(name, "key"), 0, column)
        grid.addWidget(keys, number, 1, Qt.AlignmentFlag.AlignRight)


def _label(text: str, kind: str | None = None) -> QLabel:
    label = QLabel(text)
    label.setTextFormat(Qt.TextFormat.PlainText)
    label.setWordWrap(kind is None)
    label.setProperty("kind", kind)
    return label

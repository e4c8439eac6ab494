"""The settings, drawn from their table: each with explanation, default and a way back to it."""

from collections.abc import Sequence
from dataclasses import replace

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import (
    QFrame,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QMessageBox,
    QPushButton,
    QScrollArea,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from app.settings import FIELDS, Settings
from app.settings_table import Field, problem
from app.widgets import theme
from app.widgets.folder_controls import control_for
from app.widgets.setting_controls import Control, words

PAGE_WIDTH = 820
# Below this the control stands under the text instead of beside it.
NARROW_WIDTH = 560


class SettingsPage(QWidget):
    """Every setting that has a group; a change is told at once, there is nothing to apply."""

    changed = Signal(object)  # Settings

    def __init__(
        self, parent: QWidget | None = None, settings_fields: Sequence[Field] = FIELDS
    ) -> None:
        """Draw the page.

        Args:
            parent: Where it stands.
            settings_fields: The table; those without a group are left out.
        """
        super().__init__(parent)
        self._settings = Settings()
        self.setAccessibleName(self.tr("Settings"))
        title = QLabel(self.tr("Settings"), self)
        theme.mark(title, "title")
        self.search = QLineEdit(self)
        self.search.setPlaceholderText(self.tr("Search settings"))
        self.search.setAccessibleName(self.tr("Search settings"))
        self.search.setClearButtonEnabled(True)
        place = QLineEdit.ActionPosition.LeadingPosition
        self.search.addAction(theme.icon("search", "muted"), place)
        self.search.textChanged.connect(self._filter)
        self.reset_all = QPushButton(theme.icon("reset"), self.tr("Reset all…"), self)
        self.reset_all.clicked.connect(self._ask_reset)

        page = QWidget(self)
        page.setMaximumWidth(PAGE_WIDTH)
        column = QVBoxLayout(page)
        column.setContentsMargins(16, 4, 16, 24)
        self.rows: dict[str, SettingRow] = {}
        self._groups: list[tuple[QLabel, list[SettingRow]]] = []
        shown = [field for field in settings_fields if field.group]
        for group in dict.fromkeys(field.group for field in shown):
            heading = QLabel(words(group), page)
            heading.setContentsMargins(0, 14, 0, 2)
            theme.mark(heading, "heading")
            column.addWidget(heading)
            rows = [SettingRow(field, page) for field in shown if field.group == group]
            self._groups.append((heading, rows))
            for row in rows:
                column.addWidget(row)
                self.rows[row.field.name] = row
                row.changed.connect(self._change)
        self._nothing = QLabel(self.tr("No setting fits."), page)
        theme.mark(self._nothing, "muted")
        self._nothing.hide()
        column.addWidget(self._nothing)
        column.addStretch()

        holder = QWidget(self)
        across = QHBoxLayout(holder)
        across.setContentsMargins(0, 0, 0, 0)
        across.addStretch(1)
        across.addWidget(page, 100)
        across.addStretch(1)
        self._scroll = QScrollArea(self)
        self._scroll.setWidgetResizable(True)
        self._scroll.setFrameShape(QFrame.Shape.NoFrame)
        self._scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self._scroll.setWidget(holder)

        self._top = QGridLayout()
        self._top.setContentsMargins(16, 12, 16, 4)
        self._top.setColumnStretch(1, 1)
        self._top.setColumnStretch(2, 2)
        self._top.addWidget(title, 0, 0)
        self._top.addWidget(self.search, 0, 2)
        self._top.addWidget(self.reset_all, 0, 3)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(self._top)
        layout.addWidget(self._scroll, 1)
        self.setFocusProxy(self.search)
        self.set_settings(self._settings)

    def set_settings(self, settings: Settings) -> None:
        """Show these settings; nothing is told of it."""
        self._settings = settings
        for name, row in self.rows.items():
            row.show_value(getattr(settings, name))
        self.reset_all.setEnabled(any(row.differs() for row in self.rows.values()))

    def settings(self) -> Settings:
        """Return the settings as the page shows them."""
        return self._settings

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Put the controls under their texts where there is little width."""
        super().resizeEvent(event)
        narrow = event.size().width() < NARROW_WIDTH
        for row in self.rows.values():
            row.set_narrow(narrow)
        self._top.removeWidget(self.search)
        if narrow:
            self._top.addWidget(self.search, 1, 0, 1, 4)
        else:
            self._top.addWidget(self.search, 0, 2)

    def _change(self, name: str) -> None:
        row = self.rows[name]
        value = row.control.value()
        # The messages name settings as the file does; a control only just prevents them.
        if problem(name, value) is None:
            self.set_settings(replace(self._settings, **{name: value}))
            self.changed.emit(self._settings)

    def _filter(self, query: str) -> None:
        wanted = query.casefold().split()
        found = False
        for heading, rows in self._groups:
            any_here = False
            for row in rows:
                fits = all(word in row.searched for word in wanted)
                row.setVisible(fits)
                any_here |= fits
            heading.setVisible(any_here)
            found |= any_here
        self._nothing.setVisible(not found)

    def _ask_reset(self) -> None:
        question = QMessageBox(self)
        question.setIcon(QMessageBox.Icon.Question)
        question.setWindowTitle(self.tr("Reset all settings"))
        question.setText(self.tr("Set everything on this page to its default?"))
        question.setInformativeText(self.tr("Conversations and models are not touched."))
        reset = question.addButton(self.tr("Reset"), QMessageBox.ButtonRole.DestructiveRole)
        keep = question.addButton(self.tr("Cancel"), QMessageBox.ButtonRole.RejectRole)
        question.setDefaultButton(keep)
        question.setEscapeButton(keep)
        reset.clicked.connect(self.reset)
        question.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        question.open()

    def reset(self) -> None:
        """Set everything on the page to its default; what the window remembers stays."""
        values = {name: row.default for name, row in self.rows.items()}
        self.set_settings(replace(self._settings, **values))
        self.changed.emit(self._settings)


class SettingRow(QFrame):
    """A setting: what it is, what it means, its control, and the way back to the default."""

    changed = Signal(str)

    def __init__(self, field: Field, parent: QWidget) -> None:
        """Draw it."""
        super().__init__(parent)
        self.field = field
        self.default = getattr(Settings(), field.name)
        self.searched = " ".join(
            [words(field.label), words(field.explanation), words(field.group), field.name]
        ).casefold()
        theme.mark(self, "card")
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Maximum)
        self.control: Control = control_for(field, self)
        self.control.changed.connect(lambda: self.changed.emit(field.name))
        self.label = _text(words(field.label), "strong")
        self._note = _text("", "muted")
        self.back = QPushButton(theme.icon("reset"), self.tr("Reset"), self)
        self.back.setAccessibleName(
            self.tr("Reset {setting} to its default").format(setting=words(field.label))
        )
        theme.mark(self.back, "flat")
        self.back.clicked.connect(self._reset)

        texts = QVBoxLayout()
        texts.setSpacing(3)
        texts.addWidget(self.label)
        texts.addWidget(_text(words(field.explanation), "muted"))
        texts.addStretch()
        last = QHBoxLayout()
        last.addWidget(self._note, 1)
        last.addWidget(self.back)
        self._grid = QGridLayout(self)
        self._grid.setContentsMargins(12, 10, 12, 8)
        self._grid.setHorizontalSpacing(20)
        self._grid.setColumnStretch(0, 1)
        self._grid.addLayout(texts, 0, 0)
        self._grid.addLayout(last, 2, 0, 1, 2)
        self._narrow: bool | None = None
        # Until the page knows its width: a hidden page is not to keep the window from shrinking.
        self.set_narrow(True)
        QWidget.setTabOrder(self.control, self.back)

    def show_value(self, value: object) -> None:
        """Show a value and whether it is the default."""
        self.control.set_value(value)
        default = self.control.text_of(self.default)
        if self.differs():
            note = self.tr("Changed. Default: {value}").format(value=default)
        else:
            note = self.tr("This is the default.")
        self._note.setText(note)
        self.back.setVisible(self.differs())

    def differs(self) -> bool:
        """Tell whether what is shown is not the default."""
        return bool(self.control.value() != self.default)

    def set_narrow(self, narrow: bool) -> None:
        """Put the control under the texts or beside them."""
        if narrow == self._narrow:
            return
        self._narrow = narrow
        self._grid.removeWidget(self.control)
        if narrow:
            self._grid.addWidget(self.control, 1, 0, 1, 2)
        else:
            top = Qt.AlignmentFlag.AlignTop
            self._grid.addWidget(self.control, 0, 1, top)

    def _reset(self) -> None:
        self.control.setFocus(Qt.FocusReason.OtherFocusReason)
        self.control.set_value(self.default)
        self.changed.emit(self.field.name)


def _text(text: str, kind: theme.Kind) -> QLabel:
    label = QLabel(text)
    label.setTextFormat(Qt.TextFormat.PlainText)
    label.setWordWrap(True)
    label.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Minimum)
    theme.mark(label, kind)
    return label

"""What to build: which checkpoint, how its weights are stored, where the bundle goes."""

from collections.abc import Callable
from pathlib import Path

from PySide6.QtCore import Signal
from PySide6.QtWidgets import (
    QButtonGroup,
    QCheckBox,
    QComboBox,
    QFileDialog,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QPushButton,
    QRadioButton,
    QVBoxLayout,
    QWidget,
)

from app import bundles
from app.bundles import ExportChoices
from app.new_file import is_there
from app.widgets import theme
from app.widgets.labels import text_label

GROUPS = (128, 64, 32, 16)


class BuildForm(QWidget):
    """Which checkpoint, how its weights are stored, where the bundle goes."""

    ready = Signal(bool)

    def __init__(self, parent: QWidget | None = None) -> None:
        """Empty; `problem` says what is missing."""
        super().__init__(parent)
        self._named_by_user = False
        self.checkpoint = QLineEdit(self)
        self.checkpoint.setAccessibleName(self.tr("Checkpoint folder"))
        self.checkpoint.setPlaceholderText(self.tr("A Hugging Face folder with config.json"))
        self.out = QLineEdit(self)
        self.out.setAccessibleName(self.tr("Bundle to be made"))
        self.scheme = QButtonGroup(self)
        self.schemes: dict[str, QRadioButton] = {}
        self.group = QComboBox(self)
        self.group.setAccessibleName(self.tr("Weights that share a scale"))
        self.group.addItem(self.tr("the largest that fits"), None)
        for number in GROUPS:
            self.group.addItem(str(number), number)
        self.replace = QCheckBox(self.tr("Replace a bundle of this name"), self)
        self.missing = text_label("", "muted")
        self._lay_out()
        self.checkpoint.textChanged.connect(self._suggest)
        self.out.textEdited.connect(self._keep_name)
        self.out.textChanged.connect(self._check)
        self.replace.toggled.connect(self._check)
        self.scheme.buttonToggled.connect(self._suggest)
        self._suggest()

    def choices(self) -> ExportChoices:
        """Return how the weights are stored."""
        scheme = next(name for name, button in self.schemes.items() if button.isChecked())
        group = self.group.currentData() if scheme == "int4" else None
        # One of the three by construction.
        return ExportChoices(
            scheme,  # type: ignore[arg-type]
            group,
            self.replace.isChecked(),
        )

    def paths(self) -> tuple[Path, Path]:
        """Return the checkpoint's folder and the bundle's."""
        return Path(self.checkpoint.text().strip()), Path(self.out.text().strip())

    def problem(self) -> str:
        """Return what is missing (a sentence), or nothing."""
        checkpoint, out = self.paths()
        if not self.checkpoint.text().strip():
            return self.tr("Choose the folder of a checkpoint.")
        if not is_there(checkpoint / "config.json"):
            return self.tr("This folder holds no config.json, so it is not a checkpoint.")
        if not self.out.text().strip():
            return self.tr("Say where the bundle goes.")
        if is_there(out) and not self.replace.isChecked():
            return self.tr("A bundle of this name exists; choose another name or replace it.")
        return ""

    def _lay_out(self) -> None:
        explained = (
            (
                "int4",
                self.tr("4 bits (recommended)"),
                self.tr("The language model in 4 bits, the rest in 16: smallest and fastest."),
            ),
            (
                "fp16",
                self.tr("16 bits"),
                self.tr("Four times as large as 4 bits, practically the published numbers."),
            ),
            (
                "fp32",
                self.tr("32 bits"),
                self.tr("The reference's own numbers, for comparing; eight times as large."),
            ),
        )
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(text_label(self.tr("Checkpoint folder"), "strong"))
        column.addLayout(self._path_row(self.checkpoint, self._choose_checkpoint))
        column.addSpacing(6)
        column.addWidget(text_label(self.tr("How weights are stored"), "strong"))
        for name, label, explanation in explained:
            button = QRadioButton(label, self)
            button.setAccessibleDescription(explanation)
            self.schemes[name] = button
            self.scheme.addButton(button)
            column.addWidget(button)
            words = text_label(explanation, "muted")
            words.setContentsMargins(28, 0, 0, 2)
            column.addWidget(words)
        self.schemes["int4"].setChecked(True)
        group = QHBoxLayout()
        group.addWidget(QLabel(self.tr("Weights that share a scale:"), self))
        group.addWidget(self.group)
        group.addStretch()
        self.schemes["int4"].toggled.connect(self.group.setEnabled)
        column.addLayout(group)
        column.addSpacing(6)
        column.addWidget(text_label(self.tr("Bundle to be made"), "strong"))
        column.addLayout(self._path_row(self.out, self._choose_out))
        column.addWidget(self.replace)
        column.addSpacing(6)
        column.addWidget(self.missing)
        column.addStretch()

    def _path_row(self, line: QLineEdit, choose: Callable[[], None]) -> QHBoxLayout:
        row = QHBoxLayout()
        button = QPushButton(theme.icon("folder"), self.tr("Choose…"), self)
        button.setAccessibleName(self.tr("Choose: {what}").format(what=line.accessibleName()))
        button.clicked.connect(choose)
        row.addWidget(line, 1)
        row.addWidget(button)
        return row

    def _choose_checkpoint(self) -> None:
        folder = QFileDialog.getExistingDirectory(self, self.tr("Checkpoint folder"))
        if folder:
            self.checkpoint.setText(folder)

    def _choose_out(self) -> None:
        start = self.out.text() or str(bundles.bundles_dir())
        name, _ = QFileDialog.getSaveFileName(
            self,
            self.tr("Bundle to be made"),
            start,
            options=QFileDialog.Option.DontConfirmOverwrite,
        )
        if name:
            self._named_by_user = True
            self.out.setText(name)

    def _keep_name(self) -> None:
        self._named_by_user = bool(self.out.text().strip())

    def _suggest(self) -> None:
        checkpoint, _ = self.paths()
        if not self._named_by_user and self.checkpoint.text().strip():
            name = f"{checkpoint.name}-{self.choices().scheme}.vl2"
            self.out.setText(str(bundles.bundles_dir() / name))
        self._check()

    def _check(self) -> None:
        problem = self.problem()
        self.missing.setText(problem)
        self.ready.emit(not problem)

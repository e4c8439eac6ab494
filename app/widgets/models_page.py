"""The models of this computer: what each needs, where it would run; import, build, use, remove.

The page asks by signals and is told by methods. What takes long (`model_facts.survey`, copying a
bundle) is done elsewhere, off the window's thread; building is a process, owned by the page.
"""

from collections.abc import Sequence
from pathlib import Path

from PySide6.QtCore import Qt, QTimer, Signal
from PySide6.QtGui import QAction, QDragEnterEvent, QDropEvent
from PySide6.QtWidgets import (
    QAbstractButton,
    QFileDialog,
    QFrame,
    QHBoxLayout,
    QMessageBox,
    QPushButton,
    QScrollArea,
    QVBoxLayout,
    QWidget,
)

from app.bundles import Memory
from app.new_file import is_there
from app.widgets import theme
from app.widgets.build_dialog import BuildDialog, show_progress, state_text
from app.widgets.build_job import BuildJob
from app.widgets.labels import text_label
from app.widgets.model_card import ModelCard
from app.widgets.model_facts import BundleFacts
from app.widgets.wording import size_text
from app.widgets.work_card import WorkCard

PAGE_WIDTH = 860
REFRESH_MS = 1_000


class ModelsPage(QWidget):
    """A card for each bundle, under them that is done here: importing and building."""

    useRequested = Signal(object)  # Path
    importRequested = Signal(object)  # Path
    importCancelled = Signal()
    removeRequested = Signal(object)  # Path; confirmed by the user
    bundlesChanged = Signal()  # a build has ended: look anew

    def __init__(self, parent: QWidget | None = None) -> None:
        """Empty until `set_bundles`."""
        super().__init__(parent)
        self.setAccessibleName(self.tr("Models"))
        self.setAcceptDrops(True)
        self.cards: list[ModelCard] = []
        self.job: BuildJob | None = None
        self._dialog: BuildDialog | None = None
        self._make_actions()
        title = text_label(self.tr("Models"), "title")
        title.setWordWrap(False)
        self.import_button = self._button(self.import_action)
        self.build_button = self._button(self.build_action)
        top = QHBoxLayout()
        top.setContentsMargins(16, 12, 16, 4)
        top.addWidget(title)
        top.addStretch()
        top.addWidget(self.import_button)
        top.addWidget(self.build_button)

        self.import_card = WorkCard(self)
        self.import_card.button.setText(self.tr("Cancel"))
        self.import_card.button.clicked.connect(self._cancel_import)
        self.import_card.dismissed.connect(self.import_card.hide)
        self.build_card = WorkCard(self)
        self.build_card.button.setText(self.tr("Show"))
        self.build_card.button.clicked.connect(self.show_build)
        self.build_card.dismissed.connect(self._forget_build)

        self._page = QWidget(self)
        self._page.setMaximumWidth(PAGE_WIDTH)
        self._column = QVBoxLayout(self._page)
        self._column.setContentsMargins(16, 4, 16, 24)
        self._column.setSpacing(10)
        self._column.addWidget(self.import_card)
        self._column.addWidget(self.build_card)
        self._hint = text_label(
            self.tr(
                "For clips of your own, build a model from a VideoLLaMA 2 checkpoint, or import one"
                " that was built on another computer. Everything stays on this computer."
            ),
            "muted",
        )
        self._hint.hide()
        self._column.addWidget(self._hint)
        self._column.addStretch()
        holder = QWidget(self)
        across = QHBoxLayout(holder)
        across.setContentsMargins(0, 0, 0, 0)
        across.addStretch(1)
        across.addWidget(self._page, 100)
        across.addStretch(1)
        self._scroll = QScrollArea(self)
        self._scroll.setWidgetResizable(True)
        self._scroll.setFrameShape(QFrame.Shape.NoFrame)
        self._scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self._scroll.setWidget(holder)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(top)
        layout.addWidget(self._scroll, 1)
        self._tick = QTimer(self, interval=REFRESH_MS)
        self._tick.timeout.connect(self._show_build)

    def set_bundles(self, facts: Sequence[BundleFacts], memory: Memory, used: Path | None) -> None:
        """Show these bundles.

        Args:
            facts: From `model_facts.survey`.
            memory: Likewise.
            used: Folder of the bundle that answers at the moment.
        """
        opened = {card.path() for card in self.cards if card.expanded()}
        at = self._focused()
        for card in self.cards:
            self._column.removeWidget(card)
            card.hide()
            card.deleteLater()
        self.cards = []
        self._hint.setVisible(all(one.bundle.is_demo for one in facts))
        for one in facts:
            card = ModelCard(one, memory, one.bundle.path == used, self._page)
            card.useRequested.connect(self.useRequested)
            card.removeRequested.connect(self._ask_remove)
            card.details_button.setChecked(card.path() in opened)
            self._column.insertWidget(self._column.count() - 2, card)
            self.cards.append(card)
            if at is not None and at[0] == card.path():
                self._focus_again(card, at[1])

    def set_import_progress(self, name: str, done: int, total: int) -> None:
        """Show how far the copying of a bundle is, in bytes."""
        words = self.tr("Importing and checking {name}: {done} of {total}").format(
            name=name, done=size_text(done), total=size_text(total)
        )
        self.import_card.show_work(words, done / total if total else 0.0)
        self.import_card.button.setEnabled(True)
        self.import_action.setEnabled(False)

    def end_import(self, problem: str | None = None) -> None:
        """Say that the copying has ended: well, or with a sentence why not."""
        self.import_action.setEnabled(True)
        if problem is None:
            self.import_card.hide()
        else:
            self.import_card.show_end("error", "error", problem)

    def show_build(self) -> None:
        """Show the build that runs, or the form for a new one."""
        if self._dialog is None:
            if self.job is not None and self.job.state == "done":
                self._forget_build()
            self._dialog = BuildDialog(self.window(), self.job)
            self._dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
            self._dialog.started.connect(self._own)
            self._dialog.useRequested.connect(self.useRequested)
            self._dialog.finished.connect(self._dialog_closed)
        self._dialog.show()
        self._dialog.raise_()
        self._dialog.activateWindow()

    def close_build(self) -> None:
        """End a running build and wait for it: the program is closing."""
        if self.job is not None:
            self.job.close()

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        """Take a folder that is a bundle."""
        if self._dropped(event) is not None:
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent) -> None:
        """Import it."""
        folder = self._dropped(event)
        if folder is not None:
            event.acceptProposedAction()
            self.importRequested.emit(folder)

    def _make_actions(self) -> None:
        self.import_action = QAction(theme.icon("import"), self.tr("Import a model…"), self)
        self.import_action.setStatusTip(self.tr("Copy a bundle into the program's folder"))
        self.import_action.triggered.connect(self._choose_import)
        self.build_action = QAction(
            theme.icon("build"), self.tr("Build a model from a checkpoint…"), self
        )
        self.build_action.triggered.connect(self.show_build)
        self.addActions([self.import_action, self.build_action])

    def _button(self, action: QAction) -> QPushButton:
        short = {
            self.import_action: self.tr("Import…"),
            self.build_action: self.tr("Build…"),
        }
        button = QPushButton(action.icon(), short[action], self)
        button.setAccessibleName(action.text())
        button.setToolTip(action.text())
        button.clicked.connect(action.trigger)
        action.enabledChanged.connect(button.setEnabled)
        return button

    def _choose_import(self) -> None:
        folder = QFileDialog.getExistingDirectory(
            self, self.tr("Import a model: choose its folder")
        )
        if folder:
            self.importRequested.emit(Path(folder))

    def _cancel_import(self) -> None:
        self.import_card.button.setEnabled(False)
        self.importCancelled.emit()

    def _ask_remove(self, path: Path) -> None:
        card = next((card for card in self.cards if card.path() == path), None)
        if card is None:
            return
        bundle = card.facts.bundle
        question = QMessageBox(self)
        question.setIcon(QMessageBox.Icon.Warning)
        question.setWindowTitle(self.tr("Remove a model"))
        question.setTextFormat(Qt.TextFormat.PlainText)
        question.setText(self.tr("Remove “{model}” from this computer?").format(model=bundle.name))
        question.setInformativeText(
            self.tr(
                "The folder {path} ({size}) is deleted. Conversations stay; to ask again, the model"
                " has to be imported or built anew."
            ).format(path=bundle.path, size=size_text(bundle.size_bytes))
        )
        remove = question.addButton(self.tr("Remove"), QMessageBox.ButtonRole.DestructiveRole)
        keep = question.addButton(self.tr("Keep"), QMessageBox.ButtonRole.RejectRole)
        theme.mark(remove, "danger")
        question.setDefaultButton(keep)
        question.setEscapeButton(keep)
        remove.clicked.connect(lambda: self.removeRequested.emit(path))
        question.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        question.open()

    def _own(self, job: BuildJob) -> None:
        self.job = job
        job.setParent(self)
        job.changed.connect(self._show_build)

    def _forget_build(self) -> None:
        if self.job is not None:
            self.job.deleteLater()
        self.job = None
        self._show_build()

    def _dialog_closed(self) -> None:
        self._dialog = None
        if self.job is not None and self.job.state == "done":
            self._forget_build()

    def _show_build(self) -> None:
        job = self.job
        if job is None:
            self._tick.stop()
            self.build_card.hide()
            return
        words = f"{job.out.name}: {state_text(job)}"
        if job.active:
            self._tick.start()
            self.build_card.show_work(words, job.fraction)
            show_progress(self.build_card.bar, job)
            return
        self._tick.stop()
        looks = {"done": ("done", "success"), "failed": ("error", "error")}
        self.build_card.show_end(*looks.get(job.state, ("info", "muted")), words)
        self.build_card.button.show()
        if job.state == "done":
            self.bundlesChanged.emit()

    def _focused(self) -> tuple[Path, str] | None:
        widget = self.focusWidget()
        if widget is None or not widget.hasFocus():
            return None
        for card in self.cards:
            if card.isAncestorOf(widget):
                return card.path(), widget.objectName()
        return None

    def _focus_again(self, card: ModelCard, name: str) -> None:
        button = card.findChild(QAbstractButton, name)
        usable = button is not None and not button.isHidden()
        target = button if usable and button is not None else card.details_button
        target.setFocus(Qt.FocusReason.OtherFocusReason)

    def _dropped(self, event: QDropEvent) -> Path | None:
        urls = event.mimeData().urls()
        if len(urls) != 1 or not urls[0].isLocalFile():
            return None
        folder = Path(urls[0].toLocalFile())
        return folder if is_there(folder / "manifest.json") else None

"""One bundle on the models page: what it is, whether it fits here, what can be done with it."""

from collections.abc import Sequence
from pathlib import Path

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import (
    QFrame,
    QGridLayout,
    QHBoxLayout,
    QPushButton,
    QSizePolicy,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from app.bundles import Memory, PartDevice, PartNeed
from app.widgets import theme
from app.widgets.labels import note_row, path_line, picture, text_label
from app.widgets.memory_bar import MemoryBar
from app.widgets.model_facts import BundleFacts
from app.widgets.plain_tip import plain_tip
from app.widgets.wording import demo_text, device_text, engine_text, part_text, size_text
from engines.config import BundleConfig


class ModelCard(QFrame):
    """A bundle; who owns the page does what the buttons ask for."""

    useRequested = Signal(object)  # Path
    removeRequested = Signal(object)  # Path

    def __init__(self, facts: BundleFacts, memory: Memory, used: bool, parent: QWidget) -> None:
        """Draw it.

        Args:
            facts: The bundle and how it would run here.
            memory: This computer's.
            used: It answers the questions at the moment.
            parent: The page.
        """
        super().__init__(parent)
        self.facts, self.used = facts, used
        theme.mark(self, "card")
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Maximum)
        self.setAccessibleName(facts.bundle.name)
        column = QVBoxLayout(self)
        column.setContentsMargins(14, 12, 14, 10)
        column.addLayout(self._head())
        bundle = facts.bundle
        if bundle.config is not None:
            column.addWidget(text_label(self._in_short(bundle.config), "muted"))
        for note in self._notes():
            column.addLayout(note)
        self._add_memory(column, memory)
        column.addLayout(self._buttons())
        self.details = self._details()
        self.details.hide()
        column.addWidget(self.details)

    def path(self) -> Path:
        """Return where the bundle lies."""
        return self.facts.bundle.path

    def expanded(self) -> bool:
        """Tell whether the details are shown."""
        return self.details_button.isChecked()

    def _head(self) -> QHBoxLayout:
        row = QHBoxLayout()
        row.addWidget(picture("models", "accent"))
        row.addWidget(text_label(self.facts.bundle.name, "heading"), 1)
        if self.used:
            row.addWidget(picture("done", "success"))
            row.addWidget(text_label(self.tr("In use"), None))
        return row

    def _in_short(self, config: BundleConfig) -> str:
        heard = self.tr("picture and sound") if config.audio else self.tr("picture only")
        facts = [
            config.quantisation.scheme,
            heard,
            self.tr("%n frame(s)", "", config.vision.num_frames),
            self.tr("{size} on disk").format(size=size_text(self.facts.bundle.size_bytes)),
        ]
        return " · ".join(facts)

    def _notes(self) -> list[QHBoxLayout]:
        bundle, notes = self.facts.bundle, list[QHBoxLayout]()
        if bundle.problem is not None:
            notes.append(note_row("error", bundle.problem, "error"))
        if self.facts.device_problem is not None:
            notes.append(note_row("error", self.facts.device_problem, "error"))
        if bundle.is_demo:
            notes.append(note_row("warning", demo_text(), "warning"))
        elif bundle.config is not None:
            card = bundle.config.card
            words = " ".join(filter(None, (card.description, card.world)))
            if words:
                notes.append(note_row("info", words, "muted"))
        return notes

    def _add_memory(self, column: QVBoxLayout, memory: Memory) -> None:
        need, fit = self.facts.need, self.facts.verdict
        if need is None or fit is None or self.facts.bundle.problem is not None:
            return
        bar = MemoryBar(self)
        bar.set_sizes(need.needed_bytes, memory)
        words = self._fit_words(fit.fits, need.needed_bytes, memory)
        bar.setAccessibleName(self.tr("Memory"))
        bar.setAccessibleDescription(words)
        bar.setToolTip(
            self.tr("Grey: in use now. Blue: what this model needs. Striped: what is missing.")
        )
        column.addSpacing(4)
        column.addWidget(bar)
        look: dict[str, tuple[str, str]] = {
            "yes": ("done", "success"),
            "tight": ("warning", "warning"),
            "no": ("error", "error"),
            "unknown": ("question", "muted"),
        }
        icon, role = look[fit.fits]
        column.addLayout(note_row(icon, words, role))

    def _fit_words(self, fits: str, needed: int, memory: Memory) -> str:
        verdicts = {
            "yes": self.tr("Fits."),
            "tight": self.tr("Tight: fits only when other programs are closed."),
            "no": self.tr("Does not fit into this computer's memory."),
            "unknown": self.tr("This computer does not say how much memory it has."),
        }
        words = [verdicts[fits], self.tr("Needs about {size}.").format(size=size_text(needed))]
        if memory.total_bytes and memory.available_bytes is not None:
            words.append(
                self.tr("{free} of {total} are free here.").format(
                    free=size_text(memory.available_bytes), total=size_text(memory.total_bytes)
                )
            )
        return " ".join(words)

    def _buttons(self) -> QHBoxLayout:
        bundle, row = self.facts.bundle, QHBoxLayout()
        self.use_button = QPushButton(self.tr("Use this model"), self)
        self.use_button.setObjectName("use")
        self.use_button.setAccessibleName(self.tr("Use {model}").format(model=bundle.name))
        self.use_button.clicked.connect(lambda: self.useRequested.emit(bundle.path))
        self.use_button.setVisible(bundle.problem is None and not self.used)
        self.details_button = QPushButton(theme.icon("chevron-down"), self.tr("Details"), self)
        self.details_button.setObjectName("details")
        self.details_button.setCheckable(True)
        self.details_button.setAccessibleName(
            self.tr("Details of {model}").format(model=bundle.name)
        )
        self.details_button.toggled.connect(self._show_details)
        theme.mark(self.details_button, "flat")
        self.remove_button = QToolButton(self)
        self.remove_button.setIcon(theme.icon("trash"))
        self.remove_button.setObjectName("remove")
        self.remove_button.setAccessibleName(self.tr("Remove {model}").format(model=bundle.name))
        self.remove_button.setToolTip(self.tr("Remove this model…"))
        self.remove_button.clicked.connect(lambda: self.removeRequested.emit(bundle.path))
        self.remove_button.setVisible(bundle.removable)
        theme.mark(self.remove_button, "flat")
        row.addWidget(self.use_button)
        row.addWidget(self.details_button)
        row.addStretch()
        row.addWidget(self.remove_button)
        return row

    def _show_details(self, shown: bool) -> None:
        self.details.setVisible(shown)
        self.details_button.setIcon(theme.icon("chevron-up" if shown else "chevron-down"))

    def _parts(self) -> QGridLayout:
        places = {one.part: device_text(one.device) for one in self.facts.devices}
        needs = {} if self.facts.need is None else {one.part: one for one in self.facts.need.parts}
        grid = QGridLayout()
        grid.setHorizontalSpacing(20)
        grid.setVerticalSpacing(2)
        grid.setColumnStretch(2, 1)
        for row, part in enumerate(dict.fromkeys([*places, *needs])):
            for column, words in enumerate((part_text(part), places.get(part, ""))):
                cell = text_label(words, None)
                cell.setWordWrap(False)
                grid.addWidget(cell, row, column, Qt.AlignmentFlag.AlignTop)
            if part in needs:
                label = text_label(self._size_words(needs[part]), None)
                label.setToolTip(plain_tip(engine_text(needs[part].note)))
                grid.addWidget(label, row, 2)
        return grid

    def _size_words(self, need: PartNeed) -> str:
        words = []
        if need.packed_bytes + need.working_bytes:
            size = size_text(need.packed_bytes + need.working_bytes)
            words.append(self.tr("about {size}").format(size=size) if need.estimated else size)
        if need.mapped_bytes:
            size = size_text(need.mapped_bytes)
            words.append(self.tr("{size} read as needed").format(size=size))
        return " + ".join(words)

    def _details(self) -> QWidget:
        box = QWidget(self)
        column = QVBoxLayout(box)
        column.setContentsMargins(0, 4, 0, 4)
        column.setSpacing(3)
        if self.facts.devices or self.facts.need is not None:
            column.addWidget(text_label(self.tr("Where each part runs, and its memory"), "strong"))
            column.addLayout(self._parts())
            for reason in reasons(self.facts.devices):
                column.addWidget(text_label(reason, "muted"))
            column.addSpacing(6)
        column.addWidget(text_label(self.tr("Where it is from"), "strong"))
        column.addWidget(path_line(self.facts.bundle.path, self.tr("Folder")))
        config = self.facts.bundle.config
        if config is not None:
            made_of = self.tr("Checkpoint: {name}").format(name=config.source.checkpoint)
            column.addWidget(text_label(made_of, None))
            number = self.tr("Bundle number: {id}").format(id=self.facts.bundle.id[:16])
            column.addWidget(text_label(number, None))
        return box


def reasons(devices: Sequence[PartDevice]) -> list[str]:
    """Say why parts run where they do; a reason that all share is said once."""
    found = {one.reason for one in devices}
    if len(found) == 1:
        return [engine_text(found.pop())]
    return [f"{part_text(one.part)}: {engine_text(one.reason)}" for one in devices]

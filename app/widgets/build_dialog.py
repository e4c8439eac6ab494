"""Building a bundle from a checkpoint: what to build, then its log, progress, stop, resume."""

from PySide6.QtCore import QCoreApplication, Qt, QTimer, Signal
from PySide6.QtWidgets import (
    QDialog,
    QHBoxLayout,
    QPlainTextEdit,
    QProgressBar,
    QPushButton,
    QStackedWidget,
    QVBoxLayout,
    QWidget,
)

from app import bundles
from app.widgets import theme
from app.widgets.build_form import BuildForm
from app.widgets.build_job import KEPT_LINES, BuildJob
from app.widgets.labels import note_row, text_label
from app.widgets.wording import duration_text, percent_text
from app.widgets.work_card import BAR_HEIGHT, STEPS

REFRESH_MS = 1_000


class BuildDialog(QDialog):
    """The form, and after Start the run; closing it while it runs lets the build go on."""

    started = Signal(object)  # BuildJob
    useRequested = Signal(object)  # Path

    def __init__(self, parent: QWidget | None = None, job: BuildJob | None = None) -> None:
        """Show the form, or a job that was begun before."""
        super().__init__(parent)
        self.setWindowTitle(self.tr("Build a model from a checkpoint"))
        self.job = job
        self.form = BuildForm(self)
        self.pages = QStackedWidget(self)
        self.pages.addWidget(self.form)
        self.pages.addWidget(self._make_run_page())
        self.start_button = QPushButton(theme.icon("build", "on_accent"), self.tr("Build"), self)
        self.start_button.setDefault(True)
        theme.mark(self.start_button, "primary")
        self.start_button.clicked.connect(self._start)
        self.stop_button = QPushButton(theme.icon("stop"), self.tr("Stop"), self)
        self.resume_button = QPushButton(theme.icon("play"), self.tr("Resume"), self)
        self.resume_button.setToolTip(
            self.tr("Runs the same command again; what it has kept is not done twice.")
        )
        self.use_button = QPushButton(self.tr("Use this model"), self)
        theme.mark(self.use_button, "primary")
        self.use_button.clicked.connect(self._use)
        self.close_button = QPushButton(self.tr("Close"), self)
        self.close_button.clicked.connect(self.close)
        row = QHBoxLayout()
        row.addStretch()
        for button in (
            self.start_button,
            self.stop_button,
            self.resume_button,
            self.use_button,
            self.close_button,
        ):
            row.addWidget(button)
        column = QVBoxLayout(self)
        column.addWidget(self.pages, 1)
        column.addLayout(row)
        self.form.ready.connect(self.start_button.setEnabled)
        self._tick = QTimer(self, interval=REFRESH_MS)
        self._tick.timeout.connect(self._show_state)
        self._refuse_if_impossible()
        if job is not None:
            self._watch(job)
        self._show_state()
        self.resize(600, 560)

    def _refuse_if_impossible(self) -> None:
        problem = bundles.export_problem()
        if problem is not None and self.job is None:
            self.form.setEnabled(False)
            layout = self.layout()
            if isinstance(layout, QVBoxLayout):
                layout.insertLayout(0, note_row("error", problem, "error"))
        self.start_button.setEnabled(problem is None and not self.form.problem())

    def _make_run_page(self) -> QWidget:
        page = QWidget(self)
        self.what = text_label("", "heading")
        self.bar = QProgressBar(page)
        self.bar.setRange(0, STEPS)
        self.bar.setTextVisible(False)
        self.bar.setFixedHeight(BAR_HEIGHT)
        self.bar.setAccessibleName(self.tr("Progress of the build"))
        self.words = text_label("", None)
        self.log = QPlainTextEdit(page)
        self.log.setReadOnly(True)
        self.log.setMaximumBlockCount(KEPT_LINES)
        self.log.setLineWrapMode(QPlainTextEdit.LineWrapMode.WidgetWidth)
        self.log.setAccessibleName(self.tr("Log of the build"))
        self.log.setTabChangesFocus(True)
        column = QVBoxLayout(page)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.what)
        column.addWidget(self.bar)
        column.addWidget(self.words)
        column.addWidget(self.log, 1)
        return page

    def _start(self) -> None:
        checkpoint, out = self.form.paths()
        job = BuildJob(checkpoint, out, self.form.choices())
        self._watch(job)
        # Whoever owns the page keeps the job, so that it outlives this dialog.
        self.started.emit(job)
        job.resume()

    def _watch(self, job: BuildJob) -> None:
        self.job = job
        self.what.setText(job.out.name)
        self.log.setPlainText("\n".join(job.log))
        job.line.connect(self.log.appendPlainText)
        job.changed.connect(self._show_state)
        self.stop_button.clicked.connect(job.stop)
        self.resume_button.clicked.connect(job.resume)
        self.pages.setCurrentIndex(1)
        self.close_button.setFocus(Qt.FocusReason.OtherFocusReason)

    def _show_state(self) -> None:
        job = self.job
        self.start_button.setVisible(job is None)
        self.stop_button.setVisible(job is not None and job.active)
        self.stop_button.setEnabled(job is not None and job.state == "running")
        self.resume_button.setVisible(job is not None and job.state in ("stopped", "failed"))
        self.use_button.setVisible(job is not None and job.state == "done")
        self.close_button.setText(
            self.tr("Go on in the background")
            if job is not None and job.active
            else self.tr("Close")
        )
        if job is None:
            return
        if job.active and not self._tick.isActive():
            self._tick.start()
        elif not job.active:
            self._tick.stop()
        show_progress(self.bar, job)
        self.words.setText(state_text(job))

    def _use(self) -> None:
        if self.job is not None:
            self.useRequested.emit(self.job.out)
        self.close()


def show_progress(bar: QProgressBar, job: BuildJob) -> None:
    """Show how far a build is; a moving bar before the first figure."""
    waiting = job.active and not job.fraction
    bar.setRange(0, 0 if waiting else STEPS)
    bar.setValue(round(job.fraction * STEPS))


def state_text(job: BuildJob) -> str:
    """Say where a build stands."""
    if job.state == "running":
        left = job.seconds_left()
        so_far = (
            percent_text(job.fraction)
            if job.fraction
            else QCoreApplication.translate("BuildDialog", "Starting")
        )
        if left is None:
            return so_far
        return QCoreApplication.translate("BuildDialog", "{done}, about {time} left").format(
            done=so_far, time=duration_text(left)
        )
    said = {
        "stopping": QCoreApplication.translate(
            "BuildDialog", "Stopping; what is finished is kept."
        ),
        "stopped": QCoreApplication.translate("BuildDialog", "Stopped."),
        "done": QCoreApplication.translate(
            "BuildDialog", "Done: built, compared with the reference, and ready to use."
        ),
    }
    if job.state in said:
        return said[job.state]
    return QCoreApplication.translate("BuildDialog", "It failed: {reason}").format(
        reason=job.last_words()
    )

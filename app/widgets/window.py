"""The main window: history at the left, the clip in the middle, the conversation at the right.

Puts the views together and connects them with what does the work (`talk`, `clip_work`,
and a desk each for history, models and settings); decides nothing about answers itself.
"""

from dataclasses import replace
from pathlib import Path

from PySide6.QtCore import Qt
from PySide6.QtGui import QAction, QCloseEvent, QResizeEvent
from PySide6.QtWidgets import QMainWindow, QMenu, QMessageBox, QWidget

from app.history import ClipRecord, History
from app.new_file import is_there
from app.settings import Settings, with_recent
from app.widgets import file_dialogs
from app.widgets.background_tasks import BackgroundTasks
from app.widgets.bundle_work import BundleWork
from app.widgets.clip_drops import ClipDrops
from app.widgets.clip_work import ClipWork, Range
from app.widgets.engine_link import EngineLink
from app.widgets.history_desk import HistoryDesk
from app.widgets.history_work import HistoryWork
from app.widgets.live_desk import LiveDesk
from app.widgets.model_desk import ModelDesk
from app.widgets.palette import CommandPalette, put_under
from app.widgets.plain_tip import plain_tip
from app.widgets.report_desk import ReportDesk
from app.widgets.safe_mode import SafeMode
from app.widgets.settings_desk import SettingsDesk
from app.widgets.settings_store import SettingsStore
from app.widgets.shortcut_sheet import ShortcutSheet
from app.widgets.suggestions import suggested_questions
from app.widgets.talk import Talk
from app.widgets.window_actions import make_actions, make_menus
from app.widgets.window_layout import WindowLayout
from assets import demo_clips
from engines.preview import Preview
from engines.version import VERSION

TITLE = "VL2 Desktop"
DEMO_CLIP = "bounce.mp4"


class MainWindow(QMainWindow):
    """The program's one window."""

    def __init__(
        self, link: EngineLink, history: History, settings: Settings, settings_path: Path | None
    ) -> None:
        """Make everything; `start` loads the model.

        Args:
            link: the engine; closed with the window, as is the history.
            history: where conversations are kept.
            settings: as they were read.
            settings_path: where they are saved; None: nowhere.
        """
        super().__init__()
        self.setObjectName("mainWindow")
        self.setWindowTitle(TITLE)
        link.setParent(self)
        self._link, self._history = link, history
        self._tasks = BackgroundTasks(self)
        self.store = SettingsStore(settings, settings_path, self._tasks, self)
        self.clip_work = ClipWork(link, self)
        self.talk = Talk(link, self.clip_work, history, self._tasks, settings)
        self.history_work = HistoryWork(history, self._tasks, self)
        bundle_work = BundleWork(self._tasks, settings, self)
        self.commands = make_actions(self)
        self.views = WindowLayout(self, self.commands)
        self.desk = ModelDesk(link, self.store, bundle_work, self.talk, self.clip_work, self.views)
        self.commands.models_page.toggled.connect(lambda on: bundle_work.refresh() if on else None)
        self._import_bundle = bundle_work.add
        self.live = LiveDesk(
            link, self._tasks, self.talk, self.views, self.commands, self.open_clip
        )
        self._make_menus()
        self.command_palette = CommandPalette(self.all_commands, self)
        self.drops = ClipDrops(self)
        self.drops.watch([one for one in self.findChildren(QWidget) if one.acceptDrops()])
        self._connect_commands()
        self._connect_clip()
        self._connect_talk()
        SettingsDesk(self.store, self.talk, self.clip_work, self.views, self.commands)
        HistoryDesk(self.history_work, self.talk, self.views, self.commands)
        ReportDesk(self._tasks, self.views, self.commands)
        self.safe_mode = SafeMode(self.desk, self.views, self.commands)
        self._asking = False  # whether to begin in safe mode
        self._asked_clip: Path | None = None
        self.views.restore(settings)
        self.views.player.warm_up()
        self.views.chat.set_conversation(None)

    def start(self, clip: Path | None = None) -> None:
        """Load the model, list the history, and open a clip if one is given."""
        self.desk.load()
        self.history_work.refresh()
        if self._history.notice:
            self.say(self._history.notice, "warning")
        if clip is not None:
            self.open_clip(clip)
        else:
            self.views.focus_player()

    def start_safely(self, clip: Path | None = None) -> None:
        """Start in safe mode: a clip is named, not opened."""
        self.safe_mode.enter(clip)
        self.start()

    def ask_how_to_start(self, clip: Path | None = None) -> None:
        """Start as the user chooses, because the window before came to a bad end."""
        self._asking, self._asked_clip = True, clip
        self.safe_mode.offer(self, self._start_as_chosen)

    def _start_as_chosen(self, safely: bool) -> None:
        self._asking = False
        (self.start_safely if safely else self.start)(self._asked_clip)

    def say(self, sentence: str, kind: str = "info") -> None:
        """Show a line that the user closes."""
        self.views.notices.say(sentence, kind)

    def open_clip(self, path: Path) -> None:
        """Open a file or a folder of frames; a folder that is a model is imported."""
        if is_there(path / "manifest.json"):
            self.views.show_models()
            self._import_bundle(path)
            return
        self.views.show_talk()
        self.talk.open_clip(path)

    def open_demo(self) -> None:
        """Open the demo clip and ask the first question about it."""
        clip = demo_clips() / DEMO_CLIP
        self.views.show_talk()
        self.talk.open_clip(clip, suggested_questions(self.desk.info, clip)[0])

    def come_forward(self, clip: Path | None) -> None:
        """Come to the front, because the program was started a second time."""
        self.setWindowState(self.windowState() & ~Qt.WindowState.WindowMinimized)
        self.show()
        self.raise_()
        self.activateWindow()
        if self._asking:
            self._asked_clip = clip or self._asked_clip
        elif clip is not None:
            self.open_clip(clip)

    def all_commands(self) -> list[QAction]:
        """Every command of the window and of its views."""
        views = self.views
        parts = (views.player, views.chat, views.live, views.history, views.models)
        return self.commands.all() + [action for part in parts for action in part.actions()]

    def closeEvent(self, event: QCloseEvent) -> None:
        """Stop all work; what was written of an answer is kept."""
        self.store.change(self.views.remember(self.store.now))
        self.hide()
        self.views.player.close_clip()
        self.talk.leave()
        self.live.close()
        self.clip_work.close()
        self.views.models.close_build()
        self._link.close()
        self._tasks.close()
        self.store.close()
        self._history.close()
        event.accept()

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Put the views above each other where they do not fit beside each other."""
        super().resizeEvent(event)
        self.views.fit(self.width())

    # What is connected with what.

    def _make_menus(self) -> None:
        views = self.views
        put_under(self.tr("Player"), views.player.actions())
        put_under(self.tr("Conversation"), views.chat.actions())
        put_under(self.tr("Live"), views.live.actions())
        put_under(self.tr("History"), views.history.actions())
        put_under(self.tr("Models"), views.models.actions())
        make_menus(
            self,
            self.commands,
            views.player.actions(),
            views.chat.actions(),
            views.live.actions(),
            self._fill_recent,
        )

    def _connect_commands(self) -> None:
        commands, views = self.commands, self.views
        commands.open_file.triggered.connect(self._choose_clip)
        commands.open_folder.triggered.connect(self._choose_folder)
        commands.paste.triggered.connect(self._paste)
        commands.demo.triggered.connect(self.open_demo)
        commands.close_clip.triggered.connect(self.talk.close_clip)
        commands.quit.triggered.connect(self.close)
        commands.new_conversation.triggered.connect(self._new_conversation)
        commands.find_clip.triggered.connect(self._find_clip)
        commands.focus_question.triggered.connect(views.focus_question)
        commands.focus_player.triggered.connect(views.focus_player)
        commands.full_screen.toggled.connect(self._full_screen)
        commands.palette.triggered.connect(self.command_palette.open)
        commands.shortcuts.triggered.connect(self._show_shortcuts)
        commands.about.triggered.connect(self._about)
        self.drops.dropped.connect(self._dropped)

    def _connect_clip(self) -> None:
        player, work = self.views.player, self.clip_work
        player.openRequested.connect(self.commands.open_file.trigger)
        player.demoRequested.connect(self.open_demo)
        player.rangeChanged.connect(work.set_range)
        player.cancelRequested.connect(work.cancel)
        work.changed.connect(self._clip_changed)
        work.previewed.connect(self._previewed)
        work.covered.connect(player.set_coverage)
        work.opened.connect(lambda _: self.desk.warn_of_small_world())
        work.encoding.connect(player.set_busy)
        work.encoding.connect(self._encoding)
        work.problem.connect(player.show_problem)
        work.problem.connect(lambda _: self.views.chat.set_suggestions([]))
        work.cancelled.connect(
            lambda: self.say(self.tr("Taking the clip in was stopped; it is done when you ask."))
        )

    def _connect_talk(self) -> None:
        chat, talk = self.views.chat, self.talk
        chat.mediaPasted.connect(self._paste)
        self.live.switch.shown.connect(self._conversation_shown)
        talk.said.connect(self.say)
        talk.clipLost.connect(self._clip_lost)
        self.desk.loaded.connect(self._suggest)

    # The clip.

    def _choose_clip(self) -> None:
        self._open_chosen(file_dialogs.choose_clip(self, self._last_folder()))

    def _choose_folder(self) -> None:
        self._open_chosen(file_dialogs.choose_folder(self, self._last_folder()))

    def _open_chosen(self, path: Path | None) -> None:
        if path is not None:
            self.open_clip(path)

    def _find_clip(self) -> None:
        path = file_dialogs.choose_clip(self, self._last_folder())
        if path is not None:
            self.talk.relocate(path)

    def _last_folder(self) -> str:
        recent = self.store.now.recent
        return str(Path(recent[0]).parent) if recent else ""

    def _paste(self) -> None:
        if not self.drops.paste():
            self.say(self.tr("There is no file and no path on the clipboard."))

    def _dropped(self, paths: list[Path]) -> None:
        self.activateWindow()
        self.open_clip(paths[0])
        if len(paths) > 1:
            words = self.tr("One clip at a time: {name} was opened, the other files were not.")
            self.say(words.format(name=paths[0].name))

    def _fill_recent(self, menu: QMenu) -> None:
        menu.clear()
        menu.setToolTipsVisible(True)
        for name in self.store.now.recent:
            action = menu.addAction(Path(name).name.replace("&", "&&"))
            action.triggered.connect(lambda _=False, name=name: self.open_clip(Path(name)))
            action.setToolTip(plain_tip(name))
        menu.addSeparator()
        clear = menu.addAction(self.tr("Clear this list"))
        clear.triggered.connect(lambda: self.store.change(replace(self.store.now, recent=())))
        clear.setEnabled(bool(self.store.now.recent))

    def _clip_changed(self, clip: ClipRecord | None, range_s: Range) -> None:
        self.commands.find_clip.setEnabled(False)
        self.commands.close_clip.setEnabled(clip is not None)
        self.setWindowTitle(TITLE if clip is None else f"{clip.path.name} – {TITLE}")
        if clip is None:
            self.views.player.close_clip()
            return
        self.views.player.open(clip.path, clip.kind, range_s)  # type: ignore[arg-type]
        if not clip.path.is_relative_to(demo_clips()):
            self.store.change(with_recent(self.store.now, clip.path))
        self.views.focus_question()

    def _previewed(self, preview: Preview) -> None:
        self.views.player.set_preview(preview)
        self._fit_chat()

    def _encoding(self, text: str | None, fraction: float | None) -> None:
        self.views.status.set_doing(text, fraction)
        if self.talk.writing is not None and not self.live.shown:
            self.views.chat.set_busy(text, fraction)

    def _clip_lost(self, clip: ClipRecord, sentence: str, final: bool) -> None:
        self.views.player.show_problem(sentence)
        self.setWindowTitle(f"{clip.path.name} – {TITLE}")
        self.commands.find_clip.setEnabled(final)
        if final:
            find = self.tr("Find it…"), self._find_clip
            self.views.notices.say(sentence, "warning", find)

    # The conversation.

    def _new_conversation(self) -> None:
        if self.live.shown:
            self.live.talk.clear()
            return
        self.views.show_talk()
        self.talk.new_conversation()
        self.views.focus_question()

    def _conversation_shown(self) -> None:
        self._fit_chat()
        self._suggest()

    def _fit_chat(self) -> None:
        """Offer to ask about what there is: picture, sound, both."""
        preview = self.clip_work.preview
        if self.live.shown:
            self.views.chat.set_clip(True, True)
        elif preview is not None:
            kind, heard = preview.kind, preview.peaks is not None
            self.views.chat.set_clip(kind != "audio", heard, kind == "video")

    def _suggest(self) -> None:
        clip = self.clip_work.clip
        if self.live.shown:
            self.views.chat.set_suggestions(self.live.suggestions())
            return
        info = self.desk.info
        questions = [] if clip is None else suggested_questions(info, clip.path, clip.kind)
        self.views.chat.set_suggestions(questions)

    # The rest.

    def _full_screen(self, on: bool) -> None:
        if on:
            self.showFullScreen()
        else:
            self.showNormal()

    def _show_shortcuts(self) -> None:
        sheet = ShortcutSheet(self.all_commands(), self)
        sheet.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        sheet.open()

    def _about(self) -> None:
        box = QMessageBox(self)
        box.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        box.setWindowTitle(self.tr("About {program}").format(program=TITLE))
        box.setTextFormat(Qt.TextFormat.PlainText)
        box.setText(f"{TITLE} {VERSION}")
        box.setInformativeText(
            self.tr(
                "Asks a video, with its sound, on your own computer; nothing leaves it. An answer"
                " can be wrong.\n\nApache-2.0. Uses PySide6 and Qt (LGPL), ONNX Runtime (MIT),"
                " PyAV with FFmpeg, NumPy, Pillow, tokenizers and Jinja2."
            )
        )
        box.open()

"""All that the window does about the history: its list, opening, deleting, exporting."""

from pathlib import Path

from PySide6.QtCore import QObject

from app.history import ConversationRow
from app.widgets import file_dialogs
from app.widgets.history_work import HistoryWork
from app.widgets.talk import Talk
from app.widgets.window_actions import WindowActions
from app.widgets.window_layout import WindowLayout


class HistoryDesk(QObject):
    """Connects the history's panel and commands with its work and the open conversation."""

    def __init__(
        self, work: HistoryWork, talk: Talk, views: WindowLayout, commands: WindowActions
    ) -> None:
        """Connect them.

        Args:
            work: searches, renames, deletes, exports; also the owner of this object.
            talk: opens conversations.
            views: the window's views.
            commands: the window's commands.
        """
        super().__init__(work)
        self._work, self._talk, self._views, self._commands = work, talk, views, commands
        self._titles: dict[int, str] = {}
        panel, notices = views.history, views.notices
        talk.historyChanged.connect(work.refresh)
        talk.shown.connect(lambda _: self._mark_open())
        work.rows.connect(self._show)
        work.failed.connect(lambda sentence: notices.say(sentence, "error"))
        work.exported.connect(
            lambda path: notices.say(self.tr("Written to {path}.").format(path=path))
        )
        panel.opened.connect(self._open)
        panel.renamed.connect(work.rename)
        panel.deleted.connect(self._delete)
        panel.undone.connect(work.undelete)
        panel.searched.connect(work.search)
        panel.exportRequested.connect(self._export)
        commands.export_markdown.triggered.connect(lambda: self._export_open("markdown"))
        commands.export_json.triggered.connect(lambda: self._export_open("json"))
        commands.search_history.triggered.connect(views.search_history)
        self._mark_open()

    def _open_number(self) -> int | None:
        return None if self._talk.conversation is None else self._talk.conversation.id

    def _mark_open(self) -> None:
        number = self._open_number()
        self._views.history.set_current(number)
        for command in (self._commands.export_markdown, self._commands.export_json):
            command.setEnabled(number is not None)

    def _open(self, number: int) -> None:
        self._views.show_talk()
        if self._open_number() != number:
            self._talk.open_conversation(number)

    def _show(self, rows: list[ConversationRow]) -> None:
        self._titles = {row.id: row.title for row in rows}
        self._views.history.set_rows(rows)
        self._mark_open()

    def _delete(self, number: int) -> None:
        if self._open_number() == number:
            self._talk.new_conversation()
        self._work.delete(number)

    def _export_open(self, form: str) -> None:
        number = self._open_number()
        if number is not None:
            self._export(number, form)

    def _export(self, number: int, form: str) -> None:
        title = self._titles.get(number, "")
        path: Path | None = file_dialogs.choose_export(self._views.pages, title, form)
        if path is not None:
            self._work.export(number, form, path)

"""Whose conversation the chat pane shows: the open clip's, or the live page's."""

from PySide6.QtCore import QObject, Signal

from app.widgets.chat import ChatPane
from app.widgets.live_talk import LiveTalk
from app.widgets.talk import Talk


class ChatSwitch(QObject):
    """Connects the pane with one of the two; what the other tells does not reach the pane."""

    shown = Signal()  # another conversation stands in the pane

    def __init__(self, chat: ChatPane, talk: Talk, live: LiveTalk) -> None:
        """The clip's.

        Args:
            chat: the pane; also the owner.
            talk: the conversation about a clip.
            live: the questions about a recording.
        """
        super().__init__(chat)
        self._chat, self._talk, self._live_talk = chat, talk, live
        self.live = False
        chat.asked.connect(self._ask)
        chat.stopRequested.connect(self._stop)
        chat.regenerateRequested.connect(self._regenerate)
        chat.editRequested.connect(self._edit)
        for source in (talk, live):
            self._listen(source)
        live.queued.connect(chat.set_waiting)

    def show(self, live: bool) -> None:
        """Show the live questions, or the clip's."""
        if live != self.live:
            self.live = live
            self._chat.set_asks_during_answers(live)
            self._show()

    @property
    def _now(self) -> Talk | LiveTalk:
        return self._live_talk if self.live else self._talk

    def _ask(self, question: str) -> None:
        self._now.ask(question)

    def _stop(self) -> None:
        self._now.stop()

    def _regenerate(self, turn: int) -> None:
        self._now.regenerate(turn)

    def _edit(self, turn: int, question: str) -> None:
        self._now.edit(turn, question)

    def _listen(self, source: Talk | LiveTalk) -> None:
        chat = self._chat

        def mine() -> bool:
            return source is self._now

        source.shown.connect(lambda _: self._show() if mine() else None)
        source.began.connect(lambda turn: self._began(turn) if mine() else None)
        source.piece.connect(lambda turn, text: chat.add_piece(turn, text) if mine() else None)
        source.ended.connect(
            lambda turn, status, result: (
                chat.finish_answer(turn, status, result) if mine() else None
            )
        )
        source.waiting.connect(lambda text, part: chat.set_busy(text, part) if mine() else None)
        source.refused.connect(lambda sentence: chat.show_error(sentence) if mine() else None)

    def _show(self) -> None:
        self._chat.set_conversation(self._now.conversation)
        self._chat.show_error("")
        self.shown.emit()

    def _began(self, turn: object) -> None:
        self._chat.show_error("")
        self._chat.begin_answer(turn)  # type: ignore[arg-type]

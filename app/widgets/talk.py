"""The open conversation: asks the engine, writes every word to the history, tells the views.

Knows no view. One question is answered at a time; one asked while the clip is still being encoded
waits behind it in the engine.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from PySide6.QtCore import QObject, Signal

from app.clip_files import likely_folders
from app.clip_lookup import look_at, recall, same_clip
from app.conversation import Conversation, Turn
from app.history import ClipRecord, ConversationRecord, History, TurnStatus
from app.history_writer import HistoryWriter
from app.inference import Opened
from app.settings import Settings
from app.widgets.ask_options import AskOptions
from app.widgets.background_tasks import BackgroundTasks
from app.widgets.clip_work import ClipWork
from app.widgets.engine_link import EngineLink, when_answered
from app.widgets.stages import fraction, stage_text
from engines.errors import PromptError
from engines.sampling import GenerateOptions


class Talk(QObject):
    """One conversation about one clip."""

    shown = Signal(object)  # Conversation or None
    optionsChanged = Signal(object)  # AskOptions of the conversation or clip that was opened
    began = Signal(object)  # Turn
    piece = Signal(int, str)  # turn, text
    ended = Signal(int, str, object)  # turn, status, result
    waiting = Signal(object, object)  # what is done before the first word or None; fraction
    refused = Signal(str)  # a clip or a question that cannot be
    said = Signal(str)
    clipLost = Signal(object, str, bool)  # ClipRecord, a sentence, whether nothing more is tried
    historyChanged = Signal()

    def __init__(
        self,
        link: EngineLink,
        clip_work: ClipWork,
        history: History,
        tasks: BackgroundTasks,
        settings: Settings,
    ) -> None:
        """Nothing is open.

        Args:
            link: the engine; this object loads nothing into it.
            clip_work: the open clip; also the owner.
            history: where conversations are written.
            tasks: for looking at files.
            settings: whether a history is kept, what new clips begin with.
        """
        super().__init__(clip_work)
        self._link, self._work, self._tasks = link, clip_work, tasks
        self._writer = HistoryWriter(history, self.said.emit)
        self.settings = settings
        self.bundle = ""
        self.conversation: Conversation | None = None
        self.options = AskOptions()
        self._asking: int | None = None
        self._turn: Turn | None = None
        self._request = 0  # A slow look at an older request's file is dropped.
        self._looking = False  # whether a clip is about to be shown …
        self._early: str | None = None  # … and what was asked about it already
        link.progress.connect(self._progress)
        link.piece.connect(self._piece)
        when_answered(link, lambda: self._asking, self._end)
        link.died.connect(self._died)
        clip_work.problem.connect(self._problem)
        clip_work.opened.connect(self._opened)
        clip_work.replaced.connect(self._replaced)

    @property
    def writing(self) -> Turn | None:
        """The turn that waits for its answer or is being answered."""
        return self._turn

    def open_clip(self, path: Path, question: str | None = None) -> None:
        """Open a clip with an empty conversation.

        Args:
            path: a file, or a folder of frames; what cannot be opened is told by `refused`.
            question: asked at once, if given.
        """

        def show(clip: ClipRecord) -> None:
            self.leave()
            self.options = _fitting(self.options, clip.kind)
            self.optionsChanged.emit(self.options)
            self._work.show(clip, self.options)
            self._show(Conversation())
            if self._early is not None:
                self.ask(self._early)

        self._newest(partial(look_at, path), show)
        self._looking, self._early = True, question

    def open_kept(self, path: Path, turns: Sequence[Turn]) -> None:
        """Open a clip that was recorded, with what was already said about it.

        Args:
            path: the file.
            turns: done; they are written to the history.
        """

        def show(clip: ClipRecord) -> None:
            self.leave()
            self._work.show(clip, self.options)
            conversation = Conversation()
            for turn in turns:
                conversation.clip = turn.clip
                number = self._keep(conversation, turn.question, turn.options)
                conversation.turns.append(replace(turn, id=number))
                self._writer.finish(conversation.turns[-1], turn.status, turn.result)
            self._show(conversation)
            self.historyChanged.emit()
            if self._early is not None:
                self.ask(self._early)

        self._newest(partial(look_at, path), show)
        self._looking = True

    def open_conversation(self, number: int) -> None:
        """Show a conversation of the history and open its clip, wherever that lies now."""
        self._newest(partial(recall, self._writer.history, number), self._restore)

    def new_conversation(self) -> None:
        """Begin anew about the same clip."""
        self.leave()
        self._show(Conversation())

    def close_clip(self) -> None:
        """Show nothing."""
        self._request += 1
        self._looking = False
        self.leave()
        self._work.close()
        self._show(None)

    def set_options(self, options: AskOptions) -> None:
        """Ask with these options from now on."""
        self.options = options
        self._work.set_options(options)

    def ask(self, question: str) -> None:
        """Ask about the clip."""
        if self._looking:
            self._early = question
            return
        conversation = self._ready(question)
        if conversation is not None:
            options = self.options.generate
            number = self._keep(conversation, question, options)
            self._put(conversation, conversation.ask(question, options, number))

    def edit(self, turn_id: int, question: str) -> None:
        """Ask something else in the place of an earlier question; what came after it goes."""
        self.leave()
        conversation = self._ready(question)
        if conversation is not None and conversation.turn(turn_id) is not None:
            index = conversation.index(turn_id)
            options = self.options.generate
            self._writer.forget_from(conversation, turn_id)
            number = self._keep(conversation, question, options)
            self._put(conversation, conversation.edit(index, question, options, number))

    def regenerate(self, turn_id: int) -> None:
        """Ask the same again, with the options as they are now, or else with the next seed."""
        self.leave()
        turn = None if self.conversation is None else self.conversation.turn(turn_id)
        conversation = None if turn is None else self._ready(turn.question)
        if conversation is not None and turn is not None:
            index = conversation.index(turn_id)
            options = self.options.generate
            if replace(options, seed=0) == replace(turn.options, seed=0):
                options = replace(turn.options, seed=turn.options.seed + 1)
            self._writer.forget_from(conversation, turn_id)
            number = self._keep(conversation, turn.question, options)
            self._put(conversation, conversation.regenerate(index, options, number))

    def stop(self) -> None:
        """Stop the answer; what was written of it stays."""
        self._link.stop(self._asking)

    def leave(self) -> None:
        """Stop the answer without waiting for the engine to say so."""
        if self._turn is not None:
            self._link.stop(self._asking)
            self._end("stopped", None)

    def _newest(self, work: Callable[[], Any], done: Callable[[Any], None]) -> None:
        self._request += 1
        request = self._request
        self._looking, self._early = False, None

        def answer(act: Callable[[Any], None], value: Any) -> None:
            if request == self._request:
                self._looking = False
                act(value)

        self._tasks.run(work, partial(answer, done), partial(answer, self.refused.emit))

    def _show(self, conversation: Conversation | None) -> None:
        self.conversation = conversation
        self.shown.emit(conversation)

    def _restore(self, found: tuple[ConversationRecord, str]) -> None:
        record, status = found
        self.leave()
        conversation = Conversation.restored(record)
        options = conversation.clip
        self.options = AskOptions(
            sound=options.sound if options else "on",
            num_frames=options.num_frames if options else None,
            generate=conversation.turns[-1].options if conversation.turns else GenerateOptions(),
        )
        self.optionsChanged.emit(self.options)
        self._show(conversation)
        if record.clip is not None and status == "here":
            self._show_clip(record.clip)
            return
        self._work.close()
        if record.clip is not None:
            self._search_clip(record, record.clip, status)

    def _show_clip(self, clip: ClipRecord) -> None:
        options = self.conversation.clip if self.conversation is not None else None
        self._work.show(clip, self.options, options.range_s if options else None)

    def _search_clip(self, record: ConversationRecord, clip: ClipRecord, status: str) -> None:
        searching = self.tr("Looking for {name}, which is not where it was.")
        self.clipLost.emit(clip, searching.format(name=clip.path.name), False)

        def show(path: Path | None) -> None:
            if path is not None:
                self._move_clip(record.id, replace(clip, path=path))
                self.said.emit(self.tr("The clip was found again: {path}").format(path=path))
                return
            gone = self.tr("{path} is gone; the conversation can still be read.")
            changed = self.tr(
                "{path} is another file now than the one asked about; the conversation can still"
                " be read."
            )
            sentence = changed if status == "changed" else gone
            self.clipLost.emit(clip, sentence.format(path=clip.path), True)

        folders = likely_folders(clip.path, self.settings.recent)
        closing, history = self._tasks.closing.is_set, self._writer.history
        self._newest(lambda: history.find_moved(record.id, folders, closing), show)

    def _move_clip(self, number: int, clip: ClipRecord) -> None:
        self._writer.relocate(number, clip.path)
        self._show_clip(clip)

    def relocate(self, path: Path) -> None:
        """Take a file that the user has found as the conversation's clip, if it is the same."""
        number = self.conversation.id if self.conversation is not None else None
        if number is not None:
            look = partial(same_clip, self._writer.history, number, path)
            self._newest(look, partial(self._move_clip, number))

    def _ready(self, question: str) -> Conversation | None:
        """The conversation, to which this question may be put now."""
        conversation = self.conversation or Conversation()
        options = self._work.options()
        if options is not None:
            conversation.clip = options
        try:
            conversation.check(question)
        except PromptError as error:
            self.refused.emit(str(error))
            return None
        if conversation.clip is None:
            self.refused.emit(self.tr("There is no clip to ask about; open one first."))
            return None
        self.conversation = conversation
        return conversation

    def _put(self, conversation: Conversation, turn: Turn) -> None:
        self._work.prepare()
        self._turn = turn
        self.began.emit(turn)
        if not self._work.encoding_now:
            self.waiting.emit(self.tr("Waiting for the model"), None)
        messages = conversation.messages_for(conversation.index(turn.id))
        self._asking = self._link.ask(messages, turn.options)
        self.historyChanged.emit()

    def _end(self, status: TurnStatus, result: dict[str, Any] | None) -> None:
        turn, self._turn, self._asking = self._turn, None, None
        if turn is None or self.conversation is None:
            return
        self.conversation.finish(turn.id, status, result)
        self._writer.finish(turn, status, result)
        self.waiting.emit(None, None)
        self.ended.emit(turn.id, status, result)
        self.historyChanged.emit()

    def _progress(self, job: int, stage: str, done: int, total: int) -> None:
        if self._turn is not None and not self._turn.answer and (job == self._asking or job == 0):
            self.waiting.emit(stage_text(stage, done, total), fraction(done, total))

    def _piece(self, job: int, text: str) -> None:
        if job != self._asking or self._turn is None or self.conversation is None or not text:
            return
        turn = self._turn
        if not turn.answer:
            self.waiting.emit(None, None)
        self.conversation.add_piece(turn.id, text)
        self._writer.append(turn, text)
        self.piece.emit(turn.id, text)

    def _problem(self, sentence: str) -> None:
        """The clip cannot be encoded; a question that waits for it fails with it."""
        if self._turn is None:
            self.refused.emit(sentence)
        else:
            self._link.stop(self._asking)
            self._end("failed", {"error": sentence})

    def _died(self, sentence: str, _: bool) -> None:
        """The engine's death is told once: by the answer, by the clip, or by itself."""
        told = self._work.give_up(sentence)
        if self._turn is not None:
            self._end("failed", {"error": sentence})
        elif not told:
            self.said.emit(sentence)

    def _opened(self, opened: Opened) -> None:
        if self.conversation is not None:
            self._writer.set_hash(self.conversation, opened.sha256)

    def _replaced(self, clip: ClipRecord) -> None:
        if self.conversation is not None and self.conversation.turns:
            changed = self.tr(
                "{name} has another content now than the clip that was asked about; new answers"
                " are about what it is now."
            )
            self.said.emit(changed.format(name=clip.path.name))

    def _keep(self, conversation: Conversation, question: str, options: GenerateOptions) -> int:
        self._writer.enabled = self.settings.history_enabled
        return self._writer.begin(conversation, self._work.clip, question, options, self.bundle)


def _fitting(options: AskOptions, kind: str) -> AskOptions:
    """The options without a wish that this kind of clip cannot meet."""
    lacking = {"audio": "off", "image": "only", "frames": "only"}.get(kind)
    return replace(options, sound="on") if options.sound == lacking else options

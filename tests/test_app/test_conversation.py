"""The state of an open conversation, and what of it goes to the model."""

import json
from pathlib import Path

import pytest

from app.conversation import Conversation, options_json, parse_options, suggest_title
from app.records import ClipRecord, ConversationRecord, TurnRecord
from engines.config import ClipOptions
from engines.errors import PromptError
from engines.messages import clip_options, parse_messages
from engines.sampling import GenerateOptions

CLIP = ClipOptions(Path("/clips/bounce.mp4"))
GREEDY = GenerateOptions()


@pytest.fixture
def talk() -> Conversation:
    """Two answered questions."""
    conversation = Conversation(CLIP)
    for question, answer in (("What moves?", "A ball."), ("Which colour?", "Red.")):
        turn = conversation.ask(question, GREEDY)
        conversation.finish(turn.id, "done", {"answer": answer})
    return conversation


def texts(conversation: Conversation, index: int) -> list[str]:
    return [turn.text for turn in parse_messages(conversation.messages_for(index)).turns]


def test_pieces_become_the_answer_and_the_result_replaces_them() -> None:
    conversation = Conversation(CLIP)
    turn = conversation.ask("What moves?", GREEDY)
    assert conversation.writing is turn
    conversation.add_piece(turn.id, " A")
    conversation.add_piece(turn.id, " ball")
    assert turn.answer == " A ball"
    conversation.finish(turn.id, "done", {"answer": "A ball"})
    assert (turn.answer, turn.status, conversation.writing) == ("A ball", "done", None)
    conversation.add_piece(turn.id, " late")
    assert turn.answer == "A ball"


def test_one_question_at_a_time_and_none_that_is_empty(talk: Conversation) -> None:
    for text in ("", "  \n "):
        with pytest.raises(PromptError, match="empty"):
            talk.ask(text, GREEDY)
    with pytest.raises(PromptError, match="angle brackets"):
        talk.ask("What is <video>?", GREEDY)
    talk.ask("And then?", GREEDY)
    with pytest.raises(PromptError, match="still being written"):
        talk.ask("Impatient?", GREEDY)
    assert len(talk.turns) == 3


def test_the_first_question_carries_the_clip(talk: Conversation) -> None:
    (message,) = talk.messages_for(0)
    parsed = parse_messages([message])
    assert parsed.clip is not None
    assert clip_options(parsed.clip) == CLIP
    assert texts(talk, 0) == ["What moves?"]


def test_a_later_question_carries_all_before_it(talk: Conversation) -> None:
    talk.ask("Why?", GREEDY)
    assert texts(talk, 2) == ["What moves?", "A ball.", "Which colour?", "Red.", "Why?"]
    assert texts(talk, 1) == ["What moves?", "A ball.", "Which colour?"]


def test_sound_off_holds_from_the_next_question_on(talk: Conversation) -> None:
    silent = ClipOptions(CLIP.path, sound="off", range_s=(1.0, 2.0), num_frames=4)
    talk.clip = silent
    talk.ask("And now?", GREEDY)
    part = parse_messages(talk.messages_for(2)).clip
    assert part is not None
    assert clip_options(part) == silent
    part = parse_messages(talk.messages_for(1)).clip
    assert part is not None
    assert clip_options(part) == CLIP


def test_without_a_clip_the_messages_are_text() -> None:
    conversation = Conversation()
    conversation.ask("Hello?", GREEDY)
    assert conversation.messages_for(0) == [{"role": "user", "content": "Hello?"}]


def test_failed_questions_and_those_stopped_before_a_word_are_not_repeated(
    talk: Conversation,
) -> None:
    for status, answer in (("failed", "half an"), ("stopped", "  "), ("stopped", "A squ")):
        turn = talk.ask(f"Asked, {status}?", GREEDY)
        talk.add_piece(turn.id, answer)
        talk.finish(turn.id, status, None)  # type: ignore[arg-type]
    talk.ask("Last?", GREEDY)
    expected = ["What moves?", "A ball.", "Which colour?", "Red."]
    assert texts(talk, 5) == [*expected, "Asked, stopped?", "A squ", "Last?"]


def test_an_answer_that_holds_a_placeholder_does_not_end_the_conversation(
    talk: Conversation,
) -> None:
    turn = talk.ask("What is written?", GREEDY)
    talk.finish(turn.id, "done", {"answer": "It says <video> and <b>."})
    talk.ask("Sure?", GREEDY)
    assert "It says < video> and <b>." in texts(talk, 3)


def test_editing_drops_what_came_after(talk: Conversation) -> None:
    old = talk.turns[0].id
    turn = talk.edit(0, "What stands?", GREEDY, turn_id=17)
    assert [t.question for t in talk.turns] == ["What stands?"]
    assert talk.turns[0].id == 17
    assert talk.turn(old) is None
    with pytest.raises(KeyError):
        talk.index(old)
    assert talk.index(17) == 0
    assert talk.writing is turn


def test_an_edit_that_cannot_be_asked_drops_nothing(talk: Conversation) -> None:
    with pytest.raises(PromptError):
        talk.edit(0, " ", GREEDY)
    assert len(talk.turns) == 2


def test_regenerating_takes_another_chance_where_there_is_one(talk: Conversation) -> None:
    greedy = talk.regenerate(1)
    assert (greedy.question, greedy.options) == ("Which colour?", GREEDY)
    talk.finish(greedy.id, "done", {"answer": "Blue."})
    sampled = talk.regenerate(1, GenerateOptions(temperature=0.7, seed=5))
    talk.finish(sampled.id, "done", {"answer": "Green."})
    assert talk.regenerate(1).options.seed == 6
    assert len(talk.turns) == 2


def test_a_piece_for_a_dropped_turn_reaches_no_other(talk: Conversation) -> None:
    turn = talk.ask("Long?", GREEDY)
    other = talk.edit(2, "Short?", GREEDY)
    assert other.id != turn.id
    talk.add_piece(turn.id, "late")
    talk.finish(turn.id, "done", {"answer": "late"})
    assert (other.answer, other.status) == ("", "writing")


def test_options_survive_the_history_s_json() -> None:
    clip = ClipOptions(Path("/a b/ü.mp4"), 4, (0.5, 2.25), "only", "reference", 3, True)
    options = GenerateOptions(max_new_tokens=9, temperature=0.5, top_k=3, seed=11)
    stored = json.loads(json.dumps(options_json(clip, options)))
    assert parse_options(stored) == (clip, options)
    assert parse_options(json.loads(json.dumps(options_json(None, GREEDY)))) == (None, GREEDY)


@pytest.mark.parametrize(
    "stored",
    [{}, {"clip": 3, "generate": []}, {"clip": {"path": 7}}, {"generate": {"seed": "x"}}],
)
def test_options_that_cannot_be_read_are_the_defaults(stored: dict[str, object]) -> None:
    assert parse_options(stored) == (None, GREEDY)


def test_of_a_newer_version_s_clip_options_the_path_is_kept() -> None:
    stored = {"clip": {"path": "/a.mp4", "hologram": True}, "generate": {}}
    assert parse_options(stored)[0] == ClipOptions(Path("/a.mp4"))


def test_a_conversation_comes_back_out_of_the_history() -> None:
    silent = ClipOptions(Path("/old/a.mp4"), sound="off")
    result = {"answer": "A ball.", "token_ids": [1, 2]}
    turns = (
        TurnRecord(4, "What?", "A ball.", "done", options_json(CLIP, GREEDY), result, 1.0),
        TurnRecord(9, "Why?", "Beca", "writing", options_json(silent, GREEDY), None, 2.0),
    )
    clip = ClipRecord(Path("/new/a.mp4"), None, 3, "video")
    found = Conversation.restored(ConversationRecord(2, "Balls", clip, "b1", 1.0, 2.0, turns))
    assert (found.id, found.title, found.bundle) == (2, "Balls", "b1")
    assert found.clip == ClipOptions(Path("/new/a.mp4"), sound="off")
    assert [turn.status for turn in found.turns] == ["done", "stopped"]
    assert found.turns[0].result == result
    assert found.turns[0].clip == ClipOptions(Path("/new/a.mp4"))
    assert found.writing is None


def test_a_conversation_without_turns_has_its_clip() -> None:
    clip = ClipRecord(Path("/new/a.mp4"), None, 3, "video")
    found = Conversation.restored(ConversationRecord(2, "Balls", clip, "b1", 1.0, 2.0, ()))
    assert found.clip == ClipOptions(Path("/new/a.mp4"))


def test_a_title_is_the_first_words() -> None:
    assert suggest_title(" What\n moves? ", "a.mp4") == "What moves?"
    assert suggest_title("  ", "a.mp4") == "a.mp4"
    assert suggest_title("", None) == ""
    long = suggest_title("What exactly happens in the very first seconds, " * 5, None)
    assert long == "What exactly happens in the very first seconds, What…"
    assert len(suggest_title("x" * 500, None)) <= 60

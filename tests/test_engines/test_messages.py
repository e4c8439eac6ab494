from typing import Any

import pytest

from engines.errors import PromptError
from engines.messages import Turn, parse_messages


def user(content: Any) -> dict[str, Any]:
    return {"role": "user", "content": content}


def answer(text: str) -> dict[str, Any]:
    return {"role": "assistant", "content": text}


def clip(path: str = "a.mp4", **more: Any) -> dict[str, Any]:
    return {"type": "video", "path": path, **more}


def text(content: str) -> dict[str, Any]:
    return {"type": "text", "text": content}


def test_parts_and_strings() -> None:
    found = parse_messages([user([clip(num_frames=4), text("Who?")]), answer("Me."), user("Why?")])
    assert found.turns == (Turn("user", "Who?"), Turn("assistant", "Me."), Turn("user", "Why?"))
    assert found.clip == clip(num_frames=4)
    assert found.modal is None


@pytest.mark.parametrize("modal", ["image", "video", "audio"])
def test_a_string_may_begin_with_the_placeholder(modal: str) -> None:
    found = parse_messages([user(f"<{modal}>\nWho?"), answer("Me."), user("Why?")])
    assert found.modal == modal
    assert found.turns[0].text == "Who?"


@pytest.mark.parametrize(
    "messages",
    [
        [user("What is <video>?")],
        [user("<video>")],
        [user("<video>\nWhat <video>?")],
        [user([clip(), text("<image>\nWhat?")])],
        [user("a"), answer("The <audio> tag."), user("b")],
        [user("a"), answer("b"), user("<video>\nc")],
    ],
)
def test_a_placeholder_elsewhere_is_refused(messages: list[Any]) -> None:
    with pytest.raises(PromptError, match="stands for the clip itself") as caught:
        parse_messages(messages)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("messages", "pattern"),
    [
        ([], "must end with a question"),
        ([user("a"), answer("b")], "must end with a question"),
        ([{"role": "tool", "content": "a"}], "role 'tool'"),
        ([user(7)], "must be text or a list"),
        ([user([{"type": "smell", "path": "x"}])], "must be text, or a clip"),
        ([user([{"type": "video"}])], "must be text, or a clip"),
        ([user([clip(), clip("b.mp4")])], "about one clip"),
        ([user("a"), answer("b"), user([clip(), text("c")])], "Only the first question"),
    ],
)
def test_messages_that_cannot_be_put_to_the_model(messages: list[Any], pattern: str) -> None:
    with pytest.raises(PromptError, match=pattern):
        parse_messages(messages)


def test_a_text_that_is_not_utf8_is_refused() -> None:
    with pytest.raises(PromptError, match="not valid UTF-8"):
        parse_messages([user("What is \udcff?")])

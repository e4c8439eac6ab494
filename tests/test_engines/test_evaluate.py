import json
from pathlib import Path
from typing import Any

import pytest

import engines
from engines.errors import MediaError, PromptError
from engines.evaluate import Question, Scored, evaluate, normalise, read_questions, report
from engines.generate import drain
from engines.sampling import GenerateOptions


def line(**fields: Any) -> str:
    full = {"clip": "a.mp4", "question": "Who?", "answer": "me", "type": "who"}
    return json.dumps(full | fields)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("a.mp4", "b.mp4"):
        (tmp_path / name).touch()
    return tmp_path


def write(folder: Path, *lines: str) -> Path:
    path = folder / "questions.jsonl"
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def test_reading(folder: Path) -> None:
    path = write(folder, line(), "", line(clip="b.mp4", history=[["Why?", "so"]]))
    assert read_questions(path) == [
        Question(folder / "a.mp4", "Who?", "me", "who"),
        Question(folder / "b.mp4", "Who?", "me", "who", (("Why?", "so"),)),
    ]


@pytest.mark.parametrize(
    ("bad", "pattern"),
    [
        ("{", "Line 2 .* is not a question"),
        ("[]", "Line 2 .* is not a question"),
        ("[" * 100_000, "Line 2 .* is not a question"),
        ('{"clip": "a.mp4"}', "Line 2 .* is not a question"),
        (line(answer=3), "Line 2 .* is not a question"),
        (line(history=[["a"]]), "Line 2 .* is not a question"),
        (line(history=[["a", 1]]), "Line 2 .* is not a question"),
        (line(clip="no.mp4"), r"Line 2 .* is about .*no\.mp4"),
    ],
)
def test_bad_lines_are_found_before_the_first_answer(folder: Path, bad: str, pattern: str) -> None:
    with pytest.raises(PromptError, match=pattern):
        read_questions(write(folder, line(), bad))


def test_files_without_questions(folder: Path) -> None:
    with pytest.raises(PromptError, match="holds no question"):
        read_questions(write(folder, ""))
    with pytest.raises(PromptError, match="cannot be read"):
        read_questions(folder / "none.jsonl")


def test_answers_compare_without_case_space_and_full_stop() -> None:
    assert normalise(" The  Red\nball. ") == normalise("the red ball")
    assert normalise("red") != normalise("red ball")


def test_the_report_by_hand() -> None:
    def scored(index: int, kind: str, wanted: str, correct: bool) -> Scored:
        return Scored(index, Question(Path("x"), "q", wanted, kind), "given", correct)

    items = [
        scored(3, "colour", "red", False),
        scored(0, "colour", "Red", True),
        scored(1, "count", "2", True),
        scored(2, "colour", "blue", True),
    ]
    found = report(items, "cpu", "id")
    assert (found.count, found.correct, found.accuracy) == (4, 3, 0.75)
    assert list(found.types) == ["colour", "count"]
    colour = found.types["colour"]
    assert (colour.count, colour.correct) == (3, 2)
    assert colour.majority_answer == "red"
    assert colour.majority_accuracy == pytest.approx(2 / 3)
    assert found.mean_accuracy == pytest.approx((2 / 3 + 1) / 2)


def test_a_label_counts_for_the_majority_where_answers_hold_names() -> None:
    def scored(index: int, answer: str, label: str) -> Scored:
        return Scored(index, Question(Path("x"), "q", answer, "exist", (), label), "given", True)

    items = [
        scored(0, "Yes, there is a dog.", "yes"),
        scored(1, "Yes, there is a cat.", "yes"),
        scored(2, "No, there is no cow.", "no"),
    ]
    exist = report(items, "cpu", "id").types["exist"]
    assert exist.majority_answer == "yes"
    assert exist.majority_accuracy == pytest.approx(2 / 3)


def test_a_label_is_read_and_must_be_text(folder: Path) -> None:
    assert read_questions(write(folder, line(label="yes")))[0].label == "yes"
    with pytest.raises(PromptError, match="Line 1"):
        read_questions(write(folder, line(label=[])))


def test_a_clip_that_cannot_be_read_counts_as_wrong(
    folder: Path, tiny_bundle: Path, fake_media: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = read_questions(write(folder, line(clip="a.mp4"), line(clip="b.mp4")))
    model = engines.load(tiny_bundle, threads=1, keep_encodings=False)
    whole = model.generate

    def generate(messages: Any, options: Any = None) -> Any:
        if messages[0]["content"][0]["path"].name == "a.mp4":
            raise MediaError("a.mp4 is damaged.")
        return whole(messages, options)

    monkeypatch.setattr(model, "generate", generate)
    steps = evaluate(model, asked, GenerateOptions(max_new_tokens=2))
    first, second = next(steps), next(steps)
    assert (first.correct, first.error) == (False, "a.mp4 is damaged.")
    assert second.error is None
    assert drain(steps).count == 2


def test_each_clip_is_encoded_once(folder: Path, tiny_bundle: Path, fake_media: Any) -> None:
    lines = [line(clip=f"{name}.mp4", question=f"Who {i}?") for i in range(3) for name in "ab"]
    lines.append(line(history=[["Why?", "so"], ["When?", "now"]]))
    model = engines.load(tiny_bundle, threads=1, keep_encodings=False)
    steps = evaluate(
        model, read_questions(write(folder, *lines)), GenerateOptions(max_new_tokens=2)
    )
    answered = [next(steps) for _ in lines]
    assert [item.index for item in answered] == [0, 2, 4, 6, 1, 3, 5]
    assert drain(steps).count == 7
    assert model.counters.clips_encoded == 2

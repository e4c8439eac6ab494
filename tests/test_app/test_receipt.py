"""Receipts: what stands in one, and what is refused when one is read or answered again."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from app import receipt as receipts
from app.inference import EngineSpec
from app.receipt import (
    Question,
    Receipt,
    answer_json,
    check_same,
    make_receipt,
    read_receipt,
    replay,
    write_receipt,
)
from assets import demo_bundle, demo_clips
from engines.bundle import open_bundle
from engines.config import ClipOptions, Coverage
from engines.errors import MediaError, ReceiptError, Vl2Error
from engines.events import Result, Timing, Usage
from engines.media import clip_hash
from engines.messages import Message, clip_message
from engines.sampling import GenerateOptions

CLIP = demo_clips() / "bounce.mp4"
RESULT = Result(
    answer="It is red.",
    token_ids=(4, 5, 2),
    finish_reason="stop",
    usage=Usage(20, 10, 5, 5, 3),
    timing=Timing(0.1, 0.2, 0.123456, 0.4, None),
    coverage=Coverage((0.1, 0.2), ((0.0, 1.5),), ("A note.",)),
    device="cpu",
    bundle="",
)


def asked(clip: ClipOptions) -> Question:
    messages: list[Message] = [
        {"role": "system", "content": "Be brief."},
        clip_message(clip, "Is there a circle?"),
        {"role": "assistant", "content": "Yes."},
        {"role": "user", "content": "Which colour? ü\u2028"},
    ]
    options = GenerateOptions(max_new_tokens=9, temperature=0.5, top_p=0.8, top_k=7, seed=11)
    return Question(EngineSpec(exact=True, threads=1), messages, options)


@pytest.fixture
def question() -> Question:
    return asked(ClipOptions(CLIP, num_frames=4, range_s=(0.5, 3.0), pad=True))


@pytest.fixture
def receipt(question: Question) -> Receipt:
    return make_receipt(open_bundle(demo_bundle()), question, clip_hash(CLIP), RESULT)


def saved(folder: Path, data: Any) -> Path:
    path = folder / "receipt.json"
    path.write_text(data if isinstance(data, str) else json.dumps(data))
    return path


def test_a_receipt_holds_what_the_answer_depended_on(receipt: Receipt) -> None:
    fields = answer_json(receipt)
    assert fields["bundle"] == {
        "id": open_bundle(demo_bundle()).id,
        "name": "VL2 demo",
        "path": str(demo_bundle()),
    }
    assert fields["clip"]["sha256"] == clip_hash(CLIP)
    assert fields["clip"]["options"]["path"] == str(CLIP)
    assert fields["clip"]["options"]["range_s"] == [0.5, 3.0]
    assert [turn["role"] for turn in fields["messages"]] == ["system", "user", "assistant", "user"]
    assert fields["options"]["seed"] == 11
    assert (fields["answer"], fields["token_ids"]) == ("It is red.", [4, 5, 2])
    assert fields["coverage"] == {
        "frame_times_s": [0.1, 0.2],
        "sound_spans_s": [[0.0, 1.5]],
        "notes": ["A note."],
    }
    assert fields["usage"]["visual_tokens"] == 10
    assert fields["timing"]["prefill_s"] == 0.1235
    assert fields["device"] == {"name": "cpu", "exact": True, "threads": 1}
    assert set(fields["versions"]) >= {"vl2", "onnxruntime", "numpy"}


def test_what_was_written_asks_the_same_again(
    tmp_path: Path, question: Question, receipt: Receipt
) -> None:
    path = tmp_path / "r.json"
    write_receipt(path, answer_json(receipt))
    again = read_receipt(path)
    assert replace(again, timing=receipt.timing) == receipt
    asked_again = replay(again, None, None)
    assert asked_again.options == question.options
    assert asked_again.spec == EngineSpec(demo_bundle(), "cpu", exact=True, threads=1)
    texts = [
        {"role": m["role"], "content": m["content"]}
        for m in question.messages
        if isinstance(m["content"], str)
    ]
    assert [m for m in asked_again.messages if isinstance(m["content"], str)] == texts
    assert receipts.conversation_clip(asked_again.messages) == ClipOptions(
        CLIP, num_frames=4, range_s=(0.5, 3.0), pad=True
    )


def test_a_conversation_without_a_clip_has_a_receipt_too(tmp_path: Path) -> None:
    question = Question(EngineSpec(), [{"role": "user", "content": "Hello?"}], GenerateOptions())
    made = make_receipt(open_bundle(demo_bundle()), question, None, RESULT)
    assert made.clip is None
    again = read_receipt(saved(tmp_path, answer_json(made)))
    assert replay(again, None, None).messages == question.messages


def test_a_moved_clip_and_a_moved_bundle_are_named(tmp_path: Path, receipt: Receipt) -> None:
    moved = tmp_path / "moved.mp4"
    moved.write_bytes(CLIP.read_bytes())
    assert receipt.clip is not None
    lost = replace(
        receipt,
        bundle=replace(receipt.bundle, path=tmp_path / "gone.vl2"),
        clip=replace(receipt.clip, options=replace(receipt.clip.options, path=tmp_path / "g.mp4")),
    )
    with pytest.raises(ReceiptError, match="is gone"):
        replay(lost, None, None)
    # The bundled demo is found wherever it lies.
    found = replay(lost, None, moved)
    assert found.spec.bundle == demo_bundle()
    clip = receipts.conversation_clip(found.messages)
    assert clip is not None
    assert clip.path == moved


def test_another_bundle_and_another_clip_are_refused(tmp_path: Path, receipt: Receipt) -> None:
    other = replace(receipt, bundle=replace(receipt.bundle, id="0" * 64))
    with pytest.raises(ReceiptError, match=r"VL2 demo \(000000000000\).* not at .* any more"):
        replay(other, None, None)
    with pytest.raises(ReceiptError, match="is not; name the right one"):
        replay(other, demo_bundle(), None)
    with pytest.raises(ReceiptError, match="which"):
        replay(receipt, tmp_path, None)
    with pytest.raises(ReceiptError, match=r"count\.mp4 is not the one"):
        replay(receipt, None, demo_clips() / "count.mp4")
    changed = tmp_path / "changed.mp4"
    changed.write_bytes(CLIP.read_bytes() + b"\0")
    assert receipt.clip is not None
    options = replace(receipt.clip.options, path=changed)
    with pytest.raises(ReceiptError, match="its content differs"):
        replay(replace(receipt, clip=replace(receipt.clip, options=options)), None, None)


@pytest.mark.parametrize("path", ["\\\\server\\share\\a.mp4", "//server/share/a.mp4"])
def test_no_other_computer_is_asked(path: str, receipt: Receipt) -> None:
    assert receipt.clip is not None
    clip = replace(receipt.clip, options=replace(receipt.clip.options, path=Path(path)))
    with pytest.raises(ReceiptError, match="not on this computer"):
        replay(replace(receipt, clip=clip), None, None)
    bundle = replace(receipt.bundle, id="0" * 64, path=Path(path))
    with pytest.raises(ReceiptError, match="not at"):
        replay(replace(receipt, bundle=bundle), None, None)


def broken(receipt: Receipt, *keys: str, value: Any) -> dict[str, Any]:
    fields = answer_json(receipt)
    place = fields
    for key in keys[:-1]:
        place = place[key]
    place[keys[-1]] = value
    return fields


def test_what_is_no_receipt_is_one_sentence(tmp_path: Path, receipt: Receipt) -> None:
    bad = [
        "",
        "not JSON",
        "[]",
        "3",
        "[" * 100_000,
        "{}",
        "\ud800".encode("utf-16", "surrogatepass").decode("latin1"),
        broken(receipt, "options", "seed", value="x"),
        broken(receipt, "options", "seed", value=1.5),
        broken(receipt, "options", "temperature", value=10**400),
        broken(receipt, "options", "more", value=1),
        broken(receipt, "clip", "options", "path", value=7),
        broken(receipt, "clip", "options", "sound", value="loud"),
        broken(receipt, "clip", "options", "range_s", value=[1]),
        broken(receipt, "bundle", "path", value=None),
        broken(receipt, "messages", value="Hello"),
        broken(receipt, "messages", value=[{"role": 1, "text": "x"}]),
        broken(receipt, "finish_reason", value="x" * 10_000),
        broken(receipt, "receipt_version", value=99),
        broken(receipt, "receipt_version", value=True),
        json.dumps(answer_json(receipt))[:-20],
    ]
    for data in bad:
        with pytest.raises((ReceiptError, MediaError)) as error:
            read_receipt(saved(tmp_path, data))
        sentence = str(error.value)
        assert "receipt.json" in sentence
        assert sentence.endswith(".")
        assert "\n" not in sentence
        assert len(sentence) < 600
    with pytest.raises(MediaError):
        read_receipt(tmp_path / "none.json")
    with pytest.raises(MediaError):
        read_receipt(tmp_path)


def test_a_file_too_large_is_not_read(
    tmp_path: Path, receipt: Receipt, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = saved(tmp_path, answer_json(receipt))
    monkeypatch.setattr(receipts, "MAX_RECEIPT_BYTES", path.stat().st_size)
    read_receipt(path)
    monkeypatch.setattr(receipts, "MAX_RECEIPT_BYTES", path.stat().st_size - 1)
    with pytest.raises(ReceiptError, match="too large"):
        read_receipt(path)


@pytest.mark.parametrize(
    "messages",
    [
        [],
        [{"role": "assistant", "text": "I begin."}],
        [{"role": "boss", "text": "x"}, {"role": "user", "text": "y"}],
        [{"role": "user", "text": "a <video> here"}],
    ],
)
def test_a_conversation_that_cannot_be_is_refused(
    tmp_path: Path, receipt: Receipt, messages: list[Any]
) -> None:
    path = saved(tmp_path, broken(receipt, "messages", value=messages))
    with pytest.raises(Vl2Error):
        receipts.conversation_clip(replay(read_receipt(path), None, None).messages)


def test_an_odd_path_of_a_clip_or_a_bundle_is_a_sentence(tmp_path: Path, receipt: Receipt) -> None:
    for odd in ("\0", "", "a" * 100_000, "/dev/zero", str(tmp_path)):
        for keys in (("clip", "options", "path"), ("bundle", "path")):
            again = read_receipt(saved(tmp_path, broken(receipt, *keys, value=odd)))
            if keys[0] == "bundle":
                again = replace(again, bundle=replace(again.bundle, id="0" * 64))
            with pytest.raises((ReceiptError, MediaError)):
                replay(again, None, None)


def test_a_path_that_no_file_can_have_is_refused(tmp_path: Path, receipt: Receipt) -> None:
    for keys in (("clip", "options", "path"), ("bundle", "path")):
        path = saved(tmp_path, broken(receipt, *keys, value="/clips/\ud800.mp4"))
        with pytest.raises(ReceiptError, match="cannot be a file's name"):
            read_receipt(path)


def test_another_answer_is_told(receipt: Receipt) -> None:
    check_same(receipt, RESULT)
    with pytest.raises(ReceiptError, match="is not the receipt's;"):
        check_same(receipt, replace(RESULT, token_ids=(4, 2)))
    older = replace(receipt, versions={**receipt.versions, "numpy": "1.0"})
    with pytest.raises(ReceiptError, match=r"made with numpy 1\.0;"):
        check_same(older, replace(RESULT, token_ids=(4, 2)))


def test_a_receipt_that_cannot_be_written_is_a_sentence(tmp_path: Path) -> None:
    circle = tmp_path / "circle.json"
    circle.symlink_to(circle)
    about_a_clip = {"clip": {"options": {"path": str(tmp_path / "film.mp4")}}}
    for path in (tmp_path, tmp_path / "none" / "r.json", Path("\0"), circle):
        for found in ({}, about_a_clip):
            with pytest.raises(ReceiptError, match="cannot be written"):
                write_receipt(path, found)


def test_a_receipt_is_not_written_over_its_clip(tmp_path: Path, receipt: Receipt) -> None:
    clip = tmp_path / "film.mp4"
    clip.write_bytes(b"film")
    with pytest.raises(ReceiptError, match="the clip itself"):
        write_receipt(clip, broken(receipt, "clip", "options", "path", value=str(clip)))
    assert clip.read_bytes() == b"film"

import json
from pathlib import Path

import pytest
import tokenizers
from hypothesis import given
from hypothesis import strategies as st

from engines.errors import BundleError
from engines.tokenizer import TextStream, Tokenizer

SENTENCE = ["▁Hello", "▁world", "!", "▁", "é"]


@pytest.fixture(scope="module")
def bytelevel(tiny_bundle: Path) -> Tokenizer:
    return Tokenizer(tiny_bundle / "tokenizer.json")


@pytest.fixture(scope="module")
def sentencepiece(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    """As Mistral's: a leading space that vanishes at the start, bytes for rare characters."""
    pieces = ["<unk>", "<s>", "</s>", *(f"<0x{i:02X}>" for i in range(256)), *SENTENCE]
    native = tokenizers.Tokenizer(
        tokenizers.models.BPE(
            vocab={piece: i for i, piece in enumerate(pieces)},
            merges=[],
            unk_token="<unk>",
            byte_fallback=True,
        )
    )
    native.decoder = tokenizers.decoders.Sequence(
        [
            tokenizers.decoders.Replace("▁", " "),
            tokenizers.decoders.ByteFallback(),
            tokenizers.decoders.Fuse(),
            tokenizers.decoders.Strip(" ", 1, 0),
        ]
    )
    native.add_special_tokens(["<unk>", "<s>", "</s>"])
    path = tmp_path_factory.mktemp("tokenizers") / "tokenizer.json"
    native.save(str(path))
    return Tokenizer(path)


def stream(tokenizer: Tokenizer, ids: list[int]) -> list[str]:
    texts = TextStream(tokenizer)
    return [*(texts.push(i) for i in ids), texts.finish()]


def test_special_tokens_stand_only_where_they_are_written(bytelevel: Tokenizer) -> None:
    assert bytelevel.encode("<s>") == [1]
    assert 1 not in bytelevel.encode("a")
    assert bytelevel.decode([1, *bytelevel.encode("a b"), 2]) == "a b"


def changed(folder: Path, **parts: object) -> Path:
    """A tokenizer of which somebody has changed some parts."""
    model = {"type": "BPE", "vocab": {"a": 0, "b": 1}, "merges": []}
    path = folder / "tokenizer.json"
    path.write_text(json.dumps({"version": "1.0", "model": model} | parts), encoding="utf-8")
    return path


def regex(kind: str, pattern: str, **more: object) -> dict[str, object]:
    return {"type": kind, "pattern": {"Regex": pattern}, **more}


def test_one_that_cannot_work_is_told(tmp_path: Path) -> None:
    slow = regex("Split", "(a|a)*(a|a)*(a|a)*$b", behavior="Isolated", invert=False)
    with pytest.raises(BundleError, match=r"tokenizer\.json fails \(.*retry-limit"):
        Tokenizer(changed(tmp_path, pre_tokenizer=slow)).encode("a" * 40 + "b")
    lost = {"type": "BPE", "vocab": {}, "merges": [], "unk_token": "zz"}
    with pytest.raises(BundleError, match=r"tokenizer\.json fails \(.*zz"):
        Tokenizer(changed(tmp_path, model=lost)).encode("a")


def test_one_that_makes_texts_endless_is_refused(tmp_path: Path) -> None:
    often = regex("Replace", "", content="x" * 40)
    for normalizer in (
        {"type": "Prepend", "prepend": "a" * 3_000_000},
        {"type": "Sequence", "normalizers": [often, {"type": "Sequence", "normalizers": [often]}]},
    ):
        with pytest.raises(BundleError, match="times longer; use a bundle of somebody"):
            Tokenizer(changed(tmp_path, normalizer=normalizer))
    mistral = [
        {"type": "Prepend", "prepend": "\u2581"},
        {"type": "Replace", "pattern": {"String": " "}, "content": "\u2581"},
    ]
    sequence = {"type": "Sequence", "normalizers": mistral}
    assert Tokenizer(changed(tmp_path, normalizer=sequence)).encode("a b") == [0, 1]


def test_not_a_tokenizer(tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.json"
    path.write_text("{}", encoding="utf-8")
    with pytest.raises(BundleError, match=r"tokenizer\.json is not a tokenizer"):
        Tokenizer(path)


def test_a_character_comes_when_its_last_byte_is_there(bytelevel: Tokenizer) -> None:
    ids = bytelevel.encode("a€b")
    assert len(ids) == 5
    assert stream(bytelevel, ids) == ["a", "", "", "€", "b", ""]


def test_bytes_that_never_become_a_character_come_at_the_end(bytelevel: Tokenizer) -> None:
    ids = bytelevel.encode("€")[:2]
    assert "".join(stream(bytelevel, ids)) == "\ufffd"


def test_space_around_the_answer_is_left_out(bytelevel: Tokenizer) -> None:
    assert stream(bytelevel, bytelevel.encode(" a b\n")) == ["", "a", "", " b", "", ""]


def test_special_tokens_have_no_text(bytelevel: Tokenizer) -> None:
    assert stream(bytelevel, [1, *bytelevel.encode("x"), 2]) == ["", "x", "", ""]


def test_sentencepiece_spaces(sentencepiece: Tokenizer) -> None:
    hello, world, mark = 259, 260, 261
    assert stream(sentencepiece, [hello, world, mark]) == ["Hello", " world", "!", ""]


def test_byte_fallback(sentencepiece: Tokenizer) -> None:
    euro = [3 + byte for byte in "€".encode()]
    assert stream(sentencepiece, [259, *euro, *euro, 260]) == [
        "Hello", "", "", "€", "", "", "€", " world", "",
    ]  # fmt: skip


@given(text=st.text())
def test_the_pieces_joined_are_the_text(bytelevel: Tokenizer, text: str) -> None:
    ids = bytelevel.encode(text)
    pieces = stream(bytelevel, ids)
    assert "".join(pieces) == bytelevel.decode(ids).strip()

from pathlib import Path

import pytest
import tokenizers
from hypothesis import given, settings
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


@settings(deadline=None)
@given(text=st.text())
def test_the_pieces_joined_are_the_text(bytelevel: Tokenizer, text: str) -> None:
    ids = bytelevel.encode(text)
    pieces = stream(bytelevel, ids)
    assert "".join(pieces) == bytelevel.decode(ids).strip()

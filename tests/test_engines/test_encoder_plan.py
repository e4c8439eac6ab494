from pathlib import Path

import numpy as np
import pytest

import engines
from engines.bundle import open_bundle
from engines.config import ClipOptions
from engines.encoder_plan import MARGIN_BYTES, plan_encoders
from engines.events import Result
from engines.machine_memory import Memory
from engines.messages import Message, clip_message
from engines.model import VideoLlama2
from engines.part_memory import cache_bytes, part_memory
from engines.prepacked import PrepackedStore
from engines.sampling import GenerateOptions
from tests.test_engines.conftest import FakeMedia

PRIVATE = {"vision_tower": False, "projector": False, "audio": False}
MAPPED = {"vision_tower": True, "projector": True}
QUESTION: list[Message] = [clip_message(ClipOptions(Path("film.mp4")), "?")]


def test_what_it_needs_is_the_decoder_unless_it_is_open_and_the_conversation(
    tiny_bundle: Path,
) -> None:
    config = open_bundle(tiny_bundle).config
    decoder = {part.part: part for part in part_memory(config, 300)}["decoder"]
    rest = decoder.working_bytes + cache_bytes(config, 300)
    assert plan_encoders(config, PRIVATE, 300, None).needed_bytes == decoder.packed_bytes + rest
    opened = {**PRIVATE, "decoder_exact": False}
    assert plan_encoders(config, opened, 300, None).needed_bytes == rest
    assert cache_bytes(config, 300) == 300 * 2 * 2 * 2 * 16 * 4  # layers, k and v, heads, width


def test_private_encoders_stay_while_there_is_room(tiny_bundle: Path) -> None:
    config = open_bundle(tiny_bundle).config
    needed = plan_encoders(config, PRIVATE, 300, None).needed_bytes
    enough = needed + MARGIN_BYTES
    assert plan_encoders(config, PRIVATE, 300, enough).close == ()
    assert plan_encoders(config, PRIVATE, 300, enough - 1).close == tuple(PRIVATE)
    assert plan_encoders(config, PRIVATE, 300, None).close == ()  # The system does not say.
    assert plan_encoders(config, PRIVATE, 300, enough).private_bytes > 0


def test_mapped_encoders_go_and_the_decoder_never(tiny_bundle: Path) -> None:
    config = open_bundle(tiny_bundle).config
    plan = plan_encoders(config, {**MAPPED, "audio": False, "decoder": True}, 300, 1 << 40)
    assert plan.close == tuple(MAPPED)
    assert plan_encoders(config, {"decoder": False}, 300, 0).close == ()


@pytest.mark.parametrize(("free", "mapped"), [(1 << 40, False), (0, False), (1 << 40, True)])
def test_an_answer_is_the_same_whatever_is_closed(
    free: int,
    mapped: bool,
    tiny_bundle: Path,
    tmp_path: Path,
    fake_media: FakeMedia,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def answer(model: VideoLlama2) -> object:
        model.forget()
        *_, result = model.generate(QUESTION, GenerateOptions(max_new_tokens=3))
        assert isinstance(result, Result)
        return result.token_ids

    expected = answer(engines.load(tiny_bundle, keep_encodings=False))
    monkeypatch.setattr("engines.model.memory_here", lambda: Memory(free, free))
    if mapped:
        store = PrepackedStore(tmp_path / "prepacked", 1 << 30, least_bytes=0)
        monkeypatch.setattr("engines.model.prepacked_store", lambda _: store)
    model = engines.load(tiny_bundle, keep_encodings=False)
    assert answer(model) == expected
    kept = {"vision_tower", "projector", "audio"} & set(model.sessions.on_cpu())
    assert bool(kept) == (free > 0 and not mapped)
    assert model.sessions.on_cpu()["decoder"] == mapped
    assert answer(model) == expected
    assert np.isfinite(model.next_logits(model.embed(np.array([1, 2]))[None])).all()

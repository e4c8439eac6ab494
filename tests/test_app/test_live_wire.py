from dataclasses import replace

import numpy as np
import pytest

from app.inference import Ask, Look, Open, pack_job, unpack_job
from app.live_wire import pack_live, unpack_live
from engines import wire
from engines.config import Mismatch
from engines.live_clip import LiveClip
from engines.messages import clip_message

CLIP = LiveClip(
    name="live",
    duration_s=2.5,
    frame_times_s=(0.5, 1.5),
    frame_keys=("a:1", "a:9"),
    frames=(np.arange(5, dtype=np.uint8), np.arange(9, dtype=np.uint8)),
    sound=np.linspace(-1, 1, 12, dtype=np.float32),
    sample_rate=48000,
    sound_span_s=(0.0, 2.0),
    sound_key=("a", 77),
    notes=("It was dark.",),
)


def same(one: LiveClip, other: LiveClip) -> bool:
    plain = [replace(clip, frames=(), sound=np.zeros(0, np.float32)) for clip in (one, other)]
    arrays = [(clip.sound, *clip.frames) for clip in (one, other)]
    facts = [{k: v for k, v in vars(clip).items() if k != "sound"} for clip in plain]
    return facts[0] == facts[1] and all(map(np.array_equal, *arrays))


@pytest.mark.parametrize("clip", [CLIP, replace(CLIP, sound_span_s=None, frames=(), notes=())])
def test_jobs_about_a_stretch_cross_the_pipe(clip: LiveClip) -> None:
    options = clip.options(pad=True)
    question = [clip_message(options, "What?")]
    for job in (Ask(question, live=clip), Open(options, clip), Look(clip, pad=True)):
        packet = wire.to_bytes(*pack_job(7, job))
        read = _read(packet)
        number, found = unpack_job(read.head, read.arrays)
        assert (number, type(found)) == (7, type(job))
        assert isinstance(found, Ask | Open | Look)
        assert found.live is not None
        assert same(found.live, clip)
    assert isinstance(found, Look)
    assert found.pad


def test_what_is_no_stretch_is_refused() -> None:
    facts, arrays = pack_live(CLIP)
    for broken in (arrays[1:], (), (arrays[0].astype(np.float64), *arrays[1:]), arrays[::-1]):
        with pytest.raises(Mismatch):
            unpack_live(facts, broken)
    with pytest.raises(Mismatch, match="sample_rate"):
        unpack_live({**facts, "sample_rate": "fast"}, arrays)
    head, _ = pack_job(1, Look(CLIP))
    for fields in ({}, {"pad": 1}, {"pad": True, "more": 1}):
        with pytest.raises(Mismatch):
            unpack_job({**head, "fields": fields}, arrays)
    with pytest.raises(Mismatch):
        unpack_job({**head, "kind": "Load", "fields": {}}, arrays)


def _read(packet: bytes) -> wire.Packet:
    import io

    found = wire.read(io.BytesIO(packet))
    assert found is not None
    return found

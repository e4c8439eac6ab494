import itertools
import json
import re
from collections import Counter

import av
import numpy as np
import pytest

from engines.media import read_frames, read_sound, sound_info
from export.demo import clips
from export.demo.clips import SETS, Wanted, draw_clip, write_clip, write_clips, write_set
from export.demo.pools import Pool, scene, sound
from export.demo.questions import NO_TRACK, TALK, TYPES
from export.demo.render import FLASH_RGB
from export.demo.score import read_questions
from export.demo.train import EXAM_SEED, Schedule
from export.demo.world import Clip, Scene, Sound, Thing

RED = Thing("red", "circle", "small", 0.07, (0.5, 0.5), (0.5, 0.5))


def flash_and_beep(flash_s: float, onset_s: float) -> Clip:
    flash = Scene("flash", (RED,), "black", "plain", 0, flash_s=flash_s)
    return Clip(flash, Sound("beeps", onset_s, 0.2, "high", "pure", 1000, beeps=1, loudness=0.6))


def test_picture_and_sound_of_a_file_lie_where_the_scene_says(tmp_path):
    path = tmp_path / "clip.mp4"
    write_clip(path, flash_and_beep(flash_s=1.2, onset_s=2.0))
    frames = list(read_frames(path, range(100)))
    cyan = [np.abs(f.rgb[5, 5].astype(int) - np.array(FLASH_RGB)).max() < 60 for f in frames]
    flashes = [frame.time_s for frame, on in zip(frames, cyan, strict=True) if on]
    assert np.isclose(flashes[0], 1.2)
    assert 1.78 < flashes[-1] < 1.82
    info = sound_info(path)
    assert info is not None
    assert info.end_s <= 4.0
    [sound] = read_sound(path, [(0.0, 4.0)], rate=16_000)
    loud = np.flatnonzero(np.abs(sound.samples) > 0.1) / 16_000
    assert abs(loud[0] - 2.0) < 0.015
    assert abs(loud[-1] - 2.2) < 0.02


def test_a_clip_without_a_track_has_none(tmp_path):
    path = tmp_path / "clip.mp4"
    write_clip(path, Clip(Scene("count", (RED,), "gray", "plain", 0), None))
    assert sound_info(path) is None
    with av.open(path) as file:
        assert file.streams.video[0].frames == 100


def test_write_clips_is_repeatable_and_names_its_clips(tmp_path):
    write_clips(tmp_path / "a", 2, seed=5)
    write_clips(tmp_path / "b", 2, seed=5)
    questions = [(tmp_path / name / "questions.jsonl").read_bytes() for name in "ab"]
    assert questions[0] == questions[1]
    # The encoder may spend its bits a little differently: the pictures are the same to the eye.
    for name in ("clip-0000.mp4", "clip-0001.mp4"):
        a, b = (list(read_frames(tmp_path / x / name, [0, 50])) for x in "ab")
        for one, other in zip(a, b, strict=True):
            assert np.abs(one.rgb.astype(int) - other.rgb.astype(int)).mean() < 1
    lines = (tmp_path / "a" / "questions.jsonl").read_text().splitlines()
    for line in map(json.loads, lines):
        assert set(line) - {"history"} == {"clip", "question", "answer", "type", "label"}
        assert (tmp_path / "a" / line["clip"]).exists()
    pairs = read_questions(tmp_path / "a" / "questions.jsonl")
    assert len(pairs) == len(lines)
    assert all(bool(q.history) == q.type.startswith(("fu_", "talk")) for _, q in pairs)


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture
def unwritten(monkeypatch):
    """The clips that would have been written, by name."""
    written = {}
    monkeypatch.setattr(clips, "write_clip", lambda path, clip: written.update({path.name: clip}))
    return written


def test_a_set_of_questions_has_as_many_of_every_type(tmp_path, unwritten):
    told = []
    number = write_set(tmp_path, Wanted(seed=3, questions=7), told.append)
    counts = Counter(line["type"] for line in lines(tmp_path / "questions.jsonl"))
    assert set(counts) == {*TYPES, TALK}
    assert min(counts.values()) >= 7
    assert counts["color"] == counts["flash"] + 4 == 12  # two of six, four of two
    assert number == len(unwritten) < 150
    assert re.fullmatch(rf"{number} of \d+ clips chosen for 7 questions of every type", told[0])
    assert not (tmp_path / "unchanged.jsonl").exists()


def test_a_control_writes_both_answers_to_the_same_questions(tmp_path, unwritten):
    write_set(tmp_path, Wanted(seed=3, clips=60, control="no-sound"))
    assert all(clip.sound is None for clip in unwritten.values())
    now, before = (lines(tmp_path / f"{name}.jsonl") for name in ("questions", "unchanged"))
    assert len(now) == len(before) > 50
    for one, other in zip(now, before, strict=True):
        assert (one["clip"], one["question"]) == (other["clip"], other["question"])
        index = int(one["clip"][5:9])
        assert (one["answer"] == other["answer"]) == (one["type"] in ("color", "motion", "count"))
        asked = [(q.text, q.answer) for q in draw_clip(3, index)[1]]
        assert (other["question"], other["answer"]) in asked
    assert {line["answer"] for line in now if line["type"] == "sync"} == {NO_TRACK}


def test_a_file_without_its_sound_is_the_clip_otherwise(tmp_path):
    write_set(tmp_path / "plain", Wanted(seed=4, clips=1))
    write_set(tmp_path / "control", Wanted(seed=4, clips=1, control="no-sound"))
    plain, control = (tmp_path / name / "clip-0000.mp4" for name in ("plain", "control"))
    assert sound_info(plain) is not None
    assert sound_info(control) is None
    [one], [other] = (read_frames(path, [50]) for path in (plain, control))
    assert np.abs(one.rgb.astype(int) - other.rgb.astype(int)).mean() < 1


def test_backwards_the_same_frames_are_seen_from_the_end(tmp_path):
    write_set(tmp_path / "plain", Wanted(seed=4, clips=1))
    write_set(tmp_path / "control", Wanted(seed=4, clips=1, control="reversed"))
    plain, control = (tmp_path / name / "clip-0000.mp4" for name in ("plain", "control"))
    forwards = [frame.rgb.astype(int) for frame in read_frames(plain, [10, 40, 80])]
    backwards = [frame.rgb.astype(int) for frame in read_frames(control, [20, 60, 90])]
    for one, other in zip(forwards, reversed(backwards), strict=True):
        assert np.abs(one - other).mean() < 1
    assert np.abs(forwards[0] - forwards[2]).mean() > 2


def test_paraphrases_ask_the_same_in_other_words(tmp_path, unwritten):
    write_set(tmp_path / "a", Wanted(seed=3, clips=80))
    write_set(tmp_path / "b", Wanted(seed=3, clips=80, paraphrased=True))
    plain, other = (lines(tmp_path / name / "questions.jsonl") for name in "ab")
    assert len(plain) == len(other)
    for one, another in zip(plain, other, strict=True):
        assert one["question"] != another["question"]
        for name in ("clip", "answer", "type", "history"):
            assert one.get(name) == another.get(name)


def test_named_sets_share_nothing_with_each_other_or_with_training():
    seeds = [wanted.seed for wanted in SETS.values()]
    assert len({*seeds, Schedule().seed, EXAM_SEED}) == len(seeds) + 2
    assert (SETS["calibration"].clips, SETS["evaluation"].questions) == (48, 200)
    scenes = [{draw_clip(seed, index)[0].scene for index in range(400)} for seed in seeds]
    sounds = [{draw_clip(seed, index)[0].sound for index in range(400)} for seed in seeds]
    trained = [Pool(name, Schedule().seed, 400) for name in ("clips", "sounds")]
    scenes.append({scene(trained[0], index) for index in range(400)})
    sounds.append({sound(trained[1], index) for index in range(400)})
    for kind in (scenes, sounds):
        assert not any((one & other) - {None} for one, other in itertools.combinations(kind, 2))

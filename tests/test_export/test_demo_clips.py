import json

import av
import numpy as np

from engines.media import read_frames, read_sound, sound_info
from export.demo.clips import balanced, draw_clip, write_clip, write_clips
from export.demo.questions import Question
from export.demo.render import FLASH_RGB
from export.demo.score import read_questions
from export.demo.world import Clip, Scene, Sound, Thing

RED = Thing("red", "circle", "small", 0.07, (0.5, 0.5), (0.5, 0.5))


def flash_and_beep(flash_s: float, onset_s: float) -> Clip:
    scene = Scene("flash", (RED,), "black", "plain", 0, flash_s=flash_s)
    return Clip(scene, Sound("beeps", onset_s, 0.2, "high", "pure", 1000, beeps=1, loudness=0.6))


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


def test_answers_of_a_type_are_equally_frequent():
    asked = [(str(i), q) for i in range(250) for q in draw_clip(3, i)[1]]
    chosen = balanced(asked, seed=3)
    counts: dict[str, dict[str, int]] = {}
    for _, question in chosen:
        keys = counts.setdefault(question.type, {})
        keys[question.key] = keys.get(question.key, 0) + 1
    assert set(counts["flash"]) == {"yes", "no"}
    assert set(counts["sync"]) == {"before", "together", "after"}
    for keys in counts.values():
        assert len(set(keys.values())) == 1
        assert sum(keys.values()) <= 200


def test_balanced_takes_the_rarest_answer_as_the_measure():
    def ask(key: str) -> Question:
        return Question("flash", "Is there a flash?", key, key)

    asked = [("a", ask("no")), ("b", ask("no")), ("c", ask("no")), ("d", ask("yes"))]
    keys = [question.key for _, question in balanced(asked, seed=0)]
    assert sorted(keys) == ["no", "yes"]

"""Camera and microphone live: a demo clip is played into both, and asked about. Nothing is faked.

The microphone is the monitor of a PulseAudio null sink (Debian: pulseaudio, pulseaudio-utils,
libasound2-plugins, libportaudio2), the camera MJPEG over loopback HTTP.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
import wave
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("cv2", reason="the extra `live` is not installed")

import engines
from app.capture.clip_file import write_clip
from app.capture.recorder import Recorder, Span
from app.cli import build_parser
from app.engine_client import EngineClient
from app.inference import EngineSpec
from app.live import Live
from app.live_options import add_live
from app.receipt import Question
from assets import demo_bundle, demo_clips
from engines.config import ClipOptions
from engines.events import Result
from engines.live_clip import LiveClip
from engines.messages import clip_message
from engines.sampling import GenerateOptions
from tests import live_devices
from tests.live_devices import PictureServer, SoundServer, jpegs, samples

ROOT = Path(__file__).parents[2]
PATIENCE_S = 120.0
CLIP_S = 4.0
TRIES = 12
LATE_S = 0.15
# Clips with what is asked about them: what moves, how many beeps, what came first.
BOUNCE = (
    ("How does the red circle move?", "The red circle moves left and bounces back."),
    ("How many beeps are there?", "There are two beeps."),
)
FLASH = (
    ("How does the green triangle move?", "The green triangle moves up."),
    (
        "Does the sound come before, with or after the moment the background flashes?",
        "The sound comes before the background flashes.",
    ),
)
needs_sound = pytest.mark.skipif(
    bool(live_devices.missing_sound()), reason=f"there is no {live_devices.missing_sound()}"
)


def wait_until(true: Callable[[], Any]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def wave_file(path: Path, clip: Path) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(live_devices.SOUND_RATE)
        file.writeframes(samples(clip).astype("<i2").tobytes())
    return path


@pytest.fixture
def sound_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[SoundServer]:
    # A socket's name is short: pytest's folders are too deep for it.
    with tempfile.TemporaryDirectory(prefix="vl2-") as folder:
        server = SoundServer(Path(folder))
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        server.start()
        yield server
        server.kill()


def both_on(recorder: Recorder) -> bool:
    status = recorder.status()
    return bool(
        status.camera and status.microphone and status.camera.kind == status.microphone.kind == "on"
    )


def onset_s(sound: np.ndarray) -> float:
    """When a sound at 48 kHz begins; infinite for silence."""
    loud = np.flatnonzero(np.abs(sound) > np.abs(sound).max(initial=0.0) / 2)
    return float(loud[0]) / live_devices.SOUND_RATE if len(loud) else np.inf


def was_played_in_time(server: PictureServer, clip: LiveClip, sound: np.ndarray) -> bool:
    """Whether pictures were sent and sound was played as in the file, each at its time."""
    if clip.notes or clip.sound_span_s is None:
        return False
    sound_late_s = clip.sound_span_s[0] + onset_s(clip.sound) - onset_s(sound)
    return server.late_s < LATE_S and abs(sound_late_s) < LATE_S


@needs_sound
def test_what_is_played_live_is_answered_rightly(sound_server: SoundServer, tmp_path: Path) -> None:
    films = {name: jpegs(demo_clips() / f"{name}.mp4") for name in ("bounce", "flash")}
    waves = {name: wave_file(tmp_path / name, demo_clips() / f"{name}.mp4") for name in films}
    model = engines.load(demo_bundle(), keep_encodings=False)
    with PictureServer(films["bounce"][0], fps=30.0) as server:
        recorder = Recorder(server.url, "default")
        recorder.start()
        try:
            wait_until(lambda: both_on(recorder))
            clips = {}
            for name, film in films.items():
                sound = samples(demo_clips() / f"{name}.mp4").astype(np.float32)
                # A machine that is too busy to play the film in time is given another try.
                for _ in range(TRIES):
                    player = sound_server.play(waves[name])
                    start_s = time.monotonic() + 0.05
                    server.play(film, start_s)
                    wait_until(lambda end_s=start_s + CLIP_S + 0.2: time.monotonic() > end_s)
                    player.wait()
                    span = Span(start_s, start_s + CLIP_S)
                    clips[name] = recorder.clip(span, 8)
                    if was_played_in_time(server, clips[name], sound):
                        break
                write_clip(tmp_path / f"{name}.mp4", recorder, span)
            status = recorder.status()
        finally:
            recorder.close()
    for name, questions in (("bounce", BOUNCE), ("flash", FLASH)):
        clip = clips[name]
        assert clip.notes == ()
        for question, right in questions:
            message = clip_message(clip.options(), question)
            *_, result = model.generate([message], live=clip)
            assert isinstance(result, Result)
            assert (question, result.answer) == (question, right)
        # Kept, it is a clip like any other, and the conversation goes on about that.
        kept = ClipOptions(tmp_path / f"{name}.mp4")
        question, right = questions[1]
        *_, result = model.generate([clip_message(kept, question)])
        assert isinstance(result, Result)
        assert result.answer == right
    assert status.size == (224, 224)
    assert 0 < status.nbytes < recorder.most_bytes == (160 << 20) + 60 * 48000 * 2
    assert recorder.status().level_db == -90.0


@needs_sound
@pytest.mark.slow
def test_a_sound_server_that_dies_comes_back(sound_server: SoundServer) -> None:
    recorder = Recorder(None, "default")
    recorder.start()
    try:
        wait_until(lambda: recorder.status().microphone.kind == "on")
        before_s = recorder.sound.last_s
        sound_server.kill()
        wait_until(lambda: recorder.status().microphone.kind == "waiting")
        assert recorder.status().microphone.sentence
        sound_server.start()
        wait_until(lambda: recorder.status().microphone.openings == 2)
        wait_until(lambda: recorder.sound.last_s > before_s + 1)
    finally:
        recorder.close()
    span = recorder.sound.read(before_s - 0.1, recorder.sound.last_s)
    assert span.missing_s > 0


def test_live_on_the_command_line_prints_events(tmp_path: Path) -> None:
    film = jpegs(demo_clips() / "flash.mp4")
    with PictureServer(film[0]) as server:
        command = [sys.executable, "-m", "app", "live", "--camera", server.url, "--mic", "none"]
        command += ["--window", "4", "--check-every", "0.5", "--json", "--keep", str(tmp_path)]
        command += ["--tell-when", "Does the background flash?"]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment, text=True
        )
        assert process.stdout is not None
        watchdog = threading.Timer(PATIENCE_S, process.kill)
        watchdog.start()
        events = map(json.loads, process.stdout)
        on = next(event for event in events if event.get("state") == "on")
        # Again and again: a slow machine misses some.
        server.play(film, time.monotonic(), every_s=6.0)
        moment = next(event for event in events if event["event"] == "moment")
        watchdog.cancel()
        process.terminate()
        process.communicate()
    assert on["device"] == "camera"
    assert moment["answer"] == "Yes, the background flashes."
    assert moment["end_s"] - moment["start_s"] == pytest.approx(4.0, abs=0.01)
    assert Path(moment["clip"]).stat().st_size > 1000


def filled(seconds: float = 8.0) -> Recorder:
    """A recording of a demo clip's pictures, made without any device."""
    recorder = Recorder("http://127.0.0.1:9/none", None)
    now_s = time.monotonic()
    film = jpegs(demo_clips() / "bounce.mp4")
    for number in range(round(seconds * 25)):
        content = np.frombuffer(film[min(number, len(film) - 1)], np.uint8)
        recorder.pictures.put(now_s - seconds + number / 25, content)
    return recorder


def test_questions_are_about_the_last_seconds(capsys: pytest.CaptureFixture[str]) -> None:
    model = engines.load(demo_bundle(), keep_encodings=False)
    live = Live(model, filled(), ClipOptions(Path("live")), 4.0, GenerateOptions(), as_json=True)
    result = live.ask("What color is the circle?")
    printed = json.loads(capsys.readouterr().out)
    assert result is not None
    assert printed["answer"] == result.answer == "The circle is red."
    assert len(printed["coverage"]["frame_times_s"]) == 8


def test_before_there_is_anything_a_question_is_refused(
    capsys: pytest.CaptureFixture[str],
) -> None:
    model = engines.load(demo_bundle(), keep_encodings=False)
    recorder = Recorder("http://127.0.0.1:9/none", None)
    live = Live(model, recorder, ClipOptions(Path("live")), 4.0, GenerateOptions(), as_json=True)
    assert live.ask("What is there?") is None
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "neither picture nor sound" in captured.err


def test_the_engine_process_answers_as_this_one() -> None:
    recorder = filled()
    clip = recorder.clip(recorder.last(4.0, 8), 8)
    message = clip_message(clip.options(), "What color is the circle?")
    with EngineClient(EngineSpec(keep_encodings=False)) as engine:
        changes = engine.look(clip)
        question = Question(EngineSpec(), [message], GenerateOptions())
        *_, result = engine.generate(question, clip)
    assert changes.shape == (7,)
    assert isinstance(result, Result)
    assert result.answer == "The circle is red."
    assert engine.receipt["clip"]["sha256"] == clip.digest


@pytest.mark.parametrize(
    "wrong",
    [
        ["--window", "0"],
        ["--window", "4000"],
        ["--ask-every", "soon", "What?"],
        ["--check-every", "x"],
    ],
)
def test_wrong_usage_is_refused(wrong: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as refused:
        build_parser().parse_args(["live", *wrong])
    assert refused.value.code == 2
    assert "number of seconds" in capsys.readouterr().err


def test_the_command_line_of_live() -> None:
    parser = argparse.ArgumentParser()
    live = add_live(parser.add_subparsers().add_parser)
    parsed = live.parse_args(["--ask-every", "20", "What?", "--tell-when", "A?", "--mic", "none"])
    assert parsed.ask_every == (20.0, "What?")
    assert (parsed.tell_when, parsed.mic, parsed.window) == (["A?"], "none", 15.0)

"""Films and sounds: the right frame at the right time, and no noise."""

import os
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from PIL import Image
from PySide6.QtCore import QSize
from PySide6.QtGui import QColor, QImage
from pytestqt.qtbot import QtBot

from app.widgets import play_stream
from app.widgets.film_playback import FilmPlayback
from app.widgets.latest_task import LatestTask
from app.widgets.multimedia import QtAudio
from app.widgets.play_stream import PlayStream
from app.widgets.speaker import Speaker
from assets import demo_clips
from engines.errors import MediaError
from engines.media import Played, PlayOptions, read_frames, read_timeline
from tests.clips import Tone, patch, write_clip
from tests.screen import until

pytestmark = pytest.mark.gui

BOUNCE = demo_clips() / "bounce.mp4"
STEP_S = 1 / 25
# Neighbouring frames differ by little.
LOSSLESS = {"crf": "0"}
HUM = (np.sin(np.arange(44100 * 4) * 0.05) * 0.3).astype(np.float32)


def opened(path: Path) -> FilmPlayback:
    playback = FilmPlayback(LatestTask())
    playback.open(path)
    return playback


def close(playback: FilmPlayback) -> None:
    playback.close()
    playback.images.close()


class Player:
    """A playback and the last picture of it."""

    def __init__(self, path: Path, qtbot: QtBot) -> None:
        self.bot = qtbot
        count = len(read_timeline(path).times_s)
        self.known = np.array([f.rgb.mean((0, 1)) for f in read_frames(path, range(count))])
        self.image = QImage()
        self.playback = opened(path)
        self.playback.set_box(QSize(128, 96))
        self.playback.imageChanged.connect(self._keep)

    def _keep(self, image: QImage) -> None:
        self.image = image

    def number(self) -> int | None:
        """The index of the frame that is seen, by the engine's count."""
        if self.image.isNull():
            return None
        image = self.image.convertToFormat(QImage.Format.Format_RGB888)
        rows = np.frombuffer(image.constBits(), np.uint8).reshape(image.height(), -1)
        mean = rows[:, : 3 * image.width()].reshape(-1, 3).mean(0)
        return int(np.abs(self.known - mean).sum(1).argmin())

    def sees(self, number: int) -> None:
        self.bot.waitUntil(lambda: self.number() == number)


@pytest.fixture
def film(tmp_path: Path, qtbot: QtBot) -> Iterator[Player]:
    player = Player(write_clip(tmp_path / "film.mp4", codec_options=LOSSLESS), qtbot)
    yield player
    close(player.playback)


def test_it_begins_paused_at_the_first_frame(film: Player) -> None:
    film.sees(0)
    assert not film.playback.playing
    assert film.playback.position_s == 0
    assert film.playback.duration_s == pytest.approx(2.0, abs=0.01)
    assert film.playback.has_sound is False


@pytest.mark.parametrize("number", [1, 7, 25, 49])
def test_a_frames_time_shows_that_frame(film: Player, number: int) -> None:
    film.sees(0)
    film.playback.seek(number * STEP_S)
    film.sees(number)
    assert film.playback.position_s == pytest.approx(number * STEP_S)


def test_a_time_asked_for_before_the_file_is_open_is_not_lost(film: Player) -> None:
    film.playback.seek(10 * STEP_S)
    film.sees(10)


def test_frames_are_stepped_one_by_one(film: Player) -> None:
    film.sees(0)
    film.playback.step(-1)
    film.playback.seek(5 * STEP_S)
    film.sees(5)
    for direction, number in ((1, 6), (1, 7), (-1, 6), (-1, 5), (-1, 4)):
        film.playback.step(direction)
        film.sees(number)
        film.bot.waitUntil(
            lambda number=number: abs(film.playback.position_s - number * STEP_S) < 0.002
        )


def test_stepping_goes_by_frames_where_their_rate_changes(tmp_path: Path, qtbot: QtBot) -> None:
    times = [0, 40, 80, 500, 1000, 1040, 1080]
    path = write_clip(tmp_path / "uneven.mkv", frames=7, times_ms=times, codec_options=LOSSLESS)
    player = Player(path, qtbot)
    player.sees(0)
    for number in (1, 2, 3, 4, 5):
        player.playback.step(1)
        player.sees(number)
        qtbot.waitUntil(
            lambda number=number: abs(player.playback.position_s - times[number] / 1000) < 0.01
        )
    close(player.playback)


def test_playing_reaches_the_end_and_begins_again(film: Player) -> None:
    film.sees(0)
    film.playback.seek(1.7)
    film.sees(42)
    film.playback.play()
    film.bot.waitUntil(lambda: film.playback.playing)
    film.bot.waitUntil(lambda: film.playback.at_end() and not film.playback.playing)
    film.sees(49)  # what was seen last stays
    film.playback.seek(0.4)
    film.sees(10)
    film.playback.seek(2.0)
    film.playback.play()
    film.bot.waitUntil(lambda: film.playback.playing and film.playback.position_s < 1)


def test_playing_pauses_where_it_is_told_to(film: Player) -> None:
    film.sees(0)
    film.playback.play(until_s=0.4)
    film.bot.waitUntil(lambda: film.playback.playing)
    film.bot.waitUntil(lambda: not film.playback.playing)
    assert film.playback.position_s == 0.4
    film.sees(10)


def test_one_player_shows_film_after_film(film: Player, tmp_path: Path) -> None:
    film.sees(0)
    film.playback.seek(20 * STEP_S)
    film.playback.close()
    film.playback.open(tmp_path / "film.mp4")
    assert film.playback.position_s == 0
    film.sees(0)
    film.playback.seek(7 * STEP_S)
    film.sees(7)


def test_a_larger_box_gives_a_larger_picture(film: Player) -> None:
    film.sees(0)
    assert film.image.size() == QSize(128, 96)
    film.playback.set_box(QSize(640, 200))
    film.bot.waitUntil(lambda: film.image.height() == 200)


def test_a_film_taken_sideways_is_shown_upright(tmp_path: Path, qtbot: QtBot) -> None:
    path = write_clip(tmp_path / "sideways.mp4", codec_options=LOSSLESS)
    # The track header's matrix, 40 bytes in: a quarter turn clockwise.
    patch(path, b"tkhd", 40, "9i", 0, 1 << 16, 0, -1 << 16, 0, 0, 48 << 16, 0, 1 << 30)
    player = Player(path, qtbot)
    player.sees(0)
    assert player.image.size() == QSize(72, 96)
    top, bottom = (QColor(player.image.pixel(36, y)).red() for y in (5, 90))
    assert top < 20 < 100 < bottom  # what grew to the right grows downwards
    close(player.playback)


def test_times_count_from_the_first_picture_as_the_engines_do(tmp_path: Path, qtbot: QtBot) -> None:
    # A sound that begins 0.2 s before the picture is an encoder's delay, 0.7 s before is a clip's.
    # Qt then counts the codec's priming in, 23 ms here: the time asked for leaves room for that.
    for late_ms, offset_s in ((200, 0.0), (700, 0.7)):
        times = [late_ms + 40 * number for number in range(50)]
        path = write_clip(
            tmp_path / f"late{late_ms}.mkv", times_ms=times, tone=Tone(HUM), codec_options=LOSSLESS
        )
        player = Player(path, qtbot)
        player.sees(0)
        player.playback.seek(offset_s + 10 * STEP_S + 0.03)
        player.sees(10)
        close(player.playback)


def test_a_sound_plays_without_anything_to_hear_it_with(tmp_path: Path, qtbot: QtBot) -> None:
    path = write_clip(tmp_path / "hum.wav", frames=0, tone=Tone(HUM, codec="pcm_s16le"))
    playback = opened(path)
    qtbot.waitUntil(lambda: playback.has_sound is True)
    assert playback.duration_s == pytest.approx(4.0, abs=0.05)
    playback.set_volume(0.5, muted=False)
    playback.play()
    qtbot.waitUntil(lambda: playback.position_s > 0.2)
    playback.seek(2.0)
    qtbot.waitUntil(lambda: playback.position_s > 2.1)
    playback.set_rate(2.0)
    playback.pause()
    qtbot.waitUntil(lambda: not playback.playing)
    close(playback)


def test_seeking_again_and_again_decodes_only_for_the_last_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    begun, wait = [], threading.Event()

    def slow(path: Path, options: PlayOptions) -> Generator[Played]:
        begun.append(options.start_s)
        wait.wait(60)
        yield Played(options.start_s, np.zeros((2, 2, 3), np.uint8))

    monkeypatch.setattr(play_stream, "play", slow)
    stream = None
    streams = []
    for start_s in range(5):
        options = PlayOptions(float(start_s), 8, 8, 0)
        if stream is not None:
            stream.stop()
        stream = PlayStream(BOUNCE, options, stream)
        streams.append(stream)
        until(lambda: begun)  # the first one decodes while the others are asked for
    wait.set()
    for one in streams:
        one._thread.join(60)
    assert begun == [0.0, 4.0]
    assert all(one.over for one in streams)


def test_pictures_that_nobody_takes_are_not_kept_without_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    same = Played(0.0, np.zeros((2, 2, 3), np.uint8))
    monkeypatch.setattr(play_stream, "play", lambda *_: (same for _ in range(10_000)))
    stream = PlayStream(BOUNCE, PlayOptions(0.0, 8, 8, 0), None)
    until(lambda: len(stream._pictures) >= play_stream.MOST_PICTURES)
    stream._thread.join(0.2)
    assert len(stream._pictures) == play_stream.MOST_PICTURES
    assert stream.is_silent_at(0.0)
    stream.stop()
    stream._thread.join(60)
    assert not stream._thread.is_alive()


class GoneSink:
    """A sound output that was unplugged."""

    def error(self) -> QtAudio.Error:
        return QtAudio.Error.IOError

    def bytesFree(self) -> int:
        return 0

    def bufferSize(self) -> int:
        return 1000


def test_an_output_that_vanishes_does_not_stop_the_clock(qtbot: QtBot) -> None:
    speaker = Speaker()
    speaker._sink, speaker._pipe = cast(Any, GoneSink()), cast(Any, object())
    assert not speaker.idle
    sound = deque([Played(0.0, np.zeros((10, 2), np.float32))])
    speaker.feed(sound)
    assert not sound
    assert speaker.idle
    speaker._sink = None


def test_a_folder_plays_as_the_engines_count_it(tmp_path: Path, qtbot: QtBot) -> None:
    for number in range(6):
        Image.new("RGB", (8, 6), (0, 0, number * 40)).save(tmp_path / f"{number}.png")
    (tmp_path / "notes.txt").write_text("no picture")
    player = Player(tmp_path, qtbot)
    player.sees(0)
    assert player.playback.duration_s == pytest.approx(2.0)
    player.playback.seek(1.0)
    player.sees(3)
    player.playback.play()
    player.sees(5)
    qtbot.waitUntil(lambda: player.playback.at_end() and not player.playback.playing)
    close(player.playback)


def test_what_cannot_be_played_fails_once(tmp_path: Path, qtbot: QtBot) -> None:
    path = tmp_path / "film.mp4"
    path.write_text("no film")
    failures: list[bool] = []
    playback = opened(path)
    playback.failed.connect(lambda: failures.append(playback.broken))
    qtbot.waitUntil(lambda: bool(failures))
    assert failures == [True]
    playback.seek(1.0)
    playback.play()
    close(playback)


def test_a_decoder_that_dies_pauses_the_film_and_says_so(
    film: Player, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What came before is played; then it can be played again."""
    whole = play_stream.play

    def dying(path: Path, options: PlayOptions) -> Generator[Played]:
        for part in whole(path, options):
            if part.time_s > 0.3:
                raise MediaError("film.mp4 could not be read: its decoder ended.")
            yield part

    film.sees(0)
    told: list[str] = []
    film.playback.interrupted.connect(told.append)
    with monkeypatch.context() as broken:
        broken.setattr(play_stream, "play", dying)
        film.playback.play()
        film.bot.waitUntil(lambda: bool(told))
    assert told == ["film.mp4 could not be read: its decoder ended."]
    assert not film.playback.playing
    assert not film.playback.broken
    assert film.playback.position_s > 0.2
    film.sees(7)
    film.playback.play()
    film.bot.waitUntil(lambda: film.playback.at_end() and not film.playback.playing)
    assert len(told) == 1


class Counted:
    """A sound output that plays what it gets at once, and counts."""

    there = idle = True

    def __init__(self) -> None:
        self.seconds = 0.0

    def feed(self, sound: deque[Played]) -> None:
        while sound:
            self.seconds += len(sound.popleft().content) / 1000

    def heard_s(self) -> float:
        return self.seconds

    def start(self) -> None: ...

    def stop(self) -> None: ...


def test_sound_after_a_silence_goes_on_at_its_own_time(film: Player) -> None:
    """Not as much later as was heard before the silence."""
    film.sees(0)
    playback = film.playback
    speaker = playback._speaker = cast(Any, Counted())
    playback.audible = True
    stream = cast(Any, Quiet())
    stream.sound.append(Played(0.0, np.zeros((500, 2), np.float32)))
    playback._feed(stream)
    playback.position_s = 0.5
    assert playback._clock_s(stream) >= 0.5  # silent from here on: by the stopwatch
    assert playback._stopwatch.isValid()
    playback.position_s = 0.8
    stream.sound.append(Played(1.0, np.zeros((100, 2), np.float32)))
    playback._feed(stream)
    assert speaker.seconds == 0.5  # not yet
    playback.position_s = 1.02
    playback._feed(stream)
    speaker.idle = False
    assert playback._clock_s(stream) == pytest.approx(1.1)


class Quiet:
    """A stream whose pictures are far ahead of its sound."""

    begun, over = True, False

    def __init__(self) -> None:
        self.sound: deque[Played] = deque()

    def is_silent_at(self, _: float) -> bool:
        return not self.sound


QUIET = """
import sys
from pathlib import Path
from PySide6.QtCore import QTimer
from PySide6.QtWidgets import QApplication
app = QApplication([])
from app.widgets.latest_task import LatestTask
from app.widgets.film_playback import FilmPlayback
playing = FilmPlayback(LatestTask())
playing.imageChanged.connect(lambda _: playing.play())
playing.positionChanged.connect(lambda at: at > 0.2 and app.quit())
playing.failed.connect(app.quit)
playing.open(Path(sys.argv[1]))
QTimer.singleShot(20_000, app.quit)
app.exec()
playing.close()
playing.images.close()
"""


@pytest.mark.parametrize("codec", ["mpeg4", "libx264", "broken"])
def test_the_libraries_write_nothing_to_the_terminal(tmp_path: Path, codec: str) -> None:
    path = tmp_path / "film.avi"
    if codec == "broken":
        path.write_bytes(b"RIFF" + bytes(100))
    else:
        options = {"g": "12"}  # any: none means those of x264
        write_clip(path, codec=codec, codec_options=options, tone=Tone(HUM, codec="mp2"))
    usual = {key: value for key, value in os.environ.items() if key != "QT_LOGGING_RULES"}
    run = subprocess.run(
        [sys.executable, "-c", QUIET, str(path)],
        capture_output=True,
        text=True,
        check=True,
        env=usual,
    )
    assert run.stdout + run.stderr == ""

"""Clips: a path goes in; frames with their times, and sound, come out as plain arrays.

No file is parsed here: a child process reads it that could not do harm if it wanted to
(`engines.media_process`), and what it answers is checked. What a clip is, its content says, never
its name. Kinds: "video" (also animated pictures and folders of frames), "image", "audio".
Times count in seconds from the clip's first picture (a sound file: from its first sample).
"""

import dataclasses
import hashlib
import math
from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from engines import media_process
from engines.config import Mismatch, from_json, to_json
from engines.errors import MediaError
from engines.media_file import file_stamp, is_folder, open_regular, shown
from engines.timeline import Timeline
from engines.wire import Packet

HASH_WHOLE_BYTES = 64 << 20
HASH_BLOCK_BYTES = 1 << 20
HASH_BLOCKS = 64
# What is remembered of clips asked about before: small, and asked for again and again.
REMEMBERED = 16
SOUND_CHANNELS = 2  # of what is played
# Beyond these no answer is believed: times in s (an animated picture may last some weeks), and what
# is counted (pixels, frames, Hz).
MOST_TIME_S = 1e8
MOST_COUNTED = 1 << 31
MOST_NOTES, MOST_NOTED = 16, 1000
# Frames of one clip (two days at 48 a second), Hz of a sound, and how loud a sample of a file of
# floats may be, where 1 is what others call full.
MOST_FRAMES, MOST_RATE, LOUDEST = 1 << 23, 768_000, 1e4
# Times of so many clips are remembered: those of the longest take 64 MB.
TIMES_REMEMBERED = 4
# Of a piece of sound to be played, and by how much sound may run ahead of its own times.
LONGEST_PIECE_S = 60.0
SOUND_AHEAD_S = 1.0

T = TypeVar("T")


@dataclass(frozen=True)
class MediaInfo:
    """What a clip is.

    Attributes:
        width, height: as shown, after rotation; None for sound.
        fps: frames per second where the rate is constant, else None.
        rotation: degrees clockwise by which the stored picture was turned.
        notes: sentences a user should hear, for example that the file is cut short.
    """

    kind: Literal["video", "image", "audio"]
    path: Path
    duration_s: float | None
    fps: float | None
    frame_count: int | None
    width: int | None
    height: int | None
    rotation: int
    has_video: bool
    has_sound: bool
    sample_rate: int | None
    channels: int | None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class SoundInfo:
    """The sound of a clip lies between `start_s` and `end_s`, at `sample_rate` Hz.

    `padded_end_s` is where the last coded frame ends, a little after `end_s` with AAC; the clip
    itself ends at `clip_end_s`. `with_pictures` tells a film's sound from a sound file: the
    reference reads them differently.
    """

    start_s: float
    end_s: float
    padded_end_s: float
    clip_end_s: float
    sample_rate: int
    with_pictures: bool
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Frame:
    """One frame: shown at `time_s`, `rgb` uint8 (h, w, 3), upright.

    `exact` is False where the wanted frame could not be decoded whole and this one stands for it.
    """

    time_s: float
    rgb: NDArray[np.uint8]
    exact: bool = True


@dataclass(frozen=True)
class Sound:
    """A span of sound: `samples` float32 (n,) in [-1, 1] at `sample_rate` Hz.

    `start_s` and `end_s` tell the part that was really there (the rest is zeros), or both are the
    span's start where nothing was.
    """

    samples: NDArray[np.float32]
    sample_rate: int
    start_s: float
    end_s: float


@dataclass(frozen=True)
class PlayOptions:
    """How a clip is to be played.

    Attributes:
        start_s: where to begin; the first picture is the one on the screen then.
        width, height: of the box in pixels that pictures are to fit; 0 for no pictures. Those of a
            film are made larger, too.
        sample_rate: of the sound, Hz; 0 for no sound.
        tempo: how much faster than recorded; voices keep their pitch.
    """

    start_s: float
    width: int
    height: int
    sample_rate: int
    tempo: float = 1.0


@dataclass(frozen=True, eq=False)
class Played:
    """A picture, uint8 (h, w, 3), from `time_s` on; or sound, float32 (n, 2), that begins then."""

    time_s: float
    content: NDArray[np.uint8] | NDArray[np.float32]


@dataclass(frozen=True)
class PlayedFacts:
    """A `Played` but for its content."""

    time_s: float


@dataclass(frozen=True)
class TimelineFacts:
    """A `Timeline` but for its times."""

    end_s: float
    fps: float | None
    notes: tuple[str, ...]


@dataclass(frozen=True)
class FrameFacts:
    """A `Frame` but for its picture."""

    time_s: float
    exact: bool


@dataclass(frozen=True)
class SoundFacts:
    """A `Sound` but for its samples."""

    sample_rate: int
    start_s: float
    end_s: float


@dataclass(frozen=True)
class FolderFacts:
    """The names of a folder's pictures, in order."""

    names: tuple[str, ...]


@dataclass(frozen=True)
class SoundTrackFacts:
    """Where the sound of a clip lies, if it has any."""

    info: SoundInfo | None


def probe(path: Path) -> MediaInfo:
    """What a clip is, from its content.

    Raises:
        MediaError: it cannot be read, or is no clip.
    """
    return _probe(path, _stamp(path))


@lru_cache(maxsize=REMEMBERED)
def _probe(path: Path, stamp: object) -> MediaInfo:
    """`stamp` makes a changed file another key of the cache."""
    info = _facts(MediaInfo, _one(path, "probe"), path)
    measures = (info.width, info.height, info.frame_count, info.sample_rate, info.channels)
    seen = info.width is not None and info.height is not None and info.frame_count is not None
    positive = all(number is None or number > 0 for number in (*measures, info.fps))
    positive = positive and (info.sample_rate or 0) <= MOST_RATE
    # Only sound has no pictures, and only a still picture has no length.
    whole = seen != (info.kind == "audio") and (info.duration_s is None) == (info.kind == "image")
    whole = whole and info.has_video == (info.kind == "video")
    whole = whole and info.has_sound == (info.sample_rate is not None)
    if not (positive and whole and (info.duration_s or 0.0) >= 0):
        raise _nonsense(path)
    return replace(info, path=path)


def clip_hash(path: Path) -> str:
    """SHA-256 (hex) that stands for a clip's content.

    A file of up to 64 MB: of all its bytes. A larger one: of its size in decimal and 64 blocks of
    1 MB, evenly spaced, the first and the last at the ends. A folder: of the name, a NUL and the
    hash (hex) of each of its pictures, in order.

    Raises:
        MediaError: the clip cannot be read.
    """
    digest = hashlib.sha256()
    if is_folder(path):
        for frame in folder_frames(path):
            digest.update(shown(Path(frame.name)).encode() + b"\0" + clip_hash(frame).encode())
        return digest.hexdigest()
    return _file_hash(path, file_stamp(path))


@lru_cache(maxsize=256)
def _file_hash(path: Path, stamp: tuple[int, int, int]) -> str:
    """Every question about a clip asks for it; `stamp` makes a changed file another cache key."""
    digest = hashlib.sha256()
    with open_regular(path) as file:
        size = file.seek(0, 2)
        file.seek(0)
        if size <= HASH_WHOLE_BYTES:
            while block := file.read(HASH_BLOCK_BYTES):
                digest.update(block)
            return digest.hexdigest()
        digest.update(str(size).encode())
        for i in range(HASH_BLOCKS):
            file.seek(i * (size - HASH_BLOCK_BYTES) // (HASH_BLOCKS - 1))
            digest.update(file.read(HASH_BLOCK_BYTES))
    return digest.hexdigest()


def folder_frames(path: Path) -> list[Path]:
    """The pictures of a folder in the order of their names; other files are left out.

    Raises:
        MediaError: the folder cannot be listed or holds no picture.
    """
    names = _facts(FolderFacts, _one(path, "folder"), path).names
    if any(name == ".." or Path(name).name != name for name in names):
        raise _nonsense(path)
    return [path / name for name in names]


def read_timeline(path: Path) -> Timeline:
    """The times of all frames of a clip; a still picture has one, at 0.

    Raises:
        MediaError: the clip cannot be read, or has no pictures.
    """
    return _timeline(path, _stamp(path))


@lru_cache(maxsize=TIMES_REMEMBERED)
def _timeline(path: Path, stamp: object) -> Timeline:
    packet = _one(path, "timeline")
    facts = _facts(TimelineFacts, packet, path)
    times_s = _array(packet, "float64", 1, path)
    sane = 1 <= len(times_s) <= MOST_FRAMES and np.isfinite(times_s).all()
    sane = sane and np.abs(times_s).max() <= MOST_TIME_S
    if not sane or (np.diff(times_s) < 0).any() or facts.end_s < times_s[-1]:
        raise _nonsense(path)
    if facts.fps is not None and facts.fps <= 0:
        raise _nonsense(path)
    return Timeline(times_s, facts.end_s, facts.fps, facts.notes)


def read_frames(path: Path, indices: Sequence[int]) -> Generator[Frame]:
    """The frames at ascending indices of the clip's timeline, one at a time.

    Only one frame is held, so a long clip takes no more memory than a short one.

    Raises:
        MediaError: the clip cannot be read, has no pictures, or none of them decodes.
    """
    wanted = [int(index) for index in indices]
    count = 0
    for packet in media_process.call(path, "frames", indices=wanted):
        facts = _facts(FrameFacts, packet, path)
        rgb = _array(packet, "uint8", 3, path)
        count += 1
        if rgb.shape[2] != 3 or not rgb.size or count > len(wanted):
            raise _nonsense(path)
        yield Frame(facts.time_s, rgb, facts.exact)
    if count != len(wanted):
        raise _nonsense(path)


def sound_info(path: Path) -> SoundInfo | None:
    """Where a clip's sound lies, or None when it has no sound.

    Raises:
        MediaError: the clip cannot be read.
    """
    return _sound_info(path, _stamp(path))


@lru_cache(maxsize=REMEMBERED)
def _sound_info(path: Path, stamp: object) -> SoundInfo | None:
    info = _facts(SoundTrackFacts, _one(path, "sound_info"), path).info
    if info is not None and not (0 < info.sample_rate <= MOST_RATE and info.start_s <= info.end_s):
        raise _nonsense(path)
    return info


def read_sound(
    path: Path,
    spans_s: Sequence[tuple[float, float]],
    *,
    rate: int | None,
    first_channel: bool = False,
) -> list[Sound]:
    """Spans of a clip's sound, ascending by start; see `engines.sound_reader.read_spans`.

    Raises:
        MediaError: the clip cannot be read.
    """
    spans = [[float(start), float(end)] for start, end in spans_s]
    asked = media_process.call(path, "sound", spans=spans, rate=rate, first_channel=first_channel)
    sounds: list[Sound] = []
    for packet in asked:
        facts = _facts(SoundFacts, packet, path)
        samples = _array(packet, "float32", 1, path)
        expected = 0 < facts.sample_rate <= MOST_RATE if rate is None else facts.sample_rate == rate
        if len(sounds) == len(spans) or not expected:
            raise _nonsense(path)
        start_s, end_s = spans[len(sounds)]
        if len(samples) != round((end_s - start_s) * facts.sample_rate):
            raise _nonsense(path)
        if not (np.abs(samples) <= LOUDEST).all():  # nor is anything that is no number
            raise _nonsense(path)
        sounds.append(Sound(samples, facts.sample_rate, facts.start_s, facts.end_s))
    if sounds and len(sounds) != len(spans):
        raise _nonsense(path)
    return sounds


def play(path: Path, options: PlayOptions) -> Generator[Played]:
    """Pictures and sound of a film from a time to its end, in the order in which they come.

    Nothing is held back: who takes the next part waits until it is decoded.

    Raises:
        MediaError: the clip cannot be read, or no picture of it decodes.
    """
    before_s, sound_until_s = -MOST_TIME_S, max(options.start_s, 0.0)
    for packet in media_process.call(path, "play", options=to_json(options)):
        facts = _facts(PlayedFacts, packet, path)
        is_picture = bool(packet.arrays) and packet.arrays[0].ndim == 3
        most = (max(options.width, options.height),) * 2
        if not is_picture:
            most = (round(options.sample_rate * LONGEST_PIECE_S), SOUND_CHANNELS)
        content = _array(packet, *(("uint8", 3) if is_picture else ("float32", 2)), path)
        fits = all(1 <= size <= limit for size, limit in zip(content.shape, most, strict=False))
        if content.shape[-1] != (3 if is_picture else SOUND_CHANNELS) or not fits:
            raise _nonsense(path)
        # Who plays it keeps what is yet to come: times that stand still would be kept without end.
        if facts.time_s < before_s or sound_until_s > facts.time_s + SOUND_AHEAD_S:
            raise _nonsense(path)
        before_s = facts.time_s
        if not is_picture:
            sound_until_s += len(content) * options.tempo / options.sample_rate
        yield Played(facts.time_s, content)


def _one(path: Path, question: str) -> Packet:
    packets: list[Packet] = []
    for packet in media_process.call(path, question):
        if packets:
            raise _nonsense(path)
        packets.append(packet)
    if not packets:
        raise _nonsense(path)
    return packets[0]


def _facts(kind: type[T], packet: Packet, path: Path) -> T:
    try:
        facts = from_json(kind, packet.head, "the answer")
    except Mismatch as error:
        raise _nonsense(path) from error
    if not _is_sane(facts):
        raise _nonsense(path)
    return facts


def _is_sane(value: object) -> bool:
    """Whether numbers are ones that a clip can have, and notes ones that a user can read."""
    if dataclasses.is_dataclass(value):
        found = [getattr(value, spec.name) for spec in dataclasses.fields(value)]
        notes = getattr(value, "notes", ())
        few = len(notes) <= MOST_NOTES and all(
            len(note) <= MOST_NOTED and note.isprintable() for note in notes
        )
        return few and all(_is_sane(one) for one in found)
    if isinstance(value, float):
        return math.isfinite(value) and abs(value) <= MOST_TIME_S
    return not isinstance(value, int) or abs(value) <= MOST_COUNTED


def _array(packet: Packet, dtype: str, axes: int, path: Path) -> NDArray[Any]:
    if [(a.dtype.name, a.ndim) for a in packet.arrays] != [(dtype, axes)]:
        raise _nonsense(path)
    return packet.arrays[0]


def _nonsense(path: Path) -> MediaError:
    """The decoder was talked into something: nothing it says is taken, and it is ended."""
    media_process.disbelieve(path)
    return MediaError(
        f"What was read from {shown(path)} makes no sense; the file is damaged or made to do harm:"
        " do not use it."
    )


def _stamp(path: Path) -> object:
    """What differs when a clip is another one: of a folder, also what it holds."""
    if not is_folder(path):
        return file_stamp(path)
    try:
        return tuple((entry.name, file_stamp(entry)) for entry in sorted(path.iterdir()))
    except OSError:
        return ()

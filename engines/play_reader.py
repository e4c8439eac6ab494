"""A film as it is played: pictures scaled for the screen and sound for the loudspeaker, in turn.

Everything comes in the order of its time, so that who plays it holds little of it.
"""

import math
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import av
import av.container
import av.error
import av.filter
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream
from numpy.typing import NDArray
from PIL import Image

from engines import media_decoder
from engines.container import open_container
from engines.media import SOUND_CHANNELS, Played, PlayOptions
from engines.packet_index import PacketIndex, PictureTrack, SoundTrack, read_index
from engines.sound_reader import frames_from, seek_sound
from engines.video_reader import decode_frames

# Sound is handed over in pieces of at least this length.
PIECE_S = 0.1
# Time stamps that are off by less are rounded ones, or the resampler's delay.
GAP_S = 0.02


def play(path: Path, options: PlayOptions) -> Iterator[Played]:
    """Pictures and sound from a time to the end, by their time.

    Raises:
        MediaError: the clip cannot be read.
    """
    if media_decoder.classify(path) != "container":
        yield from _stills(path, options)
        return
    index = read_index(path)
    sources = []
    if options.width and options.height and index.pictures is not None:
        sources.append(_pictures(path, index, index.pictures, options))
    if options.sample_rate and index.sound is not None:
        sources.append(_sound(path, index, index.sound, options))
    # Of both, whatever comes first.
    waiting = [(next(source, None), source) for source in sources]
    while ready := [(part, source) for part, source in waiting if part is not None]:
        part, source = min(ready, key=lambda pair: pair[0].time_s)
        yield part
        waiting = [(next(s, None) if s is source else p, s) for p, s in waiting]


def _pictures(
    path: Path, index: PacketIndex, track: PictureTrack, options: PlayOptions
) -> Iterator[Played]:
    base, origin_s = float(track.time_base), index.origin_s
    times_s = track.shown_ts * base - origin_s
    first = max(int(np.searchsorted(times_s, options.start_s + 1e-6, side="right")) - 1, 0)
    wanted = [int(ts) for ts in track.shown_ts[first:]]
    box = (options.width, options.height)
    frames = decode_frames(path, track, wanted, box)
    for ts, frame in zip(wanted, frames, strict=True):
        yield Played(ts * base - origin_s, frame.rgb)


def _stills(path: Path, options: PlayOptions) -> Iterator[Played]:
    """Of a picture, an animated one or a folder of them."""
    times_s = media_decoder.read_timeline(path).times_s
    first = max(int(np.searchsorted(times_s, options.start_s + 1e-6, side="right")) - 1, 0)
    most = 1.0 if len(times_s) == 1 else math.inf
    for frame in media_decoder.read_frames(path, range(first, len(times_s))):
        height, width = frame.rgb.shape[:2]
        scale = min(options.width / width, options.height / height, most)
        size = max(round(width * scale), 1), max(round(height * scale), 1)
        picture = Image.fromarray(frame.rgb)
        small = picture.resize(size, Image.Resampling.BICUBIC, reducing_gap=2.0)
        yield Played(frame.time_s, np.asarray(small, np.uint8))


def _sound(
    path: Path, index: PacketIndex, track: SoundTrack, options: PlayOptions
) -> Iterator[Played]:
    start_s = max(options.start_s, 0.0)
    with ExitStack() as stack:
        container = stack.enter_context(open_container(path))
        stream = next(s for s in container.streams.audio if s.index == track.stream)
        seek_sound(container, index, stream, track, start_s)
        time_s, pieces, count = start_s, [], 0
        sound = _resampled(container, stream, track, start_s, options)
        for piece in _stretched(sound, options) if options.tempo != 1.0 else sound:
            pieces.append(piece)
            count += len(piece)
            if count >= PIECE_S * options.sample_rate:
                yield Played(time_s, np.concatenate(pieces))
                time_s += count * options.tempo / options.sample_rate
                pieces, count = [], 0
        if pieces:
            yield Played(time_s, np.concatenate(pieces))


def _resampled(
    container: av.container.InputContainer,
    stream: AudioStream,
    track: SoundTrack,
    start_s: float,
    options: PlayOptions,
) -> Iterator[NDArray[np.float32]]:
    """Sound from exactly `start_s` on, float32 (n, 2), without gaps."""
    convert = AudioResampler(format="flt", layout="stereo", rate=options.sample_rate)
    rate, next_s, slack_s = options.sample_rate, start_s, 0.0
    for at, frame in frames_from(container, stream, track, start_s - PIECE_S):
        begin_s = at / track.sample_rate
        if begin_s >= track.end_s:
            break
        # Where nothing was recorded, or the recording jumps, silence keeps it with the pictures.
        while begin_s - next_s > slack_s:
            count = max(round(min(begin_s - next_s, 1.0) * rate), 1)
            yield np.zeros((count, SOUND_CHANNELS), np.float32)
            next_s += count / rate
        cut = round((next_s - begin_s) * rate) if next_s - begin_s > slack_s else 0
        slack_s = GAP_S
        frame.pts = None  # counted from here on
        for one in _converted(convert, frame):
            samples = _samples(one)[cut:]
            cut = max(cut - one.samples, 0)
            next_s += len(samples) / rate
            if len(samples):
                yield samples


def _converted(convert: AudioResampler, frame: AudioFrame) -> list[AudioFrame]:
    """Nothing where the track changes its form in the middle: that part stays silent."""
    try:
        return list(convert.resample(frame))
    except MemoryError:
        raise  # libav's own is one of its errors, too
    except (av.error.FFmpegError, ValueError):
        return []


def _stretched(
    sound: Iterator[NDArray[np.float32]], options: PlayOptions
) -> Iterator[NDArray[np.float32]]:
    """Sound made shorter or longer at the same pitch."""
    graph = av.filter.Graph()
    source = graph.add_abuffer(
        format="flt", sample_rate=options.sample_rate, layout="stereo", channels=SOUND_CHANNELS
    )
    tempo, sink = graph.add("atempo", str(options.tempo)), graph.add("abuffersink")
    source.link_to(tempo)
    tempo.link_to(sink)
    graph.configure()
    count = 0
    for samples in sound:
        flat = np.ascontiguousarray(samples).reshape(1, -1)
        frame = AudioFrame.from_ndarray(flat, format="flt", layout="stereo")
        frame.sample_rate, frame.pts = options.sample_rate, count
        count += len(samples)
        graph.push(frame)
        yield from _pulled(graph)
    graph.push(None)
    yield from _pulled(graph)


def _pulled(graph: av.filter.Graph) -> Iterator[NDArray[np.float32]]:
    while True:
        try:
            frame = graph.pull()
        except (av.error.BlockingIOError, av.error.EOFError):
            return
        if isinstance(frame, AudioFrame):
            yield _samples(frame)


def _samples(frame: AudioFrame) -> NDArray[np.float32]:
    return np.asarray(frame.to_ndarray(), np.float32).reshape(-1, SOUND_CHANNELS)

"""A film as it is played: pictures scaled for the screen and sound for the loudspeaker, in turn.

Everything comes in the order of its time, so that who plays it holds little of it.
"""

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

from engines.container import open_container
from engines.media import SOUND_CHANNELS, Played, PlayOptions
from engines.packet_index import PacketIndex, PictureTrack, SoundTrack, read_index
from engines.sound_reader import frames_from, seek_sound
from engines.video_reader import decode_frames

# Sound is handed over in pieces of at least this length.
PIECE_S = 0.1
# Where nothing was recorded, or the recording jumps, silence keeps picture and sound together.
LONGEST_SILENCE_S = 10.0


def play(path: Path, options: PlayOptions) -> Iterator[Played]:
    """Pictures and sound from a time to the end, by their time.

    Raises:
        MediaError: the clip cannot be read.
    """
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


def _sound(
    path: Path, index: PacketIndex, track: SoundTrack, options: PlayOptions
) -> Iterator[Played]:
    start_s = max(options.start_s, 0.0)
    with ExitStack() as stack:
        container = stack.enter_context(open_container(path))
        stream = next(s for s in container.streams.audio if s.index == track.stream)
        seek_sound(container, index, stream, track, start_s)
        time_s, pieces, count = start_s, [], 0
        for piece in _resampled(container, stream, track, start_s, options):
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
    stretch = _Stretch(options) if options.tempo != 1.0 else None
    next_s = start_s
    end_s = max(track.end_s, start_s)
    for at, frame in frames_from(container, stream, track, start_s - PIECE_S):
        begin_s = at / track.sample_rate
        if begin_s >= end_s:
            break
        gap_s = min(begin_s - next_s, LONGEST_SILENCE_S)
        frame.pts = None  # counted from here on
        for one in convert.resample(frame):
            samples = _samples(one)
            if gap_s > 0:
                silence = np.zeros((round(gap_s * options.sample_rate), SOUND_CHANNELS), np.float32)
                samples, gap_s = np.concatenate([silence, samples]), 0.0
            elif gap_s < 0:
                cut = round(-gap_s * options.sample_rate)
                gap_s = min(gap_s + len(samples) / options.sample_rate, 0.0)
                samples = samples[cut:]
            if len(samples):
                next_s += len(samples) / options.sample_rate
                yield from stretch.push(samples) if stretch else [samples]
    if stretch:
        yield from stretch.flush()


class _Stretch:
    """Makes sound shorter or longer at the same pitch."""

    def __init__(self, options: PlayOptions) -> None:
        self.rate = options.sample_rate
        self.graph = av.filter.Graph()
        source = self.graph.add_abuffer(
            format="flt", sample_rate=self.rate, layout="stereo", channels=SOUND_CHANNELS
        )
        tempo = self.graph.add("atempo", str(options.tempo))
        sink = self.graph.add("abuffersink")
        source.link_to(tempo)
        tempo.link_to(sink)
        self.graph.configure()
        self.count = 0

    def push(self, samples: NDArray[np.float32]) -> Iterator[NDArray[np.float32]]:
        frame = AudioFrame.from_ndarray(
            np.ascontiguousarray(samples).reshape(1, -1), format="flt", layout="stereo"
        )
        frame.sample_rate, frame.pts = self.rate, self.count
        self.count += len(samples)
        self.graph.push(frame)
        yield from self._pulled()

    def flush(self) -> Iterator[NDArray[np.float32]]:
        self.graph.push(None)
        yield from self._pulled()

    def _pulled(self) -> Iterator[NDArray[np.float32]]:
        while True:
            try:
                frame = self.graph.pull()
            except (av.error.BlockingIOError, av.error.EOFError):
                return
            if isinstance(frame, AudioFrame):
                yield _samples(frame)


def _samples(frame: AudioFrame) -> NDArray[np.float32]:
    return np.asarray(frame.to_ndarray(), np.float32).reshape(-1, SOUND_CHANNELS)

"""Spans of a sound track, decoding only what is needed.

An encoder puts samples in front that are no sound (its delay). How they are taken away, once:

* What the container declares, libavcodec has removed from the frames: the edit list of mp4 and
  m4a (ffmpeg's and PyAV's, when the writer gave time stamps), CodecDelay of Matroska and WebM,
  the pre-skip of Ogg Opus, the LAME header of mp3. It shows as "skip_samples" on the first packet,
  or as packets before time 0. Nothing more is cut.
* Where time stamps put the delay before the first picture (MPEG-TS, fragmented mp4), placing the
  sound by its time stamps cuts it.
* AAC that declares nothing (bare ADTS, mp4 or Matroska whose first packet is stamped with the time
  of the first picture) still opens with its priming frame: 1024 samples are taken for delay.
* Other codecs that declare nothing (mp3 in AVI) start where their first packet says.

Samples are placed by the time stamp where decoding starts, then counted; a time stamp that is off
by more than `JUMP_S` is a gap or an overlap in the recording, and is followed.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import ceil, floor, gcd
from pathlib import Path
from typing import Any, Literal

import av
import av.container
import av.error
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream
from numpy.typing import NDArray

from engines.container import demux, open_container
from engines.media import LOUDEST, Sound
from engines.packet_index import PacketIndex, SoundTrack

JUMP_S = 0.03
# Decoded and thrown away in front of a span: mp3's bit reservoir and Opus need the most.
PREROLL_S = 0.5
# A span nearer than this is reached by going on.
SEEK_DISTANCE_S = 10.0
# Formats whose time stamps stay exact after a seek; others are read through, undecoded.
SEEKABLE = {"mov", "matroska", "mpegts", "avi", "asf", "flv", "nut"}
# PyAV counts the planes of a frame up to an empty pointer, which from eight planes on is not there:
# it would take whatever lies behind them for planes.
MOST_PLANES = 7
_PACKED = {"u8": "u1", "s16": "i2", "s32": "i4", "flt": "f4", "dbl": "f8"}
# Context for the resampler's filter at both ends of a span, in source samples.
FILTER_MARGIN = 1024


@dataclass
class _Buffer:
    """Native samples (channels, n) of a stretch of the track that starts at sample `first`.

    With `mix` other than "all" they are float32 (1, n): the first channel, or the mean of all.
    """

    first: int
    length: int
    mix: Literal["all", "first", "mean"]
    samples: NDArray[Any] | None = None
    layout: str = "mono"
    filled_from: int | None = None
    filled_to: int = 0

    def put(self, position: int, frame: AudioFrame) -> None:
        block = _planar(frame)
        if self.mix != "all":
            block = _to_float(block[:1] if self.mix == "first" else block)
            block = block.mean(axis=0, keepdims=True)
        if self.samples is None:
            silence = 128 if block.dtype == np.uint8 else 0
            self.samples = np.full((len(block), self.length), silence, block.dtype)
            self.layout = frame.layout.name
        if block.dtype != self.samples.dtype or len(block) != len(self.samples):
            return  # the track changes its form in the middle: that part stays silent
        lo = max(position - self.first, 0)
        hi = min(position - self.first + block.shape[1], self.length)
        if lo >= hi:
            return
        offset = position - self.first
        self.samples[:, lo:hi] = block[:, lo - offset : hi - offset]
        self.filled_from = lo if self.filled_from is None else min(lo, self.filled_from)
        self.filled_to = max(hi, self.filled_to)


def read_spans(
    path: Path,
    index: PacketIndex,
    spans_s: Sequence[tuple[float, float]],
    *,
    rate: int | None,
    first_channel: bool = False,
) -> list[Sound]:
    """Decode spans of a file's sound.

    Args:
        path: the file.
        index: its packet index; without a sound track there are no spans.
        spans_s: (start, end) in clip time, s, ascending by start.
        rate: resample as `ffmpeg -ac 1 -ar rate -f s16le` does (rounded to 16 bit on the way);
            None keeps the track's own rate.
        first_channel: at the track's own rate, take channel 0 instead of the mean.
    """
    track = index.sound
    if track is None:
        return []
    # Starting on a common multiple keeps the resampler in phase with a run from the beginning.
    block = 1 if rate is None else track.sample_rate // gcd(track.sample_rate, rate)
    margin = 0 if rate is None else FILTER_MARGIN
    mix: Literal["all", "first", "mean"] = "all"
    if rate is None:
        mix = "first" if first_channel else "mean"
    buffers = []
    for start_s, end_s in spans_s:
        first = max(floor((round(start_s * track.sample_rate) - margin) / block) * block, 0)
        last = ceil(end_s * track.sample_rate) + margin
        buffers.append(_Buffer(first, max(last - first, 1), mix))
    _fill(path, index, track, buffers)
    return [_cut(buffer, track, span, rate) for buffer, span in zip(buffers, spans_s, strict=True)]


def _cut(
    buffer: _Buffer, track: SoundTrack, span_s: tuple[float, float], rate: int | None
) -> Sound:
    """Turn a buffer into the float samples of its span."""
    out_rate = rate or track.sample_rate
    length = round((span_s[1] - span_s[0]) * out_rate)
    samples = np.zeros(length, np.float32)
    if buffer.samples is None or buffer.filled_from is None:
        return Sound(samples, out_rate, span_s[0], span_s[0])
    mixed = buffer.samples[0]
    if rate is not None:
        mixed = resample_s16(buffer.samples, buffer.layout, track.sample_rate, rate)
    offset = round(span_s[0] * out_rate) - buffer.first * out_rate // track.sample_rate
    part = mixed[offset : offset + length]
    samples[: len(part)] = part
    start_s = (buffer.first + buffer.filled_from) / track.sample_rate
    end_s = (buffer.first + buffer.filled_to) / track.sample_rate
    start_s = min(max(start_s, span_s[0]), span_s[1])
    return Sound(samples, out_rate, start_s, max(start_s, min(end_s, span_s[1])))


def _fill(path: Path, index: PacketIndex, track: SoundTrack, buffers: list[_Buffer]) -> None:
    """Decode the stretches of all buffers, in order, into them."""
    rate = track.sample_rate
    with open_container(path) as container:
        stream = next(s for s in container.streams.audio if s.index == track.stream)
        position = 0
        done = 0
        while done < len(buffers):
            first = buffers[done].first
            # Buffers that overlap or nearly touch are filled together.
            group_end = first + buffers[done].length
            group = done + 1
            while group < len(buffers) and buffers[group].first <= group_end + PREROLL_S * rate:
                group_end = max(group_end, buffers[group].first + buffers[group].length)
                group += 1
            wanted_s = first / rate - PREROLL_S
            # Overlapping groups cannot occur, so the decoder never has to go back.
            if wanted_s > position / rate + SEEK_DISTANCE_S:
                seek_sound(container, index, stream, track, wanted_s)
            for at, frame in frames_from(container, stream, track, wanted_s):
                position = at + frame.samples
                for buffer in buffers[done:group]:
                    buffer.put(at, frame)
                if position >= group_end:
                    break
            done = group


def seek_sound(
    container: av.container.InputContainer,
    index: PacketIndex,
    stream: AudioStream,
    track: SoundTrack,
    at_s: float,
) -> None:
    """Go to before a time of the clip, in s, where the format's time stamps can be trusted."""
    if not index.formats & SEEKABLE or at_s <= 0:
        return
    try:
        container.seek(int((at_s + track.zero_s) / track.time_base), stream=stream)
    except (av.error.FFmpegError, OSError):
        return  # it stays where it is, and the packets in between are read through


def frames_from(
    container: av.container.InputContainer,
    stream: AudioStream,
    track: SoundTrack,
    from_s: float,
) -> Iterator[tuple[int, AudioFrame]]:
    """Frames from a time on, with the position (in samples, clip time) of their first sample."""
    position: int | None = None
    for frame in _decode(container, stream, track, from_s):
        if frame.sample_rate != track.sample_rate:
            continue  # the track changes its form in the middle: that part stays silent
        if frame.pts is not None and frame.time_base is not None:
            stamp = round((float(frame.pts * frame.time_base) - track.zero_s) * track.sample_rate)
            if position is None or abs(stamp - position) > JUMP_S * track.sample_rate:
                position = stamp
        if position is None:
            position = round(from_s * track.sample_rate)
        yield position, frame
        position += frame.samples


def _decode(
    container: av.container.InputContainer,
    stream: AudioStream,
    track: SoundTrack,
    from_s: float,
) -> Iterator[AudioFrame]:
    """Decode packets from `from_s` on; those before are dropped, those that fail passed over.

    Raises:
        MemoryError: nothing could be decoded, for want of memory.
    """
    from_ts = (from_s + track.zero_s) / float(track.time_base)
    short: MemoryError | None = None
    heard = False
    try:
        for packet in demux(container, stream):
            if packet.size and packet.pts is not None and packet.pts < from_ts:
                continue
            try:
                frames = stream.decode(packet)
            except MemoryError as error:
                short = error  # a damaged packet may ask for any amount
                continue
            except av.error.FFmpegError:
                continue
            yield from frames
            heard = heard or bool(frames)
    except MemoryError:
        raise  # libav's own is one of its errors, too
    except (av.error.FFmpegError, OSError):
        pass  # the file ends in the middle
    if short is not None and not heard:
        raise short


def _planar(frame: AudioFrame) -> NDArray[Any]:
    """(channels, n) in the frame's own sample type; n is 0 for many channels without names."""
    channels = frame.layout.nb_channels
    if not frame.format.is_planar:
        return frame.to_ndarray().reshape(-1, channels).T
    if channels <= MOST_PLANES:
        return frame.to_ndarray()
    convert = AudioResampler(frame.format.packed, frame.layout, frame.sample_rate)
    try:
        blocks = [f.to_ndarray() for f in (*convert.resample(frame), *convert.resample(None))]
    except MemoryError:
        raise
    except av.error.FFmpegError:
        blocks = []
    empty = np.zeros((1, 0), _PACKED[frame.format.packed.name])
    return np.concatenate([empty, *blocks], axis=1).reshape(-1, channels).T


def _to_float(samples: NDArray[Any]) -> NDArray[np.float32]:
    if samples.dtype == np.uint8:
        return (samples.astype(np.float32) - 128.0) / 128.0
    if samples.dtype.kind == "i":
        return (samples / float(1 << (8 * samples.dtype.itemsize - 1))).astype(np.float32)
    # A file of floats may hold anything: what is no number is silence.
    numbers = np.nan_to_num(samples, posinf=0.0, neginf=0.0)
    return np.asarray(np.clip(numbers, -LOUDEST, LOUDEST), np.float32)


def resample_s16(
    samples: NDArray[Any], layout: str, source_rate: int, rate: int
) -> NDArray[np.float32]:
    """Mix down and resample as the ffmpeg program does for 16-bit output; float32 (n,)."""
    formats = {dtype: name for name, dtype in _PACKED.items()}
    frame = AudioFrame.from_ndarray(
        np.ascontiguousarray(samples.T).reshape(1, -1),
        format=formats[samples.dtype.str[1:]],
        layout=layout,
    )
    frame.sample_rate = source_rate
    resampler = AudioResampler(format="s16", layout="mono", rate=rate)
    blocks = [
        f.to_ndarray().reshape(-1) for f in (*resampler.resample(frame), *resampler.resample(None))
    ]
    nothing = np.zeros(0, np.int16)  # of a stretch shorter than its filter, nothing comes out
    return np.concatenate([nothing, *blocks]).astype(np.float32) / np.float32(32768.0)

"""Small clips made on the spot, so that every odd file a test needs is described by code."""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.audio.codeccontext import AudioCodecContext
from av.packet import Packet

MEDIA = Path(__file__).parent / "data" / "media"
WIDTH, HEIGHT = 64, 48
CLICK_SAMPLES = 8
# Good enough for a picture to tell its number.
CLEAN = {"crf": "10"}


def picture(number: int) -> np.ndarray:
    """A smooth picture whose green tells its number; uint8 (48, 64, 3)."""
    rgb = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    rgb[:, :, 0] = np.arange(WIDTH) * 2
    rgb[:, :, 1] = number * 2 % 256
    return rgb


def click_track(rate: int, seconds: float, clicks_s: Sequence[float]) -> np.ndarray:
    samples = np.zeros(round(seconds * rate), np.float32)
    for time_s in clicks_s:
        start = round(time_s * rate)
        samples[start : start + CLICK_SAMPLES] = 0.9
    return samples


@dataclass
class Tone:
    """A sound track: mono samples in [-1, 1]; `stamped` gives it time stamps, from 0 on."""

    samples: np.ndarray
    rate: int = 44100
    codec: str = "aac"
    stamped: bool = True


def write_clip(
    path: Path,
    *,
    frames: int = 50,
    codec: str = "libx264",
    codec_options: dict[str, str] | None = None,
    times_ms: Sequence[int] | None = None,
    tone: Tone | None = None,
    container_options: dict[str, str] | None = None,
) -> Path:
    """Write frames `picture(0..)`, 25 a second or at `times_ms`, and sound."""
    with av.open(path, "w", options=container_options or {}) as out:
        video = audio = None
        if frames:
            video = out.add_stream(codec, rate=25, options=codec_options or CLEAN)
            video.width, video.height, video.pix_fmt = WIDTH, HEIGHT, "yuv420p"
            if times_ms is not None:
                video.time_base = video.codec_context.time_base = Fraction(1, 1000)
        if tone is not None:
            audio = out.add_stream(tone.codec, rate=tone.rate)
            audio.layout = "mono"
        for number in range(frames):
            frame = av.VideoFrame.from_ndarray(picture(number))
            if times_ms is not None:
                frame.pts, frame.time_base = times_ms[number], Fraction(1, 1000)
            out.mux(video.encode(frame))
        if video is not None:
            out.mux(video.encode())
        if audio is not None:
            for frame in _audio_frames(tone, audio.codec_context):
                out.mux(audio.encode(frame))
            out.mux(audio.encode())
    return path


def _audio_frames(tone: Tone, context: AudioCodecContext) -> list[av.AudioFrame]:
    whole = av.AudioFrame.from_ndarray(tone.samples[None], format="fltp", layout="mono")
    whole.sample_rate = tone.rate
    if tone.stamped:
        whole.pts, whole.time_base = 0, Fraction(1, tone.rate)
    cutter = av.AudioResampler(
        format=context.format.name,
        layout="mono",
        rate=tone.rate,
        frame_size=context.frame_size or 1024,
    )
    return [*cutter.resample(whole), *cutter.resample(None)]


def write_long_film(path: Path, seconds: int, gop: int = 50, fps: int = 5) -> Path:
    """A film of many copies of one group of pictures: quick to write, long to decode."""
    with av.open(path, "w") as out:
        video = out.add_stream("mpeg4", rate=fps)
        video.width = video.height = 32
        video.pix_fmt = "yuv420p"
        video.gop_size = gop
        first = []
        for number in range(gop):
            frame = av.VideoFrame.from_ndarray(np.full((32, 32, 3), number * 5, np.uint8))
            first += video.encode(frame)
        first += video.encode()
        group = [(bytes(p), p.is_keyframe) for p in first]
        for index in range(seconds * fps):
            data, key = group[index % gop]
            packet = Packet(data)
            packet.stream, packet.time_base = video, Fraction(1, fps)
            packet.pts = packet.dts = index
            packet.duration, packet.is_keyframe = 1, key
            out.mux(packet)
    return path


def patch(path: Path, box: bytes, offset: int, fields: str, *values: int) -> None:
    """Overwrite big-endian fields in the first box of an mp4, `offset` bytes after its name."""
    data = bytearray(path.read_bytes())
    struct.pack_into(">" + fields, data, data.index(box) + 4 + offset, *values)
    path.write_bytes(bytes(data))


def hollow(path: Path, size: int = 500) -> Path:
    """Zero some bytes in the middle of an mp4's media data."""
    data = bytearray(path.read_bytes())
    middle = (data.index(b"mdat") + data.index(b"moov")) // 2
    data[middle - size // 2 : middle + size // 2] = bytes(size)
    path.write_bytes(bytes(data))
    return path

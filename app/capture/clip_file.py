"""A stretch of the recording as a file: mp4 with sound, to be kept, shown and asked about."""

import sys
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from app.capture.rings import KeptFrame
from engines.errors import CaptureError
from engines.media_file import shown

if TYPE_CHECKING:
    from av.container import OutputContainer
    from av.packet import Packet
    from av.video.stream import VideoStream

    Packets = Iterator[list[Packet[Any]]]

    from app.capture.recorder import Recorder, Span

# The first one that the installed FFmpeg has, and what it is told.
PICTURE_CODECS: dict[str, dict[str, str]] = {
    "libx264": {},
    "libopenh264": {},
    "libvpx-vp9": {"deadline": "realtime", "cpu-used": "8", "crf": "30", "b": "0"},
}
# The frozen program comes without it (app/freezing/encoders.py).
NOT_FROZEN = "libx264"
TIME_BASE = Fraction(1, 90000)
SOUND_FRAME = 1024


def write_clip(path: Path, recorder: "Recorder", span: "Span") -> None:
    """Write a stretch of what is recorded as mp4; whole or not at all.

    Takes a second or two for a minute: not for a thread that draws.

    Args:
        path: the file, which is replaced.
        recorder: holds the recording.
        span: the stretch.

    Raises:
        CaptureError: there is nothing in the stretch any more, or the file cannot be written.
    """
    frames = recorder.frames(span)
    heard = recorder.sound.read(span.start_s, span.end_s)
    if not frames and heard.recorded_s is None:
        raise CaptureError("Nothing of this stretch is kept any more; choose a later one.")
    begun = path.with_name(f".{path.name}.part")
    try:
        _write(
            begun, frames, heard.samples if heard.recorded_s else None, recorder.sound.rate, span
        )
        begun.replace(path)
    except (OSError, ValueError) as error:  # also what FFmpeg refuses
        reason = getattr(error, "strerror", None) or error
        raise CaptureError(
            f"The clip {shown(path)} cannot be written ({reason}); choose another folder or free"
            " some space."
        ) from error
    finally:
        begun.unlink(missing_ok=True)


def _write(
    path: Path,
    frames: list[KeptFrame],
    sound: NDArray[np.float32] | None,
    rate: int,
    span: "Span",
) -> None:
    import av

    with av.open(str(path), "w", format="mp4") as out:
        pictures = _pictures(out, frames, span)
        waves = _waves(out, sound, rate)
        # Both streams are declared before the first packet of either.
        first = next(pictures, None), next(waves, None)
        for packets in (*first, *pictures, *waves):
            if packets:
                out.mux(packets)


def _pictures(
    out: "OutputContainer", frames: list[KeptFrame], span: "Span"
) -> "Iterator[list[Packet[Any]]]":
    import av

    from app.capture.camera import open_cv

    if not frames:
        return
    cv = open_cv()
    stream: VideoStream | None = None
    last = -1
    for frame in frames:
        bgr = cv.imdecode(frame.jpeg, cv.IMREAD_COLOR)
        if stream is None:
            height, width = (side // 2 * 2 for side in bgr.shape[:2])
            codec = _codec()
            options = PICTURE_CODECS[codec]
            stream = cast("VideoStream", out.add_stream(codec, rate=30, options=options))
            stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
            stream.time_base = stream.codec_context.time_base = TIME_BASE
            yield []
        if bgr.shape[:2] != (height, width):
            bgr = cv.resize(bgr, (width, height))
        picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(bgr), format="bgr24")
        last = max(round((frame.time_s - span.start_s) / TIME_BASE), last + 1, 0)
        picture.pts, picture.time_base = last, TIME_BASE
        yield stream.encode(picture)
    if stream is not None:
        yield stream.encode()


def _codec() -> str:
    from av.codec import Codec

    for name in PICTURE_CODECS:
        if name == NOT_FROZEN and getattr(sys, "frozen", False):
            continue
        try:
            Codec(name, "w")
        except ValueError:
            continue
        return name
    raise CaptureError("The installed FFmpeg can write no video; install vl2 again.")


def _waves(
    out: "OutputContainer", sound: NDArray[np.float32] | None, rate: int
) -> "Iterator[list[Packet[Any]]]":
    import av

    if sound is None:
        return
    stream = out.add_stream("aac", rate=rate)
    stream.layout = "mono"
    yield []
    for at in range(0, len(sound), SOUND_FRAME):
        block = np.ascontiguousarray(sound[at : at + SOUND_FRAME])
        frame = av.AudioFrame.from_ndarray(block[None], format="fltp", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = rate, at, Fraction(1, rate)
        yield stream.encode(frame)
    yield stream.encode()

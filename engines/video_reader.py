"""Frames of a video at exact time stamps, decoding as little as possible and keeping none.

For each wanted frame: go on from where the decoder stands, or jump to the last keyframe before the
frame, whichever is nearer. The keyframe is looked up in the packet index and packets before it are
dropped undecoded, so a container that seeks badly costs time, never a wrong frame. Keyframes are
chosen by presentation time: the leading pictures of an open GOP come from the GOP before.
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import av.container
import av.error
import numpy as np
from av.packet import Packet
from av.sidedata.sidedata import SideData
from av.stream import Stream
from av.video.frame import VideoFrame
from av.video.reformatter import Colorspace
from av.video.stream import VideoStream
from numpy.typing import NDArray

from engines.container import demux, open_container
from engines.errors import MediaError
from engines.media_file import shown
from engines.packet_index import PictureTrack

# Largest picture decoded, in pixels (Pillow's own limit): above 8K video, below a bomb.
MAX_PIXELS = 89_478_485
# Every thread of a decoder holds pictures of its own: for all of them together, so many bytes at
# three a pixel (ten bits). H.264 in 8K with one reference took 2.7 GB with sixteen threads, 1.9 GB
# with ten; films have up to sixteen references, and the child has 4 GB.
THREADS_BYTES, PIXEL_BYTES = 1 << 30, 3
LIBRARY_THREADS = 16
# After a keyframe that does not lead to the frame, earlier ones are tried: so many steps back.
KEYFRAME_RETRIES = (0, 1, 2, 4)
_UNTOLD = (0, 2)  # AVCOL_SPC_RGB, AVCOL_SPC_UNSPECIFIED
_HD_HEIGHT = 720


@dataclass(frozen=True)
class DecodedFrame:
    """A frame as it is shown: `rgb` uint8 (h, w, 3), rotated; `ts` in the track's time base.

    `rotation` is the degrees clockwise it was turned by; `damaged` tells that the decoder had to
    guess parts of it.
    """

    ts: int
    rgb: NDArray[np.uint8]
    rotation: int
    damaged: bool


def decode_frames(
    path: Path,
    track: PictureTrack,
    wanted_ts: Sequence[int],
    box: tuple[int, int] | None = None,
) -> Iterator[DecodedFrame]:
    """Yield the frame on the screen at each of the ascending time stamps, one for one.

    With a `box` (width, height), frames come out scaled to fit it, for a screen.

    Where a frame cannot be decoded, the nearest one that can stands for it: compare `ts`.

    Raises:
        MediaError: the file cannot be read, nothing decodes, or the picture is too large.
        MemoryError: nothing decodes, for want of memory.
    """
    with open_container(path) as container:
        stream = next(s for s in container.streams.video if s.index == track.stream)
        _refuse_huge(stream.width, stream.height, path)
        stream.thread_type = "AUTO"
        stream.codec_context.thread_count = thread_count(stream.width, stream.height)
        cursor = _Cursor(container, stream, track)
        matrix: NDArray[np.int32] | None = None
        try:
            for ts in wanted_ts:
                found = cursor.frame_at(ts)
                if found is None:
                    if cursor.short is not None:
                        raise cursor.short
                    raise MediaError(
                        f"No picture of {shown(path)} can be decoded; the file is damaged, or "
                        "needs a decoder that is not here: copy it again or convert it to mp4."
                    )
                frame = found.frame
                _refuse_huge(frame.width, frame.height, path)
                matrix = _display_matrix(frame) if matrix is None else matrix
                small = _fitted(frame, matrix, box) if box else frame
                rgb = turn(np.asarray(small.to_ndarray(format="rgb24"), np.uint8), matrix)
                yield DecodedFrame(found.ts, rgb, -frame.rotation % 360, frame.is_corrupt)
        finally:
            cursor.release()


def _fitted(frame: VideoFrame, matrix: NDArray[np.int32], box: tuple[int, int]) -> VideoFrame:
    """The frame in RGB, as large as it fits into a box once it is turned, in a screen's colours."""
    width, height = box if matrix[0, 0] else (box[1], box[0])
    scale = min(width / frame.width, height / frame.height)
    told = frame.colorspace not in _UNTOLD
    return frame.reformat(
        width=max(round(frame.width * scale), 1),
        height=max(round(frame.height * scale), 1),
        format="rgb24",
        src_colorspace=frame.colorspace if told else _television(frame.height),
        interpolation="AREA" if scale < 1 else "BICUBIC",
    )


def _television(height: int) -> Colorspace:
    """What players take an untold colour space for."""
    return Colorspace.ITU709 if height >= _HD_HEIGHT else Colorspace.ITU601


def thread_count(width: int, height: int) -> int:
    """Threads for decoding pictures of a size; 0 leaves it to the library (16 at most)."""
    affordable = THREADS_BYTES // max(width * height * PIXEL_BYTES, 1)
    return 0 if affordable >= LIBRARY_THREADS else max(min(affordable, os.cpu_count() or 1), 1)


def _refuse_huge(width: int, height: int, path: Path) -> None:
    if width * height > MAX_PIXELS:
        raise MediaError(
            f"The pictures of {shown(path)} are {width}x{height}, more than "
            f"{MAX_PIXELS // 10**6} megapixels; make a smaller copy."
        )


@dataclass(frozen=True)
class _Stamped:
    """A frame as the decoder gave it, and when it is shown."""

    ts: int
    frame: VideoFrame


class _Cursor:
    """A decoder standing at a frame of a video."""

    def __init__(
        self,
        container: av.container.InputContainer,
        stream: VideoStream,
        track: PictureTrack,
    ) -> None:
        self.container = container
        self.stream = stream
        self.track = track
        self.frames: Iterator[_Stamped] = iter(())
        self.shown: _Stamped | None = None  # on the screen
        self.ahead: _Stamped | None = None  # decoded, to be shown next
        self.short: MemoryError | None = None  # a packet that memory did not suffice for

    def frame_at(self, ts: int) -> _Stamped | None:
        """The frame on the screen at `ts`, else the nearest that decodes."""
        key = max(int(np.searchsorted(self.track.key_ts, ts, side="right")) - 1, 0)
        if self.shown is not None and self.track.key_ts[key] <= self.shown.ts:
            self._advance(ts)
            return self.shown
        before, after = self.shown, self.ahead
        for back in KEYFRAME_RETRIES:
            if back > key:
                break
            whole = self._restart(key - back)
            self._advance(ts)
            if self.shown is not None and not self.shown.frame.is_corrupt and (whole or back > 1):
                return self.shown
            after = self.ahead or after
        self.shown = self.shown or before or after
        return self.shown

    def release(self) -> None:
        """Let go of the decoded frames; generator and cursor hold each other otherwise."""
        self.frames, self.shown, self.ahead = iter(()), None, None

    def _restart(self, key: int) -> bool:
        """Stand before a keyframe; False when the decoder holds its picture back.

        It does so with periodic intra refresh, where a keyframe is only the start of a repair that
        takes until the next one: frames in between come out broken, and not marked as such.
        """
        self.shown = None
        self.frames = self._stamped_from(key)
        self.ahead = next(self.frames, None)
        return self.ahead is not None and self.ahead.ts <= int(self.track.key_ts[key])

    def _advance(self, ts: int) -> None:
        """Decode until the frame of `ts` stands in `shown`: the last one not later than it."""
        while self.shown is None or self.shown.ts < ts:
            if self.ahead is None:
                self.ahead = next(self.frames, None)
            if self.ahead is None or self.ahead.ts > ts:
                return
            self.shown, self.ahead = self.ahead, None

    def _stamped_from(self, key: int) -> Iterator[_Stamped]:
        """Frames from a keyframe on, in the order they are shown, with their time stamps."""
        shown_ts = self.track.shown_ts
        first = int(np.searchsorted(shown_ts, self.track.key_ts[key]))
        for number, frame in enumerate(self._decode_from(key), start=first):
            if self.track.counted:
                yield _Stamped(int(shown_ts[min(number, len(shown_ts) - 1)]), frame)
            elif frame.pts is not None:
                yield _Stamped(frame.pts, frame)

    def _decode_from(self, key: int) -> Iterator[VideoFrame]:
        """Decode from a keyframe to the end of the file; packets that fail are passed over."""
        try:
            for packet in self._packets_from(key):
                try:
                    frames = self.stream.decode(packet)
                except MemoryError as error:
                    self.short = error  # a damaged packet may ask for any amount
                    continue
                except av.error.FFmpegError:
                    continue
                yield from frames
        except MemoryError:
            raise  # libav's own is one of its errors, too
        except (av.error.FFmpegError, OSError):
            pass  # the file ends in the middle; the decoder still holds frames
        try:
            yield from self.stream.decode(None)
        except av.error.FFmpegError as error:
            self.short = error if isinstance(error, MemoryError) else self.short

    def _packets_from(self, key: int) -> "Iterator[Packet[Stream]]":
        """Packets in decoding order from a keyframe on, by a seek or, failing that, by reading."""
        key_ts = int(self.track.key_ts[key])
        targets = [min(key_ts, int(self.track.key_dts[key])), None]
        for target in targets:
            self._seek(target)
            found = False
            for packet in demux(self.container, self.stream):
                ts = packet.pts if packet.pts is not None else packet.dts
                if not found and target is not None and packet.is_keyframe and _after(ts, key_ts):
                    break  # the seek led past the keyframe
                found = found or ts == key_ts
                if found:
                    yield packet
            if found:
                return

    def _seek(self, target: int | None) -> None:
        """Seek to a time stamp, or (None) to the beginning; a container that cannot stays put."""
        offset = int(self.track.key_dts.min()) if target is None else target
        try:
            self.container.seek(offset, stream=self.stream, backward=True)
        except (av.error.FFmpegError, OSError):
            self.stream.codec_context.flush_buffers()


def _after(ts: int | None, key_ts: int) -> bool:
    return ts is not None and ts > key_ts


def _display_matrix(frame: VideoFrame) -> NDArray[np.int32]:
    """The 2x2 part of the display matrix, int32; it is the container's, one for all frames."""
    # Asking a frame for its side data keeps it in memory for good (PyAV 18), so a tiny copy is
    # asked instead.
    side_data = frame.reformat(width=16, height=16, format="gray").side_data.get("DISPLAYMATRIX")
    if not isinstance(side_data, SideData):
        return np.eye(2, dtype=np.int32)
    return np.frombuffer(bytes(side_data), np.int32)[[0, 1, 3, 4]].reshape(2, 2)


def turn(rgb: NDArray[np.uint8], matrix: NDArray[np.int32]) -> NDArray[np.uint8]:
    """Apply the 2x2 part of a display matrix: (x', y') = (x, y) @ matrix, y downwards.

    Only quarter turns and mirrors are applied; they are the only ones that cameras write.
    """
    (a, b), (c, d) = np.sign(matrix).tolist()
    if b == 0 and c == 0 and a and d:
        return np.ascontiguousarray(rgb[::d, ::a])
    if a == 0 and d == 0 and b and c:
        # x' = c y and y' = b x: transpose, then mirror the axes that run backwards.
        return np.ascontiguousarray(rgb.transpose(1, 0, 2)[::b, ::c])
    return rgb

"""What a container holds, packet by packet, without decoding: exact times and keyframes.

Headers lie about frame counts, rates and lengths; packets do not. One pass over the file gives
every time stamp of the picture and of the sound (a two-hour film has some 500,000, which takes
about a second). Times count from the clip's origin: the first picture shown, or the first sound
where that is earlier by more than `LEAD_TOLERANCE_S` (less is an encoder's delay).
"""

import statistics
import struct
from array import array
from dataclasses import dataclass, field
from fractions import Fraction
from functools import lru_cache
from itertools import pairwise
from pathlib import Path

import av
import av.container
import av.error
import numpy as np
from av.audio.stream import AudioStream
from av.packet import Packet
from av.stream import Disposition, Stream
from av.video.stream import VideoStream
from numpy.typing import NDArray

from engines.confine import memory_is_short
from engines.container import demux, open_container, refuse_codec
from engines.errors import MediaError
from engines.media import MOST_FRAMES, MOST_RATE
from engines.media_file import file_stamp, shown

LEAD_TOLERANCE_S = 0.25
# An AAC stream opens with one frame that overlaps nothing: no encoder can put less in front.
AAC_PRIMING_SAMPLES = 1024
MAX_CHANNELS = 64
MAX_DURATION_S = 48 * 3600
# Formats whose header tells the real length (others estimate it from the bit rate).
DECLARES_LENGTH = {"mov", "matroska", "wav", "flac", "asf"}
# Covers and thumbnails travel as video streams.
NOT_A_VIDEO = Disposition.attached_pic | Disposition.timed_thumbnails


@dataclass(frozen=True)
class PictureTrack:
    """The packets of the video stream.

    Attributes:
        shown_ts: time stamps of the frames shown, ascending, in `time_base` units.
        key_ts, key_dts: presentation and decoding time stamps of the keyframes, ascending by the
            first. A keyframe may be one that is decoded but not shown (an edit list cut it).
        end_ts: when the last frame ends.
        counted: packets carry no presentation times (libavformat makes some up for AVI, in
            decoding order): the n-th frame shown has the n-th time, whatever the decoder says.
    """

    stream: int
    time_base: Fraction
    shown_ts: NDArray[np.int64]
    key_ts: NDArray[np.int64]
    key_dts: NDArray[np.int64]
    end_ts: int
    counted: bool
    declared_fps: float | None


@dataclass(frozen=True)
class SoundTrack:
    """The packets of the sound stream.

    Attributes:
        sample_rate: Hz; channels: their number.
        zero_s: the stream time (s) that is the clip's time 0 for this stream.
        start_s, end_s: of the sound, in clip time.
        padded_end_s: end of what a decoder gives that ignores the declared length: the ffmpeg
            program, and so the reference, also hears the rest of the last AAC frame.
    """

    stream: int
    time_base: Fraction
    sample_rate: int
    channels: int
    zero_s: float
    start_s: float
    end_s: float
    padded_end_s: float


@dataclass(frozen=True)
class PacketIndex:
    """Both tracks of a file (None where there is none), and what a user should hear about it."""

    formats: frozenset[str]
    pictures: PictureTrack | None
    sound: SoundTrack | None
    origin_s: float
    end_s: float
    notes: tuple[str, ...] = ()


@dataclass
class _Packets:
    """Packets of one stream while they are read: bare numbers, for a long film has very many."""

    ts: "array[int]" = field(default_factory=lambda: array("q"))
    dts: "array[int]" = field(default_factory=lambda: array("q"))
    duration: "array[int]" = field(default_factory=lambda: array("q"))
    key: bytearray = field(default_factory=bytearray)
    discard: bytearray = field(default_factory=bytearray)
    without_pts: int = 0
    skip_samples: int = 0

    def add(self, packet: "Packet[Stream]") -> None:
        ts = packet.pts if packet.pts is not None else packet.dts
        if ts is None or packet.size == 0:
            return
        if not self.ts and packet.has_sidedata("skip_samples"):
            self.skip_samples = struct.unpack_from(
                "<I", bytes(packet.get_sidedata("skip_samples"))
            )[0]
        self.without_pts += packet.pts is None
        self.ts.append(ts)
        self.dts.append(ts if packet.dts is None else packet.dts)
        self.duration.append(packet.duration or 0)
        self.key.append(packet.is_keyframe)
        self.discard.append(packet.is_discard)

    def end_ts(self) -> int:
        """End of the packet that is shown last; a missing duration is the usual step."""
        shown_rows = [i for i, discard in enumerate(self.discard) if not discard]
        last = max(shown_rows, key=self.ts.__getitem__)
        if self.duration[last]:
            return self.ts[last] + self.duration[last]
        steps = [b - a for a, b in pairwise(sorted(self.ts))]
        return self.ts[last] + (int(statistics.median(steps)) if steps else 1)


def read_index(path: Path) -> PacketIndex:
    """Read the packet index of a video or sound file (the last few are remembered).

    Raises:
        MediaError: the file cannot be read, or holds neither pictures nor sound.
    """
    return _read_index(path, file_stamp(path))


@lru_cache(maxsize=4)
def _read_index(path: Path, stamp: tuple[int, int, int]) -> PacketIndex:
    """`stamp` only makes a changed file another key of the cache."""
    with open_container(path) as container:
        video, audio = _choose_streams(container)
        chosen: list[Stream] = [s for s in (video, audio) if s is not None]
        for stream in chosen:
            refuse_codec(stream, path)
        packets = {s.index: _Packets() for s in chosen}
        damaged = _read_packets(container, chosen, packets)
        formats = frozenset(container.format.name.split(","))
        declared_s = container.duration / av.time_base if container.duration else 0.0
        pictures = _picture_track(video, packets) if video is not None else None
        sound_packets = packets[audio.index] if audio is not None else _Packets()
        if pictures is None and all(sound_packets.discard):
            raise MediaError(_nothing_message(path, chosen))
        sound = None
        origin_s = float(pictures.shown_ts[0] * pictures.time_base) if pictures else 0.0
        if audio is not None and not all(sound_packets.discard):
            sound, origin_s = _sound_track(audio, sound_packets, origin_s if pictures else None)
    ends = [float(pictures.end_ts * pictures.time_base) - origin_s] if pictures else []
    end_s = max(ends + ([sound.end_s] if sound else []))
    if end_s > MAX_DURATION_S:
        raise MediaError(
            f"The file {shown(path)} says it lasts {end_s / 3600:.0f} hours, more than"
            f" {MAX_DURATION_S // 3600}; cut out the part you want to ask about."
        )
    if pictures is not None and len(pictures.shown_ts) > MOST_FRAMES:
        raise MediaError(
            f"The file {shown(path)} holds {len(pictures.shown_ts):,} pictures, more than"
            f" {MOST_FRAMES:,}; cut out the part you want to ask about."
        )
    short = bool(formats & DECLARES_LENGTH) and end_s < declared_s - max(0.5, 0.02 * declared_s)
    notes: tuple[str, ...] = ()
    if short:
        notes = (
            f"The file is cut short: it declares {declared_s:.1f} s, but only the first "
            f"{end_s:.1f} s can be read.",
        )
    elif damaged:
        notes = (f"The file is damaged and was read only up to {end_s:.1f} s.",)
    return PacketIndex(formats, pictures, sound, origin_s, end_s, notes)


def _choose_streams(
    container: av.container.InputContainer,
) -> tuple[VideoStream | None, AudioStream | None]:
    """The default picture stream that is not a cover, and the sound libavformat would choose."""
    videos = [s for s in container.streams.video if not s.disposition & NOT_A_VIDEO]
    videos.sort(key=lambda s: not s.disposition & Disposition.default)
    audio = container.streams.best("audio")
    if not isinstance(audio, AudioStream) or not _is_sane(audio):
        audio = None
    return next((s for s in videos if s.codec_context is not None), None), audio


def _is_sane(audio: AudioStream) -> bool:
    """False without a decoder, or with a header whose numbers would fill the memory."""
    if audio.codec_context is None:
        return False
    return 0 < audio.rate <= MOST_RATE and 0 < audio.channels <= MAX_CHANNELS


def _read_packets(
    container: av.container.InputContainer, streams: list[Stream], packets: dict[int, _Packets]
) -> bool:
    """Fill `packets`; True when the reading ended in an error rather than at the end."""
    if not streams:
        return False
    try:
        for packet in demux(container, *streams):
            if packet.stream_index in packets:
                packets[packet.stream_index].add(packet)
    except (av.error.FFmpegError, OSError) as error:
        if isinstance(error, MemoryError) and memory_is_short():
            raise
        return True
    return False


def _picture_track(stream: VideoStream, all_packets: dict[int, _Packets]) -> PictureTrack | None:
    packets = all_packets[stream.index]
    ts = np.array(packets.ts, np.int64)
    shown_ts = np.unique(ts[~np.array(packets.discard, bool)])
    if not len(shown_ts) or stream.time_base is None:
        return None
    key = np.array(packets.key, bool)
    key[0] = True  # wherever no keyframe is flagged, decoding starts at the first packet
    order = np.argsort(ts[key], kind="stable")
    rate = stream.average_rate
    return PictureTrack(
        stream=stream.index,
        time_base=stream.time_base,
        shown_ts=shown_ts,
        key_ts=ts[key][order],
        key_dts=np.array(packets.dts, np.int64)[key][order],
        end_ts=max(packets.end_ts(), int(shown_ts[-1]) + 1),
        counted="avi" in stream.container.format.name or 2 * packets.without_pts > len(ts),
        declared_fps=float(rate) if rate else None,
    )


def _sound_track(
    stream: AudioStream, packets: _Packets, first_picture_s: float | None
) -> tuple[SoundTrack, float]:
    """Place the sound on the clip's clock; see the docstring of engines.sound_reader.

    Returns:
        the track, and the clip's origin in container time (s).
    """
    base = stream.time_base or Fraction(1, stream.rate)
    first_packet_s = float(packets.ts[0] * base)
    priming_s = packets.skip_samples / stream.rate
    undeclared = stream.codec_context.name.startswith("aac") and not (
        packets.skip_samples or packets.discard[0] or packets.ts[0] < 0
    )
    if undeclared:
        priming_s = AAC_PRIMING_SAMPLES / stream.rate
    first_sample_s = first_packet_s + priming_s
    if first_picture_s is None:
        origin_s = zero_s = first_sample_s
    else:
        lead = first_picture_s - first_sample_s
        origin_s = first_sample_s if lead > LEAD_TOLERANCE_S else first_picture_s
        # Priming stamped with the very time of the first picture was counted as sound.
        counted_as_sound = abs(first_packet_s - first_picture_s) < 1e-3
        zero_s = origin_s + (priming_s if counted_as_sound else 0.0)
    end_s = max(0.0, float(packets.end_ts() * base) - zero_s)
    last_frame_s = (stream.codec_context.frame_size or 0) / stream.rate
    track = SoundTrack(
        stream=stream.index,
        time_base=base,
        sample_rate=stream.rate,
        channels=stream.channels,
        zero_s=zero_s,
        start_s=max(0.0, first_sample_s - zero_s),
        end_s=end_s,
        padded_end_s=max(end_s, float(max(packets.ts) * base) - zero_s + last_frame_s),
    )
    return track, origin_s


def _nothing_message(path: Path, streams: list[Stream]) -> str:
    if streams:
        return (
            f"The file {shown(path)} was cut short before its first frame; copy, download or "
            "record it again."
        )
    return f"The file {shown(path)} holds neither a video nor a sound track; choose another file."

"""Video and sound files opened with libavformat: one file, never a second one or a network.

libavformat gets an open Python file instead of a name. So the kind is found from the content, odd
file names do not matter, and no demuxer can be talked into opening something else; playlists and
other formats that refer to further files are not in the list of formats at all.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO

import av
import av.container
import av.error
from av.codec import Codec
from av.codec.codec import UnknownCodecError
from av.packet import Packet
from av.stream import Stream

from engines.confine import memory_is_short
from engines.errors import MediaError
from engines.media_file import open_regular, shown

# Demuxers that read one self-contained file (libavformat's names).
CONTAINER_FORMATS = (
    "mov,mp4,m4a,matroska,webm,avi,mpegts,mpeg,flv,asf,ogg,ivf,nut,"
    "wav,w64,aiff,au,caf,flac,mp3,aac,ac3,eac3,amr,ape,wv,tta,dts"
)
# What cameras, phones, recorders and editors write, by the codec's own name. The some 400 others
# that the library decodes are game and museum formats, seldom used and seldom looked at by anyone.
_PICTURES = (
    "av1 cinepak dnxhd dvvideo ffv1 ffvhuff flv1 gif h261 h263 h263i h263p h264 hevc huffyuv "
    "jpeg2000 lagarith magicyuv mjpeg mpeg1video mpeg2video mpeg4 msmpeg4v1 msmpeg4v2 msmpeg4v3 "
    "msrle msvideo1 png prores qtrle rawvideo rpza svq1 svq3 theora utvideo v210 vc1 vp6 vp6a vp6f "
    "vp8 vp9 vvc wmv1 wmv2 wmv3"
)
_SOUNDS = (
    "aac aac_latm ac3 adpcm_g722 adpcm_g726 adpcm_ima_qt adpcm_ima_wav adpcm_ms adpcm_swf "
    "adpcm_yamaha alac amr_nb amr_wb ape dts eac3 flac gsm gsm_ms mlp mp1 mp2 mp3 nellymoser opus "
    "pcm_alaw pcm_bluray pcm_dvd pcm_f32be pcm_f32le pcm_f64be pcm_f64le pcm_mulaw pcm_s16be "
    "pcm_s16be_planar pcm_s16le pcm_s16le_planar pcm_s24be pcm_s24le pcm_s24le_planar pcm_s32be "
    "pcm_s32le pcm_s32le_planar pcm_s64be pcm_s64le pcm_s8 pcm_s8_planar pcm_u16be pcm_u16le "
    "pcm_u24be pcm_u24le pcm_u32be pcm_u32le pcm_u8 speex truehd tta vorbis wavpack wmalossless "
    "wmapro wmav1 wmav2 wmavoice"
)
CODECS = frozenset([*_PICTURES.split(), *_SOUNDS.split()])
MAX_STREAMS = 128
READ_BUFFER_BYTES = 1 << 16


@contextmanager
def open_container(path: Path) -> Iterator[av.container.InputContainer]:
    """Open a video or sound file with libavformat.

    Raises:
        MediaError: it cannot be opened, or is in no format that can be read.
        MemoryError: opening it takes more memory than there is.
    """
    with open_regular(path) as file:
        try:
            container = av.open(
                file,
                "r",
                container_options={
                    "format_whitelist": CONTAINER_FORMATS,
                    # Guessing what a stream holds already decodes some of it.
                    "codec_whitelist": _decoders(),
                },
                metadata_errors="replace",
                buffer_size=READ_BUFFER_BYTES,
            )
        except (av.error.FFmpegError, OSError) as error:
            if isinstance(error, MemoryError) and memory_is_short():
                raise
            raise MediaError(_refusal(file, path)) from error
        with container:
            if len(container.streams) > MAX_STREAMS:
                raise MediaError(
                    f"The file {shown(path)} holds {len(container.streams)} tracks, more than"
                    f" {MAX_STREAMS}; save the one picture and sound track you want as an mp4."
                )
            yield container


@lru_cache(maxsize=1)
def _decoders() -> str:
    """The library's decoders of the codecs that are read, as it wants them listed."""
    found = []
    for name in av.codecs_available:
        try:
            codec = Codec(name, "r")
        except UnknownCodecError:
            continue  # it only encodes
        if codec.canonical_name in CODECS:
            found.append(name)
    return ",".join(sorted(found))


def refuse_codec(stream: Stream, path: Path) -> None:
    """Refuse a stream in a codec that is not read.

    Raises:
        MediaError: it is in another codec.
    """
    name = codec_name(stream)
    if name not in CODECS:
        raise MediaError(
            f"The {stream.type} of {shown(path)} is coded as {name}, which is not read; convert it"
            " to an mp4 with H.264 and AAC."
        )


def codec_name(stream: Stream) -> str:
    """The name of a stream's codec, whatever its decoder is called."""
    codec = stream.codec_context.codec
    return str(codec.canonical_name)


def demux(container: av.container.InputContainer, *streams: Stream) -> "Iterator[Packet[Stream]]":
    """The packets of some streams; those of streams that appear only now are passed over.

    PyAV fails on a packet of a stream that was not there when the file was opened (broadcast
    recordings have them), but goes on with the next packet when asked again.
    """
    while True:
        try:
            yield from container.demux(*streams)
        except IndexError:
            continue
        return


def _refusal(file: BinaryIO, path: Path) -> str:
    """Say why libavformat refused a file: an mp4 without its index is the common case."""
    file.seek(0)
    if file.read(12)[4:8] in (b"ftyp", b"moov", b"mdat", b"wide"):
        return (
            f"The file {shown(path)} was cut short or never finished (its index is missing or "
            "damaged); copy, download or record it again."
        )
    return (
        f"The file {shown(path)} is not a video, picture or sound that can be read; convert it, "
        "for example to mp4, png or wav."
    )

"""Opening a clip's file safely: a regular file, never blocking, never a second file or a network.

libavformat gets an open Python file instead of a name. So the kind is found from the content, odd
file names do not matter, and no demuxer can be talked into opening something else; playlists and
other formats that refer to further files are not in the list of formats at all.
"""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import av
import av.container
import av.error
from av.packet import Packet
from av.stream import Stream

from engines.errors import MediaError

# Demuxers that read one self-contained file (libavformat's names).
CONTAINER_FORMATS = (
    "mov,mp4,m4a,matroska,webm,avi,mpegts,mpeg,flv,asf,ogg,ivf,nut,"
    "wav,w64,aiff,au,caf,flac,mp3,aac,ac3,eac3,amr,ape,wv,tta,dts"
)
READ_BUFFER_BYTES = 1 << 16


def shown(path: Path) -> str:
    """The path as it can be printed anywhere: undecodable and control characters become marks."""
    text = os.fsencode(path).decode("utf-8", "replace")
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


def file_stamp(path: Path) -> tuple[int, int, int]:
    """What differs, as a key of a cache, when the file at a path is another one or was changed."""
    try:
        status = path.stat()
    except (OSError, ValueError):
        return (0, 0, 0)  # opening it says what is wrong
    return (status.st_ino, status.st_size, status.st_mtime_ns)


def open_regular(path: Path) -> BinaryIO:
    """Open a regular, non-empty file for reading.

    Raises:
        MediaError: missing, unreadable, empty, a folder, a device or a pipe.
    """
    name = shown(path)
    try:
        # Asked before opening: opening a device can already do something to it.
        _refuse_special(path.stat(), name)
        # Not blocking, should a pipe have taken the file's place since.
        flags = os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0)
        file = os.fdopen(os.open(path, flags), "rb")
    except FileNotFoundError as error:
        raise MediaError(f"There is no file {name}; check its name and folder.") from error
    except PermissionError as error:
        raise MediaError(
            f"The file {name} may not be read by this account; change its permissions or copy it."
        ) from error
    except (OSError, ValueError) as error:
        reason = (getattr(error, "strerror", None) or str(error)).lower()
        raise MediaError(
            f"The file {name} cannot be opened ({reason}); check its name and folder."
        ) from error
    try:
        _refuse_special(os.fstat(file.fileno()), name)
    except MediaError:
        file.close()
        raise
    return file


def _refuse_special(status: os.stat_result, name: str) -> None:
    if stat.S_ISDIR(status.st_mode):
        raise MediaError(f"{name} is a folder; name a file, or a folder that holds pictures.")
    if not stat.S_ISREG(status.st_mode):
        raise MediaError(f"{name} is a device or a pipe, not a file; save the clip to a file.")
    if status.st_size == 0:
        raise MediaError(f"The file {name} is empty (0 bytes); copy or download it again.")


@contextmanager
def open_container(path: Path) -> Iterator[av.container.InputContainer]:
    """Open a video or sound file with libavformat.

    Raises:
        MediaError: it cannot be opened, or is in no format that can be read.
    """
    with open_regular(path) as file:
        try:
            container = av.open(
                file,
                "r",
                container_options={"format_whitelist": CONTAINER_FORMATS},
                metadata_errors="replace",
                buffer_size=READ_BUFFER_BYTES,
            )
        except (av.error.FFmpegError, OSError) as error:
            raise MediaError(_refusal(file, path)) from error
        with container:
            yield container


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

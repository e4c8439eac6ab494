"""The media child: reads questions about one clip from stdin, writes what it finds to stdout.

It opens, demuxes and decodes what nobody has checked, so it first gives up everything else
(`engines.confine`): network, other programs, writing, and all files but the clip.
"""

import os
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

import av.error
from numpy.typing import NDArray

from engines import confine, media_decoder, offline, seccomp, wire
from engines.child_process import take_pipes
from engines.command import sentence_of
from engines.config import from_json, to_json
from engines.errors import MediaError
from engines.media import (
    FolderFacts,
    FrameFacts,
    PlayedFacts,
    PlayOptions,
    SoundFacts,
    SoundTrackFacts,
    TimelineFacts,
)
from engines.media_file import shown
from engines.pictures import folder_frames
from engines.play_reader import play
from engines.wire import Packet

# A child that is not asked for so long is not needed: the next clip gets another one anyway.
IDLE_S = 10
# How often it is looked whether there still is somebody to work for.
PARENT_S = 1.0
_PACKAGE_FOLDERS = ("site-packages", "dist-packages")
_SYSTEM_FOLDERS = ("/usr/lib", "/usr/lib64", "/lib", "/lib64", "/usr/local/lib", "/dev/null")


def answers(path: Path, question: str, **arguments: Any) -> Iterator[Packet]:
    """Answer one question of `engines.media` in this process.

    Raises:
        MediaError: the clip cannot be read or lacks what was asked for.
        MemoryError: there is not enough memory for it.
    """
    try:
        yield from _ANSWERS[question](path, **arguments)
    except MemoryError:
        raise  # libav's own is one of its errors, too
    except av.error.FFmpegError as error:
        reason = (error.strerror or "no reason given").lower()
        raise MediaError(
            f"{shown(path)} could not be read ({reason}); the file is damaged or of a kind that is"
            " not read: copy it again, or convert it to an mp4 with H.264 and AAC."
        ) from error


def _probe(path: Path) -> Iterator[Packet]:
    yield _packet(media_decoder.probe(path))


def _folder(path: Path) -> Iterator[Packet]:
    yield _packet(FolderFacts(tuple(picture.name for picture in folder_frames(path))))


def _timeline(path: Path) -> Iterator[Packet]:
    line = media_decoder.read_timeline(path)
    yield _packet(TimelineFacts(line.end_s, line.fps, line.notes), line.times_s)


def _frames(path: Path, indices: list[int]) -> Iterator[Packet]:
    for frame in media_decoder.read_frames(path, indices):
        yield _packet(FrameFacts(frame.time_s, frame.exact), frame.rgb)


def _sound_info(path: Path) -> Iterator[Packet]:
    yield _packet(SoundTrackFacts(media_decoder.sound_info(path)))


def _sound(
    path: Path, spans: list[list[float]], rate: int | None, first_channel: bool
) -> Iterator[Packet]:
    pairs = [(start, end) for start, end in spans]
    for sound in media_decoder.read_sound(path, pairs, rate=rate, first_channel=first_channel):
        yield _packet(SoundFacts(sound.sample_rate, sound.start_s, sound.end_s), sound.samples)


def _play(path: Path, options: dict[str, Any]) -> Iterator[Packet]:
    for part in play(path, from_json(PlayOptions, options, "the options")):
        yield _packet(PlayedFacts(part.time_s), part.content)


def _nothing(path: Path) -> Iterator[Packet]:
    """For who only wants to know what the child has given up."""
    yield from ()


_ANSWERS: dict[str, Callable[..., Iterator[Packet]]] = {
    "probe": _probe,
    "folder": _folder,
    "timeline": _timeline,
    "frames": _frames,
    "sound_info": _sound_info,
    "sound": _sound,
    "play": _play,
    "nothing": _nothing,
}


def _packet(facts: object, *arrays: NDArray[Any]) -> Packet:
    return Packet(to_json(facts), arrays)


def serve(source: BinaryIO, sink: BinaryIO, held: confine.Confinement | None = None) -> None:
    """Answer until there are no more questions; `held` is what has been given up before."""
    clip: Path | None = None
    while (packet := _question(source)) is not None:
        path = Path(packet.head["path"])
        if clip is None:
            if packet.head["folder"] is not None:
                os.chdir(packet.head["folder"])  # the path counts from the parent's
            files = confine.read_only([*_libraries(), path])
            clip = path.absolute()
            # Said before anything of the clip is read: later it might be somebody else's word.
            sink.write(wire.GREETING)
            known = replace(held or confine.Confinement(), files=files)
            wire.write(sink, Packet(to_json(known)))
            _end_with_parent()
        elif path.absolute() != clip:
            raise ValueError("a child reads one clip only")
        end: dict[str, Any] = {"end": None}
        try:
            for part in answers(path, packet.head["question"], **packet.head["arguments"]):
                wire.write(sink, Packet({"part": part.head}, part.arrays))
                if not _go_on(source):
                    break
        except MemoryError:
            end = {"end": "memory"}
        except BrokenPipeError:
            raise
        except Exception as error:  # noqa: BLE001 (the edge of the process: a sentence, and it goes on)
            end = {"end": "error", "sentence": sentence_of(error)}
        end["refused"] = offline.connections_to_tell().refused
        wire.write(sink, Packet(end))


def _end_with_parent() -> None:
    """Do not work on for nobody: that a killed parent closed the pipe is seen only between steps.

    To be called when no more is given up: what has been holds for the new thread, too.
    """
    if sys.platform == "win32":
        return  # the job object does it
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(PARENT_S)
        os._exit(0)

    threading.Thread(target=watch, name="parent", daemon=True).start()


def _question(source: BinaryIO) -> Packet | None:
    _set_alarm(IDLE_S)
    packet = wire.read(source)
    _set_alarm(0)
    return packet


def _go_on(source: BinaryIO) -> bool:
    order = wire.read(source)
    if order is None:
        raise BrokenPipeError
    return bool(order.head["go"])


def _set_alarm(seconds: int) -> None:
    """End the process after so many seconds (0: do not), where the system can."""
    if sys.platform != "win32":
        signal.alarm(seconds)


def _libraries() -> list[Path]:
    """Where Python and its packages lie: some are loaded only when a file needs them."""
    packages = [path for path in sys.path if Path(path).name in _PACKAGE_FOLDERS]
    places = [sys.prefix, sys.base_prefix, getattr(sys, "_MEIPASS", sys.prefix), *packages]
    if getattr(sys, "frozen", False):
        places.append(sys.executable)  # holds the modules that are imported later
    return [Path(__file__).parent, *map(Path, places), *map(Path, _SYSTEM_FOLDERS)]


def main() -> None:
    """Give up what is not needed and serve the parent until it closes the pipe."""
    source, sink = take_pipes()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # The parent hears Ctrl+C and closes the pipe.
    # Pillow warns of what it reads all the same.
    warnings.filterwarnings("ignore", module=r"PIL\.")
    first = wire.read(source)
    if first is None:
        return
    limits = from_json(confine.Limits, first.head, "the limits")
    held = confine.Confinement(
        limits=confine.limit_resources(limits),
        threads=confine.limit_threads(limits),
        system_calls=seccomp.filter_system_calls(),
    )
    try:
        serve(source, sink, held)
    except OSError:
        os._exit(0)  # The parent is gone, and nobody waits for anything.


if __name__ == "__main__":
    main()

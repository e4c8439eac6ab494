"""A camera and a microphone for machines that have none: real servers behind real drivers.

The camera is a clip served as MJPEG over loopback HTTP, the microphone the monitor of a PulseAudio
null sink, into which the clip's sound is played.
"""

import fcntl
import io
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import av
import numpy as np
from PIL import Image

BOUNDARY = b"frame"
SOUND_RATE = 48000
NEEDED = ("pulseaudio", "pactl", "paplay", "pacat")


def missing_sound() -> str:
    """What the microphone's tests lack on this machine; nothing when all is there."""
    lacking = [name for name in NEEDED if shutil.which(name) is None]
    try:
        import sounddevice  # noqa: F401
    except (ImportError, OSError) as error:
        lacking.append(str(error))
    return ", ".join(lacking)


def jpegs(path: Path) -> list[bytes]:
    """The frames of a clip."""
    with av.open(path) as container:
        return [jpeg(frame.to_ndarray(format="rgb24")) for frame in container.decode(video=0)]


def jpeg(rgb: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(rgb).save(buffer, "JPEG", quality=95)
    return buffer.getvalue()


def samples(path: Path) -> np.ndarray:
    """The sound of a clip, int16 (n,) at 48 kHz."""
    resampler = av.AudioResampler(format="s16", layout="mono", rate=SOUND_RATE)
    with av.open(path) as container:
        frames = [f for frame in container.decode(audio=0) for f in resampler.resample(frame)]
    return np.concatenate([f.to_ndarray().reshape(-1) for f in frames])


class PictureServer:
    """An MJPEG camera at `url`: shows a picture, and a film from the moment it is played."""

    def __init__(self, still: bytes, fps: float = 25.0, port: int = 0) -> None:
        self._still = still
        self._fps = fps
        self._film: Sequence[bytes] = ()
        self._film_s = 0.0
        self._film_fps = fps
        self._every_s: float | None = None
        self.late_s = 0.0  # by how much a picture was sent too late, since the film began
        self._over = threading.Event()
        self._clients: list[socket.socket] = []
        self._socket = socket.create_server(("127.0.0.1", port), reuse_port=False)
        self.port = self._socket.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}/camera.mjpg"
        self._threads: list[threading.Thread] = []
        self._begin(self._accept)

    def __enter__(self) -> "PictureServer":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def play(
        self, film: Sequence[bytes], at_s: float, fps: float = 25.0, every_s: float | None = None
    ) -> None:
        """Show a film from `at_s` (`time.monotonic`) on; its last picture stays.

        With `every_s` it begins again after so long.
        """
        self._film_fps = fps
        self.late_s = 0.0
        self._film_s = at_s
        self._every_s = every_s
        self._film = film

    def close(self) -> None:
        """As a camera that is unplugged: every connection breaks at once."""
        self._over.set()
        # A listening socket that a thread waits on stays open until it is shut down.
        for open_socket in (self._socket, *self._clients):
            with suppress(OSError):
                open_socket.shutdown(socket.SHUT_RDWR)
            open_socket.close()
        for thread in self._threads:
            thread.join()

    def _begin(self, work: Callable[..., None], *given: object) -> None:
        thread = threading.Thread(target=work, args=given, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while not self._over.is_set():
            try:
                client, _ = self._socket.accept()
            except OSError:
                return
            self._clients.append(client)
            self._begin(self._serve, client)

    def _serve(self, client: socket.socket) -> None:
        try:
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            client.recv(4096)
            client.sendall(
                b"HTTP/1.0 200 OK\r\nContent-Type: multipart/x-mixed-replace; boundary="
                + BOUNDARY
                + b"\r\n\r\n"
            )
            start_s = time.monotonic()
            number = 0
            while not self._over.is_set():
                picture = self._now()
                head = b"--%s\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n"
                client.sendall(head % (BOUNDARY, len(picture)) + picture + b"\r\n")
                number += 1
                pause_s = start_s + number / self._fps - time.monotonic()
                self._over.wait(max(pause_s, 0))
                self.late_s = max(self.late_s, time.monotonic() - start_s - number / self._fps)
                if pause_s < -1:  # Hopelessly late: go on from now.
                    start_s, number = time.monotonic(), 0
        except OSError:
            pass
        finally:
            client.close()

    def _now(self) -> bytes:
        film, passed_s = self._film, time.monotonic() - self._film_s
        if not film or passed_s < 0:
            return self._still
        if self._every_s is not None:
            passed_s %= self._every_s
        index = int(max(passed_s, 0) * self._film_fps)
        return film[min(index, len(film) - 1)]


class SoundServer:
    """A PulseAudio daemon of its own with one null sink, whose monitor is ALSA's default source."""

    def __init__(self, folder: Path) -> None:
        """Args: an empty folder for its socket and its script; short, as a socket's name is."""
        self._folder = folder
        self._socket = folder / "pulse"
        self._script = folder / "null.pa"
        self._script.write_text(
            f"load-module module-native-protocol-unix auth-anonymous=1 socket={self._socket}\n"
            f"load-module module-null-sink sink_name=vl2 rate={SOUND_RATE}\n"
            "set-default-sink vl2\nset-default-source vl2.monitor\n"
        )
        self.environment = {
            "PULSE_SERVER": f"unix:{self._socket}",
            "PULSE_RUNTIME_PATH": str(folder / "run"),
            "PULSE_STATE_PATH": str(folder / "state"),
            "PULSE_CONFIG_PATH": str(folder / "config"),
            "HOME": str(folder),
        }
        alsa = folder / "asound.conf"
        alsa.write_text(
            "</usr/share/alsa/alsa.conf>\n"
            "pcm.!default { type pulse }\nctl.!default { type pulse }\n"
        )
        self.environment["ALSA_CONFIG_PATH"] = str(alsa)
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, patience_s: float = 120.0) -> None:
        """Start the daemon, and wait until it answers."""
        self._socket.unlink(missing_ok=True)
        command = ["pulseaudio", "-n", "-F", str(self._script), "--daemonize=no"]
        command += ["--exit-idle-time=-1", "--use-pid-file=no", "--log-level=error"]
        self._process = subprocess.Popen(
            command,
            env={**os.environ, **self.environment},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        deadline = time.monotonic() + patience_s
        while self._run("pactl", "info").returncode:
            if time.monotonic() > deadline:
                self.kill()
                raise TimeoutError("PulseAudio does not start")
            time.sleep(0.1)

    def kill(self) -> None:
        """As a sound server that crashes."""
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()
            self._process = None

    def play(self, path: Path) -> "subprocess.Popen[bytes]":
        """Play a wave file into the sink."""
        return subprocess.Popen(
            ["paplay", "--latency-msec=20", str(path)], env={**os.environ, **self.environment}
        )

    def _run(self, *command: str) -> "subprocess.CompletedProcess[bytes]":
        return subprocess.run(
            command, env={**os.environ, **self.environment}, capture_output=True, check=False
        )


def play_picture(port: int, clip: Path, start_s: float, every_s: float) -> None:
    """Be a camera that shows a clip again and again, until killed."""
    film = jpegs(clip)
    server = PictureServer(film[0], fps=30.0, port=port)
    server.play(film, start_s, every_s=every_s)
    threading.Event().wait()


def play_sound(clip: Path, start_s: float, every_s: float) -> None:
    """Play a clip's sound again and again, silence in between; a new player when one dies."""
    wave = np.zeros(round(every_s * SOUND_RATE), np.int16)
    sound = samples(clip)[: len(wave)]
    wave[: len(sound)] = sound
    while True:
        player = open_player()
        try:
            feed(player, wave, start_s, threading.Event())
        except OSError:
            player.kill()
            player.wait()
            time.sleep(0.5)


def open_player() -> "subprocess.Popen[bytes]":
    """A player that plays what is written to it: int16, mono, 48 kHz."""
    form = ["--format=s16le", f"--rate={SOUND_RATE}", "--channels=1", "--latency-msec=20"]
    return subprocess.Popen(
        ["pacat", "--playback", "--raw", *form], stdin=subprocess.PIPE, stderr=subprocess.DEVNULL
    )


def feed(
    player: "subprocess.Popen[bytes]", wave: np.ndarray, start_s: float, over: threading.Event
) -> None:
    """Give a player a wave, int16 (n,), over and over, so that it begins at `start_s`.

    As a real sound does, it goes on whether the player keeps up or not: little is in the pipe.
    """
    pipe = player.stdin
    assert pipe is not None
    fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, 4096)
    piece = SOUND_RATE // 200
    place = round((time.monotonic() - start_s) * SOUND_RATE)
    while not over.is_set():
        now = round((time.monotonic() - start_s) * SOUND_RATE)
        if now < place + piece:
            time.sleep((place + piece - now) / SOUND_RATE)
        elif now > place + 10 * piece:
            place = now - piece
        pipe.write(wave.take(range(place, place + piece), mode="wrap").tobytes())
        pipe.flush()
        place += piece


if __name__ == "__main__":
    import sys

    kind, *rest = sys.argv[1:]
    if kind == "picture":
        play_picture(int(rest[0]), Path(rest[1]), float(rest[2]), float(rest[3]))
    else:
        play_sound(Path(rest[0]), float(rest[1]), float(rest[2]))

"""Half an hour live: a question every 20 seconds, a camera and a sound server that die on the way.

    python tests/oracles/live_soak.py [MINUTES] [FOLDER]

A demo clip is played again and again, each time from a known moment, by processes of their own. At
a third of the time the camera's server is killed and comes back 10 s later, at two thirds
PulseAudio. Memory, threads and open files of this process (which records) and of the engine
process are written down with every question, and how far picture and sound lie apart. Prints a
summary as JSON; every question is a line of FOLDER/soak.jsonl.
"""

import io
import json
import math
import os
import resource
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from app.capture.device_thread import DeviceState
from app.capture.recorder import Recorder, Span
from app.engine_client import EngineClient
from app.inference import Ask, EngineSpec, Finished, Piece
from assets import demo_clips
from engines.messages import clip_message
from tests.live_devices import SOUND_RATE, SoundServer

CLIP = demo_clips() / "flash.mp4"
# What the clip shows and sounds, s from its start (export/demo/showcase.py).
SOUND_S, FLASH_S, CLIP_S = 1.35, 2.3, 4.0
EVERY_S = 20.0
# The clip starts anew with every question, so that the last seconds are the clip.
QUESTIONS = (
    ("Does the background flash?", "Yes, the background flashes."),
    ("How does the green triangle move?", "The green triangle moves up."),
    (
        "Does the sound come before, with or after the moment the background flashes?",
        "The sound comes before the background flashes.",
    ),
)
OUTAGE_S = 10.0


class Soak:
    """Everything that runs, and what is written down."""

    def __init__(self, minutes: float, folder: Path, server: SoundServer) -> None:
        self.minutes = minutes
        self.log = folder / "soak.jsonl"
        self.server = server
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.start_s = time.monotonic() + 5.0
        self.camera = self.play("picture", str(self.port))
        self.player = self.play("sound")
        self.recorder = Recorder(f"http://127.0.0.1:{self.port}/camera", "default")
        self.rows: list[dict[str, Any]] = []

    def play(self, kind: str, *first: str) -> "subprocess.Popen[bytes]":
        times = [str(CLIP), str(self.start_s), str(EVERY_S)]
        command = [sys.executable, "-m", "tests.live_devices", kind, *first, *times]
        return subprocess.Popen(command)

    def run(self) -> None:
        self.recorder.start()
        count = round(self.minutes * 60 / EVERY_S)
        outages = {count // 3: "camera", 2 * count // 3: "sound"}
        with EngineClient(EngineSpec()) as engine:
            while any(d.kind != "on" for d in self.devices()):
                time.sleep(0.1)
            ready = math.ceil((time.monotonic() - self.start_s) / EVERY_S)
            for number in range(count):
                if (what := outages.get(number)) is not None:
                    self.break_off(what)
                self.ask(engine, ready + number, outages.get(number))
            self.recorder.close()
        for process in (self.camera, self.player):
            process.kill()
            process.wait()
        print(json.dumps(self.summary(), indent=1))

    def devices(self) -> list[DeviceState]:
        status = self.recorder.status()
        return [device for device in (status.camera, status.microphone) if device is not None]

    def break_off(self, what: str) -> None:
        """Kill a server in the pause between two questions, and bring it back."""
        if what == "camera":
            self.camera.kill()
            self.camera.wait()
        else:
            self.server.kill()
        time.sleep(OUTAGE_S)
        if what == "camera":
            self.camera = self.play("picture", str(self.port))
        else:
            self.server.start()

    def ask(self, engine: EngineClient, number: int, outage: str | None) -> None:
        """One question about the clip, as soon as it has been played."""
        end_s = self.start_s + number * EVERY_S + CLIP_S
        time.sleep(max(end_s + 0.3 - time.monotonic(), 0))
        text, right = QUESTIONS[number % len(QUESTIONS)]
        asked_s = time.monotonic()
        clip = self.recorder.clip(Span(end_s - CLIP_S, end_s), engine.info["num_frames"])
        first_s = answer = None
        if clip.frames or clip.sound_span_s:
            for reply in engine.run(Ask([clip_message(clip.options(), text)], live=clip)):
                if isinstance(reply, Piece) and first_s is None:
                    first_s = time.monotonic() - asked_s
                if isinstance(reply, Finished):
                    answer = reply.result["answer"]
        status = self.recorder.status()
        pid = engine._process.pid
        row = {
            "at_s": round(time.monotonic() - self.start_s, 1),
            "outage": outage,
            "first_token_s": first_s,
            "right": answer == right,
            "answer": answer,
            "offset_ms": self.offset_ms(end_s - CLIP_S),
            "camera": status.camera.kind,
            "microphone": status.microphone.kind,
            "camera_openings": status.camera.openings,
            "microphone_openings": status.microphone.openings,
            "missed": status.missed,
            "crowded_out": status.crowded_out,
            "overflows": status.overflows,
            "ring_mb": status.nbytes / 1e6,
            "cpu_s": sum(resource.getrusage(resource.RUSAGE_SELF)[:2]),
            **{f"here_{k}": v for k, v in usage(os.getpid()).items()},
            **{f"engine_{k}": v for k, v in usage(pid).items()},
        }
        self.rows.append(row)
        with self.log.open("a") as file:
            file.write(json.dumps(row) + "\n")

    def offset_ms(self, start_s: float) -> float | None:
        """When the flash was seen minus when the tone was heard, against the clip's own."""
        seen = None
        frames = self.recorder.pictures.between(start_s + 0.5, start_s + CLIP_S)
        light = [brightness(frame.jpeg.tobytes()) for frame in frames]
        if light and max(light) > 2 * min(light):
            half = (max(light) + min(light)) / 2
            seen = next(f.time_s for f, value in zip(frames, light, strict=True) if value > half)
        heard = self.recorder.sound.read(start_s + 0.5, start_s + CLIP_S)
        loud = np.flatnonzero(np.abs(heard.samples) > 0.05)
        if seen is None or not len(loud):
            return None
        sounded = start_s + 0.5 + loud[0] / SOUND_RATE
        return round(1000 * ((seen - sounded) - (FLASH_S - SOUND_S)), 1)

    def summary(self) -> dict[str, Any]:
        rows = self.rows
        first = np.array([r["first_token_s"] for r in rows if r["first_token_s"] is not None])
        apart = np.array([r["offset_ms"] for r in rows if r["offset_ms"] is not None])
        steady = rows[min(9, len(rows) - 1) :]
        passed = rows[-1]["at_s"] - rows[0]["at_s"]
        found: dict[str, Any] = {
            "minutes": self.minutes,
            "questions": len(rows),
            "right": sum(r["right"] for r in rows),
            "wrong": [r for r in rows if not r["right"]],
            "first_token_p50_s": float(np.median(first)),
            "first_token_p95_s": float(np.percentile(first, 95)),
            "offset_median_ms": float(np.median(apart)),
            "offset_p95_abs_ms": float(np.percentile(np.abs(apart), 95)),
            "cpu_share": (rows[-1]["cpu_s"] - rows[0]["cpu_s"]) / passed,
            "openings": [rows[-1]["camera_openings"], rows[-1]["microphone_openings"]],
            "missed": rows[-1]["missed"],
            "overflows": rows[-1]["overflows"],
        }
        for where in ("here", "engine"):
            for what in ("rss_mb", "threads", "files"):
                values = [r[f"{where}_{what}"] for r in steady]
                found[f"{where}_{what}"] = {
                    "first": values[0],
                    "last": values[-1],
                    "most": max(values),
                }
        return found


def brightness(content: bytes) -> float:
    with Image.open(io.BytesIO(content)) as image:
        return float(np.asarray(image.convert("L"), np.float32).mean())


def usage(pid: int) -> dict[str, float]:
    status = Path(f"/proc/{pid}/status").read_text()
    facts = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
    return {
        "rss_mb": int(facts["VmRSS"].split()[0]) / 1024,
        "threads": int(facts["Threads"]),
        "files": len(list(Path(f"/proc/{pid}/fd").iterdir())),
    }


def main(minutes: float = 30.0, folder: Path = Path()) -> None:
    with tempfile.TemporaryDirectory() as place:
        server = SoundServer(Path(place))
        os.environ.update(server.environment)
        server.start()
        Soak(minutes, folder, server).run()
        server.kill()


if __name__ == "__main__":
    arguments = sys.argv[1:]
    main(*(kind(text) for kind, text in zip((float, Path), arguments, strict=False)))

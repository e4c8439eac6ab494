"""How far picture and sound lie apart in a live recording: flashes with clicks, many of them.

    python tests/oracles/live_offsets.py [EVENTS]

The picture is bright, and the sound loud, from the same moments on: the server sends what is to be
seen at the time of sending, the player is fed in pieces of 5 ms. Prints JSON: the offset is when
the first bright frame was taken minus when the first loud sample was heard, ms.
"""

import io
import json
import os
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
from PIL import Image

from app.capture.recorder import Recorder
from tests.live_devices import SOUND_RATE, PictureServer, SoundServer, feed, jpeg, open_player

GAP_S, BRIGHT_S = 1.013, 0.4


def main(events: int = 100) -> None:
    with tempfile.TemporaryDirectory() as folder:
        server = SoundServer(Path(folder))
        os.environ.update(server.environment)
        server.start()
        dark, bright = (jpeg(np.full((360, 640, 3), v, np.uint8)) for v in (10, 240))
        camera = PictureServer(dark, fps=30.0)
        recorder = Recorder(camera.url, "default")
        recorder.start()
        while any(d.kind != "on" for d in _devices(recorder)):
            time.sleep(0.1)
        time.sleep(5.0)
        start_s = time.monotonic() + 1.0
        film = [
            bright if i * 0.001 % GAP_S < BRIGHT_S else dark
            for i in range(int(events * GAP_S * 1000))
        ]
        camera.play([*film, dark], start_s, fps=1000.0)
        player = open_player()
        over = threading.Event()
        feeding = [player, _clicks(events), start_s, over]
        feeder = threading.Thread(target=feed, args=feeding)
        feeder.start()
        found, late, early = [], [], []
        for event in range(events):
            truth_s = start_s + event * GAP_S
            time.sleep(max(truth_s + 0.9 - time.monotonic(), 0))
            seen_s = _first_bright(recorder, truth_s)
            heard_s = _first_loud(recorder, truth_s)
            found.append(1000 * (seen_s - heard_s))
            late.append(1000 * (seen_s - truth_s))
            early.append(1000 * (heard_s - truth_s))
        print(
            json.dumps(
                {
                    name: _summary(values)
                    for name, values in (("offset", found), ("picture", late), ("sound", early))
                }
            )
        )
        over.set()
        feeder.join()
        recorder.close()
        camera.close()
        player.kill()
        server.kill()


def _devices(recorder: Recorder) -> list:
    status = recorder.status()
    return [status.camera, status.microphone]


def _clicks(events: int) -> np.ndarray:
    times = np.arange(round((events * GAP_S + 10) * SOUND_RATE)) / SOUND_RATE
    loud = (times % GAP_S < 0.1) & (times < events * GAP_S)
    return np.where(loud, 8000 * np.sin(2 * np.pi * 1000 * times), 0).astype(np.int16)


def _first_bright(recorder: Recorder, truth_s: float) -> float:
    for frame in recorder.pictures.between(truth_s - 0.3, truth_s + 0.8):
        with Image.open(io.BytesIO(frame.jpeg.tobytes())) as image:
            if np.asarray(image).mean() > 128:
                return frame.time_s
    return float("nan")


def _first_loud(recorder: Recorder, truth_s: float) -> float:
    heard = recorder.sound.read(truth_s - 0.3, truth_s + 0.8)
    loud = np.flatnonzero(np.abs(heard.samples) > 0.02)
    return truth_s - 0.3 + loud[0] / SOUND_RATE if len(loud) else float("nan")


def _summary(values: list[float]) -> dict:
    known = np.array(values)[np.isfinite(values)]
    size = np.abs(known)
    return {
        "events": len(values),
        "found": len(known),
        "median_ms": round(float(np.median(known)), 1),
        "p95_abs_ms": round(float(np.percentile(size, 95)), 1),
        "median_abs_ms": round(float(np.median(size)), 1),
        "max_abs_ms": round(float(size.max()), 1),
    }


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))

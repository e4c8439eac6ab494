"""Takes the pictures of the window that the documentation shows, from the real window.

    python tests/screenshots.py docs --home /home/user            # needs xvfb-run

Each scene is a program of its own with a home of its own, on a screen that nobody sees. Nothing is
made up: the answers are the demo model's; for the picture of a half-written answer the engine
process is halted in the middle.
"""

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

ROOT = Path(__file__).parents[1]
SCREEN = "2880x1800x24"
MOST_BYTES = 150_000
PATIENCE_S = 120.0


class Scene:
    """A window, and the hands of whoever shows it."""

    def __init__(self, out: Path, **chosen: str) -> None:
        from PySide6.QtWidgets import QApplication

        from app import settings
        from app.window_main import make_window

        path = settings.settings_path()
        path.parent.mkdir(parents=True, exist_ok=True)
        settings.save(replace(settings.Settings(), **{"theme": "light", **chosen}), path)
        self.out = out
        self.app = QApplication(sys.argv[:1])
        self.window = make_window(self.app)
        self.window.resize(1280, 800)
        self.window.move(0, 0)
        self.window.show()
        self.window.activateWindow()
        self.window.start()
        self.until(lambda: self.window.desk.info)
        self.rest(0.3)

    def until(self, condition: Callable[[], object]) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not condition():
            if time.monotonic() > deadline:
                raise TimeoutError("the window did not get there")
            self.app.processEvents()
            time.sleep(0.01)

    def rest(self, seconds: float = 0.8) -> None:
        end = time.monotonic() + seconds
        self.until(lambda: time.monotonic() > end)

    def open(self, name: str = "bounce.mp4") -> None:
        from assets import demo_clips

        path = demo_clips() / name
        self.window.views.notices.clear()
        self.window.open_clip(path)
        self.until(lambda: self.window.clip_work.clip and self.window.clip_work.preview)
        self.until(lambda: not self.window.clip_work.encoding_now)
        self.rest()

    def ask(self, *questions: str) -> None:
        for question in questions:
            self.window.talk.ask(question)
            self.until(lambda: self.window.talk.writing is None)
        self.rest()

    def shoot(self, name: str, crop: tuple[int, int, int, int] | None = None) -> None:
        """Save what the screen shows where the window is."""
        from PIL import Image

        self.rest(0.4)
        place = self.window.frameGeometry()
        shot = self.window.screen().grabWindow(
            0, place.x(), place.y(), place.width(), place.height()
        )
        path = self.out / f"window-{name}.png"
        shot.save(str(path))
        picture = Image.open(path).convert("RGB")
        if crop is not None:
            picture = picture.crop(crop)
        picture.save(path, optimize=True)
        if path.stat().st_size > MOST_BYTES:
            picture.quantize(256, dither=Image.Dither.NONE).save(path, optimize=True)
        size = f"{picture.width} x {picture.height}, {path.stat().st_size // 1000} kB"
        sys.stdout.write(f"{path.name}: {size}\n")

    def close(self) -> None:
        self.window.close()


DESCRIBE = "Describe what you see and hear."
DIRECTION = "Which way does the red circle move?"
BEEPS = "How many beeps do you hear?"


def first_run(out: Path) -> Scene:
    scene = Scene(out)
    scene.shoot("first-run")
    return scene


def answer(out: Path) -> Scene:
    scene = Scene(out)
    scene.open()
    scene.ask(DIRECTION)
    pid = scene.window._link.pid
    scene.window.talk.ask(DESCRIBE)
    for _ in range(40):
        if halt_half_way(scene, pid):
            break
        scene.window.talk.edit(scene.window.talk.conversation.turns[-1].id, DESCRIBE)
    scene.rest()
    scene.shoot("half-way")
    os.kill(pid, signal.SIGCONT)
    scene.until(lambda: scene.window.talk.writing is None)
    scene.window.talk.edit(scene.window.talk.conversation.turns[-1].id, DESCRIBE)
    scene.until(lambda: scene.window.talk.writing is None)
    scene.ask(BEEPS)
    scene.shoot("answer")
    player = scene.window.views.player
    corner = player.mapTo(scene.window, player.rect().topLeft())
    top = corner.y() + player.height() * 55 // 100
    box = (corner.x(), top, corner.x() + player.width(), corner.y() + player.height())
    scene.shoot("coverage", box)
    return scene


def halt_half_way(scene: Scene, pid: int) -> bool:
    """Let the engine go on by a millisecond or two until its answer is half written."""
    while (turn := scene.window.talk.writing) is not None:
        os.kill(pid, signal.SIGSTOP)
        scene.rest(0.06)
        if 30 < len(turn.answer) < 90:
            return True
        os.kill(pid, signal.SIGCONT)
        time.sleep(0.0015)
    return False


def history(out: Path) -> Scene:
    scene = Scene(out)
    clips = {
        "flash.mp4": "Does the background flash?",
        "count.mp4": "How many objects are there?",
        "order.mp4": DESCRIBE,
        "vanish.mp4": DESCRIBE,
        "bounce.mp4": DESCRIBE,
    }
    for clip, question in clips.items():
        scene.open(clip)
        scene.ask(question)
    scene.window.commands.search_history.trigger()
    scene.window.views.history.search.setText("circle moves")
    scene.rest(1.5)
    scene.shoot("history")
    return scene


def models(out: Path) -> Scene:
    scene = Scene(out)
    scene.window.views.notices.clear()
    scene.window.commands.models_page.trigger()
    scene.until(lambda: scene.window.views.models.cards)
    scene.window.views.models.cards[0].details_button.setChecked(True)
    scene.rest()
    scene.shoot("models")
    return scene


def settings_page(out: Path) -> Scene:
    scene = Scene(out)
    scene.window.views.notices.clear()
    scene.window.commands.settings_page.trigger()
    scene.rest()
    scene.shoot("settings")
    return scene


def dark(out: Path) -> Scene:
    scene = Scene(out, theme="dark")
    scene.open()
    scene.ask(DESCRIBE, BEEPS)
    scene.shoot("dark")
    return scene


def double(out: Path) -> Scene:
    scene = Scene(out)
    scene.open()
    scene.ask(DESCRIBE)
    scene.shoot("200-percent")
    return scene


def narrow(out: Path) -> Scene:
    scene = Scene(out)
    scene.window.resize(480, 860)
    scene.open()
    scene.ask(DESCRIBE)
    scene.shoot("narrow")
    return scene


def german(out: Path) -> Scene:
    scene = Scene(out, language="de")
    scene.open()
    scene.ask(DESCRIBE)
    scene.shoot("german")
    return scene


def error(out: Path) -> Scene:
    from assets import demo_clips

    scene = Scene(out)
    scene.window.views.notices.clear()
    broken = Path.home() / "Videos" / "holiday.mp4"
    broken.parent.mkdir()
    broken.write_bytes((demo_clips() / "bounce.mp4").read_bytes()[:9000])
    scene.window.open_clip(broken)
    scene.until(lambda: scene.window.clip_work.clip)
    scene.until(lambda: not scene.window.clip_work.encoding_now)
    scene.rest()
    scene.shoot("error")
    return scene


def palette(out: Path) -> Scene:
    scene = Scene(out)
    scene.open()
    scene.ask(DESCRIBE)
    scene.window.commands.palette.trigger()
    scene.rest()
    scene.window.command_palette.search.setText("exp")
    scene.shoot("commands")
    scene.window.command_palette.close()
    return scene


def live(out: Path) -> Scene:
    """A camera over loopback and a sound server of its own show and play the demo clip."""
    # The other scenes need nothing of tests/, whose folder must not be seen in a picture.
    sys.path.append(str(ROOT))
    from assets import demo_clips
    from tests.live_devices import PictureServer, SoundServer, feed, jpegs, open_player, samples

    clip, every_s = demo_clips() / "bounce.mp4", 4.0
    with tempfile.TemporaryDirectory() as folder:
        sounds = SoundServer(Path(folder))
        sounds.start()
        os.environ.update({k: v for k, v in sounds.environment.items() if k != "HOME"})
        film, over = jpegs(clip), threading.Event()
        with PictureServer(film[0], port=8554) as camera:
            begin_s = time.monotonic()
            camera.play(film, begin_s, every_s=every_s)
            player = open_player()
            feeding = threading.Thread(target=feed, args=[player, samples(clip), begin_s, over])
            feeding.start()
            try:
                scene = show_live(out, camera.url, begin_s, every_s)
            finally:
                over.set()
                feeding.join()
                player.kill()
                player.wait()
                sounds.kill()
    return scene


def show_live(out: Path, camera: str, begin_s: float, every_s: float) -> Scene:
    from app.capture.recorder import Span

    scene = Scene(out)
    window, page = scene.window, scene.window.views.live
    window.views.notices.clear()
    window.commands.live_page.trigger()
    scene.until(page.start_action.isEnabled)
    page.devices.camera.setEditText(camera)
    page.start_button.click()
    scene.until(lambda: window.live.recording.on)
    scene.rest(20.0)
    # The clip as it was last shown whole.
    plays = int((time.monotonic() - begin_s) / every_s)
    page.bar.choose(Span(begin_s + (plays - 1) * every_s, begin_s + plays * every_s))
    for question in (DESCRIBE, BEEPS):
        window.live.talk.ask(question)
        scene.until(lambda: window.live.talk.writing is not None)
        scene.until(lambda: window.live.talk.writing is None)
    page.bar.choose(every_s)
    page.wait.line.setText("Does the red circle bounce back?")
    page.wait.button.click()
    scene.until(page.moments.count)
    page.bar.choose(15.0)
    page._show_choice(15.0)
    scene.rest(8.0)
    scene.shoot("live")
    page.stopRequested.emit()
    scene.rest(1.0)  # Before the camera goes.
    return scene


SCENES: dict[str, tuple[Callable[[Path], Scene], dict[str, str]]] = {
    "first-run": (first_run, {}),
    "answer": (answer, {}),
    "history": (history, {}),
    "models": (models, {}),
    "settings": (settings_page, {}),
    "dark": (dark, {}),
    "200-percent": (double, {"QT_SCALE_FACTOR": "2"}),
    "narrow": (narrow, {}),
    "german": (german, {}),
    "error": (error, {}),
    "commands": (palette, {}),
    "live": (live, {}),
}


def environments(names: list[str], home: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """A home of its own for each scene, with the program in it: paths are seen in the pictures."""
    program = home / "vl2-desktop"
    for name in names:
        home.mkdir(parents=True)
        try:
            for package in ("app", "assets", "engines"):
                shutil.copytree(ROOT / package, program / package)
            own = {"HOME": str(home), "PYTHONPATH": str(program), "QT_QPA_PLATFORM": "xcb"}
            for folder in ("XDG_CACHE_HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME"):
                own[folder] = str(home / ".local")
            yield name, {**os.environ, **own, **SCENES[name][1]}
        finally:
            shutil.rmtree(home)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path, help="folder of the pictures")
    parser.add_argument("scenes", nargs="*", help=f"all, or some of: {', '.join(SCENES)}")
    parser.add_argument(
        "--home", type=Path, help="the user's folder in the pictures; must not exist"
    )
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    parsed = parser.parse_args()
    names = parsed.scenes or list(SCENES)
    if parsed.here:
        SCENES[names[0]][0](parsed.out).close()
        return 0
    if shutil.which("xvfb-run") is None:
        sys.stderr.write("screenshots: xvfb-run is missing; make_desktop.sh installs it\n")
        return 1
    parsed.out.mkdir(parents=True, exist_ok=True)
    home = parsed.home or Path(tempfile.mkdtemp()) / "user"
    failed = 0
    for name, environment in environments(names, home):
        command = [sys.executable, "-P", __file__, str(parsed.out.resolve()), name, "--here"]
        screen = ["xvfb-run", "-a", "-s", f"-screen 0 {SCREEN}"]
        failed += subprocess.run([*screen, *command], env=environment, check=False).returncode != 0
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

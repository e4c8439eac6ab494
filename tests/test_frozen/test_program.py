"""The frozen program as its user has it: no Python, no repository, no network, a folder with an odd
name that cannot be written to. `make frozen-check` builds it and runs this."""

import ctypes
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import av
import pytest

from app.freezing import deb
from tests.live_session import watch_a_flash
from tests.network_trace import attempts, cannot_trace, end, traced
from tests.screen import PATIENCE_S, Hands, answers, missing_screen, screen, until

ROOT = Path(__file__).parents[2]
BUILT = ROOT / "dist" / "vl2"
CLIP = Path("_internal/assets/clips/bounce.mp4")
QUESTION, ANSWER = (
    "Which way does the red circle move?",
    "The red circle moves left and bounces back.",
)
# Python, what is installed into it, and the sources are out of sight.
HIDDEN = (
    *(ROOT, Path(sys.prefix), Path.home()),
    Path(sys.base_prefix) / "lib" / f"python3.{sys.version_info.minor}",
)
HIDE = 'while [ "$1" != -- ]; do mount -t tmpfs none "$1" || exit 9; shift; done; shift; exec "$@"'

pytestmark = pytest.mark.slow

Command = list[str | Path]
Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def program() -> Iterator[Path]:
    """A copy of the program's folder."""
    if not (BUILT / "vl2").is_file():
        pytest.fail(f"There is no {BUILT}; run: make frozen")
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        folder = Path(name) / "Programme für alle"
        shutil.copytree(BUILT, folder, symlinks=True, ignore=shutil.ignore_patterns("gpu"))
        _writable(folder, False)
        yield folder
        _writable(folder, True)


def _writable(folder: Path, wanted: bool) -> None:
    for path in (folder, *folder.rglob("*")):
        if not path.is_symlink():
            mode = path.stat().st_mode
            path.chmod(mode | 0o200 if wanted else mode & ~0o222)


@pytest.fixture(scope="module")
def alone() -> Command:
    """What a command begins with to be without network, Python and sources; [] where forbidden."""
    start: Command = ["unshare", "--net", "--mount"]
    if os.getuid() != 0:
        start = ["unshare", "--user", "--map-root-user", "--net", "--mount"]
    places = dict.fromkeys(path.resolve() for path in HIDDEN if path.is_dir())
    # One inside another is hidden with it.
    outer = [p for p in places if not any(other in p.parents for other in places)]
    command: Command = [*start, "sh", "-c", HIDE, "hide", *outer, "--"]
    try:
        done = subprocess.run([*command, "true"], capture_output=True, check=False)
    except OSError:
        return []
    return command if done.returncode == 0 else []


def bare(home: Path | str, **more: str) -> list[str]:
    """Begins a program with nothing in its environment but an empty PATH and a home."""
    variables = {"PATH": "", "HOME": str(home), **more}
    return ["/usr/bin/env", "-i", *(f"{name}={value}" for name, value in variables.items())]


@pytest.fixture
def run(program: Path, alone: Command, tmp_path: Path) -> Run:
    """Runs the program to its end in an empty home."""

    def to_the_end(*arguments: str, home: Path | str = tmp_path, **more: str):
        done = subprocess.run(
            [*alone, *bare(home, **more), program / "vl2", *arguments],
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE_S,
            cwd="/",
        )
        assert "Traceback" not in done.stderr
        return done

    return to_the_end


def test_it_answers_rightly_without_anything_around_it(run: Run, program: Path) -> None:
    done = run("ask", str(program / CLIP), QUESTION)
    assert (done.stdout.strip(), done.returncode) == (ANSWER, 0), done.stderr
    again = run("ask", str(program / CLIP), "Count the beeps.", "--engine-process")
    assert again.stdout.strip() == "There are two beeps.", again.stderr


def test_it_answers_without_a_home(run: Run, program: Path, alone: Command) -> None:
    if not alone:
        pytest.skip("the user's own home would be used: no namespaces here")
    done = run("ask", str(program / CLIP), QUESTION, home="")
    assert done.stdout.strip() == ANSWER, done.stderr


def test_it_says_what_it_is_and_what_is_here(run: Run) -> None:
    from engines.version import VERSION

    assert run("--version").stdout.strip() == f"vl2 {VERSION}"
    said = run("doctor").stdout
    assert "whole (VL2 demo" in said
    assert re.search(r"^ONNX Runtime +\d", said, re.MULTILINE)
    listed = run("live", "--list")  # finds PortAudio, whatever devices there are
    assert (listed.returncode, listed.stderr) == (0, "")


def test_one_sentence_where_there_is_no_screen(run: Run) -> None:
    done = run()
    assert done.returncode == 1
    assert done.stderr.startswith("vl2: There is no screen")
    assert len(done.stderr.splitlines()) == 1


def test_its_media_child_is_confined(program: Path, tmp_path: Path) -> None:
    if cannot_trace():
        pytest.skip(cannot_trace())
    calls = "trace=clone,clone3,landlock_restrict_self,seccomp,execve"
    command = ["strace", "-f", "-qq", "-e", calls, "-e", "signal=none", "-o", tmp_path / "calls"]
    command += [*bare(tmp_path), program / "vl2", "ask", program / CLIP, QUESTION]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=PATIENCE_S)
    assert done.stdout.strip() == ANSWER
    by_process: dict[str, list[str]] = {}
    for line in (tmp_path / "calls").read_text().splitlines():
        number, _, call = line.partition(" ")
        by_process.setdefault(number, []).append(call.strip())
    children = [
        calls for calls in by_process.values() if any("engines.media_child" in c for c in calls)
    ]
    assert children
    for calls in children:
        names = [call.partition("(")[0] for call in calls]
        if "landlock_restrict_self" not in names:
            continue  # it was asked for nothing
        place = names.index("landlock_restrict_self")
        assert calls[place].endswith("= 0")
        assert not {"clone", "clone3"} & set(names[:place])  # another thread would escape
        assert any(n == "seccomp" and c.endswith("= 0") for n, c in zip(names, calls, strict=True))
    if ctypes.CDLL(None).syscall(444, None, 0, 1) >= 1:  # the version of Landlock
        assert any("landlock_restrict_self" in call for calls in children for call in calls)


def test_it_watches_a_camera(program: Path, tmp_path: Path) -> None:
    def start(options: list[str]) -> subprocess.Popen[str]:
        command = [*bare(tmp_path), program / "vl2", "live", *options, "--keep", tmp_path]
        return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd="/")

    flash = BUILT / CLIP.with_name("flash.mp4")
    moment, _ = watch_a_flash(flash, start, subprocess.Popen.terminate)
    with av.open(moment["clip"]) as kept:
        assert kept.streams.video[0].codec.name == "vp9"


def test_it_reaches_nobody(program: Path, tmp_path: Path) -> None:
    if cannot_trace():
        pytest.skip(cannot_trace())
    command = [*bare(tmp_path), program / "vl2", "ask", program / CLIP, QUESTION]
    done = subprocess.run(
        traced(command, tmp_path / "trace"),
        capture_output=True,
        text=True,
        check=True,
        timeout=PATIENCE_S,
    )
    assert done.stdout.strip() == ANSWER
    assert attempts((tmp_path / "trace").read_text()) == []


def test_its_window_opens_and_answers(program: Path, alone: Command, tmp_path: Path) -> None:
    if missing_screen():
        pytest.fail(f"{missing_screen()} is missing; make_desktop.sh installs it")
    history = tmp_path / ".local" / "share" / "vl2-desktop" / "history.sqlite"
    with screen() as display, (tmp_path / "said").open("w") as said:
        command = [*alone, *bare(tmp_path, DISPLAY=display), program / "vl2", "open"]
        process = subprocess.Popen([*command, program / CLIP], stderr=said, cwd="/")
        try:
            hands = Hands(display)
            hands.ask(QUESTION)
            until(lambda: answers(history) == [ANSWER])
            hands.press("ctrl+q")
            assert process.wait(PATIENCE_S) == 0
        finally:
            end(process)
    assert (tmp_path / "said").read_text() == ""


def test_a_gpu_pack_beside_it_is_found(program: Path, run: Run) -> None:
    # The real one needs a GPU's driver; this one only says that it was imported.
    program.chmod(0o755)
    pack = program / "gpu"
    pack.mkdir(mode=0o755)
    (pack / "tensorrt_rtx.py").write_text("raise ImportError('the pack was asked')\n")
    (pack / "tensorrt_rtx.py").chmod(0o644)
    try:
        assert "the pack was asked" in run("doctor", "--device", "tensorrt").stderr
        pack.chmod(0o777)
        assert "the pack was asked" not in run("doctor", "--device", "tensorrt").stderr
        assert "others may write" in run("doctor").stdout
    finally:
        shutil.rmtree(pack)
        program.chmod(0o555)


def test_nothing_in_it_that_should_not_be() -> None:
    inner = BUILT / "_internal"
    names = {path.name.lower() for path in inner.iterdir()}
    assert not names & {"torch", "transformers", "export", "quant", "onnx", "tensorrt_rtx", "cuda"}
    for name in ("README.txt", "LICENSE", "THIRD_PARTY.md", "PACKAGES.txt", "LGPL-3.0.txt"):
        assert (inner / "licences" / name).is_file()
    packages = (inner / "licences" / "PACKAGES.txt").read_text()
    assert "PySide6" in packages
    assert "torch" not in packages
    assert sum(p.stat().st_size for p in BUILT.rglob("*") if not p.is_symlink()) < 520e6


def test_what_it_is_linked_with_is_in_it_or_asked_for() -> None:
    if shutil.which("readelf") is None:
        pytest.skip("no readelf")
    inside = {path.name for path in BUILT.rglob("*")}
    files = [p for p in BUILT.rglob("*") if p.is_file() and not p.is_symlink() and ".so" in p.name]
    done = subprocess.run(
        ["readelf", "-d", *files, BUILT / "vl2"], capture_output=True, text=True, check=True
    )
    needed = set(re.findall(r"\(NEEDED\).*\[(.+)\]", done.stdout))
    assert "libQt6Core.so.6" in needed
    system = {name for names in deb.SYSTEM.values() for name in names}
    assert {
        n for n in needed - inside if re.split(r"\.so|-x86|-aarch", n)[0] not in system
    } == set()


def test_the_package_holds_a_program_that_runs(tmp_path: Path, alone: Command) -> None:
    found = sorted((ROOT / "dist").glob("vl2-desktop_*.deb"))
    if not found:
        pytest.skip("there is no package; make deb writes one (Debian and Ubuntu only)")
    subprocess.run(["dpkg-deb", "-x", str(found[-1]), str(tmp_path / "root")], check=True)
    place = tmp_path / "root" / "opt" / "vl2-desktop"
    command = [*alone, *bare(tmp_path), place / "vl2", "ask", place / CLIP, QUESTION]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=PATIENCE_S)
    assert done.stdout.strip() == ANSWER, done.stderr

"""The program at work under strace: it tries to reach nobody but a camera that was named.

A question for a name is a connection, too, and so is a packet without one.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from assets import demo_clips
from tests.live_session import watch_a_flash
from tests.network_trace import Attempt, attempts, cannot_trace, end, forbidden, traced
from tests.screen import PATIENCE_S, Hands, answers, missing_screen, screen, until

ROOT = Path(__file__).parents[1]
CLIP = demo_clips() / "bounce.mp4"
QUESTION, ANSWER = (
    "Which way does the red circle move?",
    "The red circle moves left and bounces back.",
)


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    """Where strace writes."""
    problem = cannot_trace()
    if "missing" in problem:
        pytest.fail(problem)
    if problem:
        pytest.skip(problem)
    return tmp_path / "trace.txt"


def at_home(home: Path, **more: str) -> dict[str, str]:
    """An environment with folders of its own."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("XDG_")}
    return {**kept, "HOME": str(home), "PYTHONPATH": str(ROOT), **more}


def vl2(*arguments: str | Path) -> list[str | Path]:
    return [sys.executable, "-m", "app", *arguments]


# As strace writes them (6.1), cut by hand.
WRITTEN = """\
41 socket(AF_INET, SOCK_STREAM|SOCK_CLOEXEC, IPPROTO_IP) = 3
41 connect(3, {sa_family=AF_INET, sin_port=htons(80), sin_addr=inet_addr("192.0.2.7")}, 16) = -1
42 connect(3, {sa_family=AF_UNIX, sun_path="/tmp/.X11-unix/X7"}, 20) = 0
42 connect(4, {sa_family=AF_INET6, sin6_port=htons(443), sin6_flowinfo=htonl(0), \
inet_pton(AF_INET6, "2001:db8::7", &sin6_addr), sin6_scope_id=0}, 28 <unfinished ...>
42 <... connect resumed>) = -1 ENETUNREACH (Network is unreachable)
43 sendto(5, "x", 1, 0, {sa_family=AF_INET, sin_port=htons(53), \
sin_addr=inet_addr("127.0.0.53")}, 16) = 1
43 sendto(6, "hello", 5, MSG_NOSIGNAL, NULL, 0) = 5
43 sendmsg(5, {msg_name={sa_family=AF_INET, sin_port=htons(9), sin_addr=inet_addr("192.0.2.8")}, \
msg_namelen=16, msg_iov=[{iov_base="x", iov_len=1}], msg_iovlen=1}, 0) = 1
43 sendmmsg(5, [{msg_hdr={msg_name={sa_family=AF_INET, sin_port=htons(1), \
sin_addr=inet_addr("192.0.2.1")}, msg_namelen=16}, msg_len=1}, {msg_hdr={msg_name=\
{sa_family=AF_INET, sin_port=htons(2), sin_addr=inet_addr("192.0.2.2")}, msg_namelen=16}}], 2) = 2
44 bind(3, {sa_family=AF_NETLINK, nl_pid=0, nl_groups=00000000}, 12) = 0
44 bind(3, {sa_family=AF_INET, sin_port=htons(0), sin_addr=inet_addr("0.0.0.0")}, 16) = 0
44 connect(3, {sa_family=AF_INET, sin_port=htons(8080), sin_addr=inet_addr("127.0.0.1")}, 16) = 0
44 connect(3, {sa_family=AF_VSOCK, svm_cid=VMADDR_CID_HOST, svm_port=1}, 16) = -1 ENODEV
44 getsockname(3, {sa_family=AF_INET, sin_port=htons(7), sin_addr=inet_addr("127.0.0.1")}, [16]) = 0
"""


def test_a_trace_is_read_rightly() -> None:
    assert [(one.call, one.host, one.port) for one in attempts(WRITTEN)] == [
        ("connect", "192.0.2.7", 80),
        ("connect", "2001:db8::7", 443),
        ("sendto", "127.0.0.53", 53),
        ("sendmsg", "192.0.2.8", 9),
        ("sendmmsg", "192.0.2.1", 1),
        ("sendmmsg", "192.0.2.2", 2),
        ("bind", "0.0.0.0", 0),
        ("connect", "127.0.0.1", 8080),
        ("connect", "", 0),
    ]
    asked_for = {("127.0.0.1", 8080), ("192.0.2.7", 80)}
    refused = [one.port for one in forbidden(WRITTEN, asked_for)]
    # Another computer is none of this one's ports, whoever asked for it.
    assert refused == [80, 443, 53, 9, 1, 2, 0, 0]


TELLS_TALES = """
import os, socket, subprocess, sys
if len(sys.argv) == 1:
    subprocess.run([sys.executable, __file__, "child"])
else:
    with socket.socket() as one:
        one.setblocking(False)
        one.connect_ex(("192.0.2.7", 80))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.sendto(b"what is", ("127.0.0.1", 53))
"""


def test_a_child_that_tells_tales_is_caught(trace: Path, tmp_path: Path) -> None:
    program = tmp_path / "tells_tales.py"
    program.write_text(TELLS_TALES)
    subprocess.run(traced([sys.executable, program], trace), check=True)
    assert forbidden(trace.read_text()) == [
        Attempt("connect", "192.0.2.7", 80),
        Attempt("sendto", "127.0.0.1", 53),
    ]


def test_asking_reaches_nobody(trace: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        traced(vl2("ask", CLIP, QUESTION, "--engine-process"), trace),
        env=at_home(tmp_path),
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_S,
    )
    assert done.stdout.strip() == ANSWER, done.stderr
    assert attempts(trace.read_text()) == []


@pytest.mark.gui
def test_the_window_reaches_nobody(trace: Path, tmp_path: Path) -> None:
    if missing_screen():
        pytest.fail(f"{missing_screen()} is missing; make_desktop.sh installs it")
    with screen() as display:
        environment = at_home(tmp_path, DISPLAY=display, QT_QPA_PLATFORM="xcb")
        process = subprocess.Popen(traced(vl2("open", CLIP), trace), env=environment)
        try:
            hands = Hands(display)
            hands.ask(QUESTION)
            history = tmp_path / ".local" / "share" / "vl2-desktop" / "history.sqlite"
            until(lambda: answers(history) == [ANSWER])
            hands.press("ctrl+q")
            assert process.wait(PATIENCE_S) == 0
        finally:
            end(process)
    said = trace.read_text()
    assert "X11-unix" in said  # the trace is of the window
    assert attempts(said) == []


def test_a_live_session_reaches_its_camera_only(trace: Path, tmp_path: Path) -> None:
    def start(options: list[str]) -> subprocess.Popen[str]:
        return subprocess.Popen(
            traced(vl2("live", *options), trace),
            env=at_home(tmp_path),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    _, port = watch_a_flash(demo_clips() / "flash.mp4", start, end)
    camera = ("127.0.0.1", port)
    said = trace.read_text()
    assert camera in {(one.host, one.port) for one in attempts(said)}
    assert forbidden(said, {camera}) == []

"""Which other computers a program and all its children tried to reach, by what strace saw.

strace stops a process before its own filters do, so that what they refuse is seen, too.
"""

import ipaddress
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# How something goes out, or is waited for, to a place that is named in the call.
_CALL = re.compile(r"^\d+\s+(connect|sendto|sendmsg|sendmmsg|bind)\((.*)$")
_FAMILY = re.compile(r"sa_family=(\w+)")
_HOST = re.compile(r'inet_addr\("([^"]*)"\)|inet_pton\(AF_INET6, "([^"]*)"')
_PORT = re.compile(r"sin6?_port=htons\((\d+)\)")
# Files, the system itself, and letting go of a connection.
_HERE = {"AF_UNIX", "AF_LOCAL", "AF_NETLINK", "AF_UNSPEC"}


@dataclass(frozen=True)
class Attempt:
    """One call that led out of the process by the internet; host "" and port 0: not readable."""

    call: str
    host: str
    port: int


def traced(command: Sequence[str | Path], trace: Path) -> list[str]:
    """A command line that runs another one and writes down its calls."""
    options = ["-f", "-qq", "-e", "trace=%network", "-e", "signal=none", "-s", "64"]
    return ["strace", *options, "-o", str(trace), *map(str, command)]


def cannot_trace() -> str:
    """Why nothing can be traced here; nothing where it can."""
    if shutil.which("strace") is None:
        return "strace is missing; make_desktop.sh installs it"
    done = subprocess.run(
        ["strace", "-f", "-qq", "-o", "/dev/null", "true"],
        capture_output=True,
        text=True,
        check=False,
    )
    return "" if done.returncode == 0 else f"strace may not trace here ({done.stderr.strip()})"


def end(strace: "subprocess.Popen[Any]") -> None:
    """End the traced program, with which strace ends; by itself it would let it go on."""
    children = Path(f"/proc/{strace.pid}/task/{strace.pid}/children")
    with suppress(OSError):
        for number in children.read_text().split():
            os.kill(int(number), signal.SIGTERM)
    try:
        strace.wait(20)
    except subprocess.TimeoutExpired:
        with suppress(OSError):
            for number in children.read_text().split():
                os.kill(int(number), signal.SIGKILL)
        strace.kill()
        strace.wait()


def attempts(trace: str) -> list[Attempt]:
    """Every call that names a place outside of this computer's own files."""
    found = []
    for line in trace.splitlines():
        call = _CALL.match(line)
        if call is None:
            continue
        for place in re.findall(r"\{(sa_family=[^}]*)", call[2]):
            family = _FAMILY.match(place)
            if family is None or family[1] in _HERE:
                continue
            host, port = _HOST.search(place), _PORT.search(place)
            name = "" if host is None else host[1] or host[2]
            found.append(Attempt(call[1], name, 0 if port is None else int(port[1])))
    return found


def forbidden(trace: str, allowed: set[tuple[str, int]] = frozenset()) -> list[Attempt]:
    """Those attempts that nobody asked for: all but a port of this computer that was named."""
    return [
        one
        for one in attempts(trace)
        if (one.host, one.port) not in allowed or not ipaddress.ip_address(one.host).is_loopback
    ]

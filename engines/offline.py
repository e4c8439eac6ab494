"""Nothing of ours goes online: libraries are told so, and a hook refuses what they try anyway.

The hook sees Python's sockets. Native libraries' own are kept off by their switches and, where
untrusted files are read, by the system (`engines.confine`). Every process counts what it saw and
tells its parent, so that the first one can say it for all of them.
"""

import ipaddress
import os
import sys
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import astuple, dataclass
from typing import Any

_SWITCHES = {
    # ONNX Runtime's own builds send usage data unless this is set before the import (Privacy.md).
    "ORT_DISABLE_TELEMETRY": "1",
    "HF_HUB_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "HF_DATASETS_OFFLINE": "1",
    "DO_NOT_TRACK": "1",
    # A forked tokenizer only prints a warning; one thread is right for one prompt.
    "TOKENIZERS_PARALLELISM": "false",
}
_SENDING = {"socket.connect", "socket.bind", "socket.sendto", "socket.sendmsg"}
_ASKING = {"socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr"}
# A loop that tries for ever is not to fill the memory; nor is a child to count without end.
_KEPT_HOSTS = 100
_MOST = 1_000_000


@dataclass(frozen=True)
class Connections:
    """How often other computers were reached, or were to be.

    Attributes:
        made: sockets and questions for names that were let through, because of --online.
        refused: those that were not.
        cameras: a camera's stream opened, or tried to, whose address the user gave; its library
            has sockets of its own.
    """

    made: int = 0
    refused: int = 0
    cameras: int = 0

    def __add__(self, other: "Connections") -> "Connections":
        """Both together."""
        sums = [a + b for a, b in zip(astuple(self), astuple(other), strict=True)]
        return Connections(*sums)

    def __sub__(self, other: "Connections") -> "Connections":
        """What came since `other`."""
        return Connections(*(a - b for a, b in zip(astuple(self), astuple(other), strict=True)))


class _Guard:
    """What may be reached, and how often something else was tried."""

    def __init__(self) -> None:
        self.installed = False
        self.open = False
        self.refused: deque[str] = deque(maxlen=_KEPT_HOSTS)
        self.counted = self.told = Connections()
        self.lock = threading.Lock()

    def count(self, more: Connections) -> None:
        with self.lock:
            self.counted += more

    def hook(self, event: str, arguments: tuple[Any, ...]) -> None:
        """Called by Python for whatever it audits: to be quick with what is none of ours."""
        if event in _SENDING:
            self.check(arguments[1], event)
        elif event == "socket.getnameinfo":
            self.check(arguments[0], event)
        elif event in _ASKING:
            self.check((arguments[0],), event)

    def check(self, address: Any, event: str) -> None:
        # A string is a name in this computer's file system; None, what the socket is tied to.
        if not isinstance(address, tuple) or not address:
            return
        host = _text(address[0])
        # What listens at no address listens at all of them: for other computers, too.
        if _is_here(host) and (host or event != "socket.bind"):
            return
        if self.open:
            self.count(Connections(made=1))
            return
        self.refused.append(host)
        self.count(Connections(refused=1))
        raise ConnectionRefusedError(
            f"{event} to {host or 'all addresses'} was refused: this program works offline; only"
            " vl2-export --online goes online."
        )


_guard = _Guard()


def go_offline() -> None:
    """Set the offline and no-telemetry switches of this process and of every child it starts.

    From then on every socket of this process to another computer, and every question for a name,
    is refused (ConnectionRefusedError) and counted.
    """
    os.environ.update(_SWITCHES)
    if not _guard.installed:
        _guard.installed = True
        sys.addaudithook(_guard.hook)


@contextmanager
def online() -> Iterator[None]:
    """Let this process go online for as long as a download lasts that the user has asked for."""
    _guard.open = True
    try:
        yield
    finally:
        _guard.open = False


def refused_hosts() -> tuple[str, ...]:
    """Whom this process was kept from reaching, in order, the last hundred."""
    return tuple(_guard.refused)


def count_camera(host: str) -> None:
    """A camera's stream is opened by a library that the hook does not see."""
    if not _is_here(host):
        _guard.count(Connections(cameras=1))


def connections() -> Connections:
    """What this process counted, and those of its children that told."""
    return _guard.counted


def connections_to_tell() -> Connections:
    """What was counted since this was called before: what a child tells its parent."""
    with _guard.lock:
        fresh, _guard.told = _guard.counted - _guard.told, _guard.counted
    return fresh


def count_child(made: object = 0, refused: object = 0, cameras: object = 0) -> None:
    """Add what a child told; what is no count is left out, for a child may be anybody's by now."""
    told = (made, refused, cameras)
    _guard.count(Connections(*(n if type(n) is int and 0 <= n <= _MOST else 0 for n in told)))


def _is_here(host: str) -> bool:
    """Whether a name is this very computer; "" is, for who connects or asks for a name."""
    if host in ("", "localhost"):
        return True
    try:
        return ipaddress.ip_address(host.partition("%")[0]).is_loopback
    except ValueError:
        return False


def _text(host: Any) -> str:
    if isinstance(host, bytes | bytearray):
        return bytes(host).decode("ascii", "replace")
    return "" if host is None else str(host)

"""Nothing of ours goes online: libraries are told so, and a hook refuses what they try anyway.

The hook sees Python's sockets. Native libraries' own are kept off by their switches and, where
untrusted files are read, by the system (`engines.confine`).
"""

import ipaddress
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
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


class _Guard:
    """What may be reached, and how often something else was tried."""

    def __init__(self) -> None:
        self.installed = False
        self.open = False
        self.hosts: set[str] = set()
        self.refused: list[str] = []

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
        if self.open or not isinstance(address, tuple) or not address:
            return
        host = _text(address[0])
        if _is_here(host) or host in self.hosts:
            return
        self.refused.append(host)
        raise ConnectionRefusedError(
            f"{event} to {host} was refused: this program works offline; only vl2-export --online"
            " goes online."
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


def allow_host(host: str) -> None:
    """Let this process reach one computer: a camera whose address the user has typed."""
    _guard.hosts.add(host)


def refused_hosts() -> tuple[str, ...]:
    """Whom this process was kept from reaching, in order."""
    return tuple(_guard.refused)


def _is_here(host: str) -> bool:
    """Whether a name is this very computer; "" is when something is only listened for."""
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

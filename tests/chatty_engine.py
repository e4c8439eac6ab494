"""An engine process, or a media child, in which a library wants to go online; for a test."""

import socket
import sys
from contextlib import suppress

from engines import media_child, media_decoder


def call_home() -> None:
    """What no library of ours does."""
    with suppress(OSError):
        socket.getaddrinfo("telemetry.invalid", 443)


def main() -> None:
    """Be the engine process; or, named so, the media child."""
    if sys.argv[1:] == ["media"]:
        probe = media_decoder.probe

        def chatty(path):
            call_home()
            return probe(path)

        media_decoder.probe = chatty
        media_child.main()
        return
    from app import engine_process

    call_home()
    with suppress(OSError):
        socket.create_connection(("192.0.2.7", 80), timeout=0.1)
    engine_process.main()


if __name__ == "__main__":
    main()

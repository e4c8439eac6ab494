"""Ends that leave no time: a note first that the program was told to, and then its end.

Without it the next start takes such an end, while a compiled engine was tested, for the engine's
doing (`engines.engine_trust`).
"""

import os
import signal
import socket
import threading
from typing import NoReturn


def end_now(code: int) -> NoReturn:
    """End this process at once, whatever its threads do."""
    from engines.engine_trust import told_to_end

    told_to_end()
    os._exit(code)


def hear_termination() -> None:
    """Have SIGTERM and SIGHUP end this process so, also while its main thread is in native code.

    Who sets handlers of its own later replaces these. Windows has no such signals.
    """
    if os.name != "posix":
        return
    inner, outer = socket.socketpair()
    outer.setblocking(False)
    signal.set_wakeup_fd(outer.fileno(), warn_on_full_buffer=False)
    wanted = {signal.SIGTERM, signal.SIGHUP}
    for number in wanted:
        # Ignored from outside (nohup), it stays so.
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, lambda *_: None)

    def listen() -> None:
        with inner, outer:
            while True:
                heard = [number for number in inner.recv(64) if number in wanted]
                if heard and signal.getsignal(heard[0]) != signal.SIG_IGN:
                    end_now(128 + heard[0])

    threading.Thread(target=listen, name="vl2-termination", daemon=True).start()

"""Stepwise work in a thread of its own, so that Ctrl+C is heard while native code runs.

Python looks for Ctrl+C only between its own instructions, and one call into ONNX Runtime may take
many seconds with a large model.
"""

import threading
from collections.abc import Callable, Generator, Iterator
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

Item = TypeVar("Item")

# How long stopped work may take to end; what still runs then is a call that nothing can stop.
GRACE_S = 0.7
# On Windows a wait without end does not hear Ctrl+C.
_POLL_S = 0.1
_NAME = "vl2-work"


def interruptible(work: Iterator[Item], stop: Callable[[], None]) -> Generator[Item, None, Any]:
    """Yield what `work` yields, and return what it returns, while another thread does it.

    Args:
        work: a generator; what it raises is raised here.
        stop: ends its native call; called when this thread is interrupted or ceases to iterate.
    """
    outbox: SimpleQueue[Item | BaseException] = SimpleQueue()
    cancelled = threading.Event()

    def produce() -> None:
        try:
            while not cancelled.is_set():
                outbox.put(next(work))
        except BaseException as error:  # noqa: BLE001 (raised again in the other thread)
            outbox.put(error)

    thread = threading.Thread(target=produce, name=_NAME, daemon=True)
    try:
        thread.start()
        while not isinstance(item := _receive(outbox), BaseException):
            yield item
        thread.join()
        if isinstance(item, StopIteration):
            return item.value
        raise item
    finally:
        cancelled.set()  # One that is being started just now does nothing.
        if thread.is_alive():
            stop()
            thread.join(GRACE_S)


def _receive(outbox: SimpleQueue[Item]) -> Item:
    # In a function of its own: interrupted at the `continue`, Python 3.11 passes a `finally` over.
    while True:
        try:
            return outbox.get(timeout=_POLL_S)
        except Empty:
            continue


def still_working() -> bool:
    """True when interrupted work has not ended: Python's orderly exit would crash in its call."""
    return any(thread.name == _NAME for thread in threading.enumerate())

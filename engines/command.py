"""The edge of a command: exceptions become one sentence on stderr and an exit code."""

import errno
import os
import re
import sys
from collections.abc import Callable

from engines.errors import Vl2Error, one_line

DONE, FAILED, INTERRUPTED = 0, 1, 130
# Text from a model, a bundle or a file's name is not to move a terminal's cursor.
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def printable(text: str) -> str:
    """Text as a terminal may get it: of the control characters, only line feed and tab stay."""
    return _CONTROL.sub("", text)


def sentence_of(error: Exception) -> str:
    """What a user is told of an exception: one line, what happened and what to do next."""
    if isinstance(error, Vl2Error):
        sentence = str(error)
    elif _is_memory(error):
        sentence = "There is not enough memory; use fewer frames or a smaller bundle."
    elif isinstance(error, OSError) and error.errno == errno.ENOSPC:
        sentence = "The disk is full; free some space and run it again."
    else:
        what = f"{type(error).__name__}: {error}".splitlines()[0]
        sentence = (
            f"Something unforeseen happened ({what}); run it again with VL2_TRACEBACK=1 and report"
            " what it prints."
        )
    return one_line(sentence)


def is_unforeseen(error: Exception) -> bool:
    """True for what no one raised on purpose: a mistake in the program."""
    full = isinstance(error, OSError) and error.errno == errno.ENOSPC
    return not (isinstance(error, Vl2Error) or _is_memory(error) or full)


def _is_memory(error: Exception) -> bool:
    """Also a thread that does not start: what it lacks is memory for its stack."""
    no_thread = isinstance(error, RuntimeError) and "can't start new thread" in str(error)
    return isinstance(error, MemoryError) or no_thread


def run_command(program: str, command: Callable[[], None]) -> int:
    """Run a command to its end.

    Args:
        program: name in front of the sentence, such as "vl2".
        command: the work; returns when it is done.

    Returns:
        0 done, 1 failed (said on stderr), 130 interrupted. `SystemExit` (wrong usage: 2) passes.
    """
    try:
        command()
        sys.stdout.flush()
    except KeyboardInterrupt:
        print(f"\n{program}: interrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        # The reader (head, less) has gone; nothing more can be said to it, nor at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except Exception as error:  # the one catch-all: a user never meets a traceback
        if os.environ.get("VL2_TRACEBACK") and is_unforeseen(error):
            raise
        return _fail(program, sentence_of(error))
    return DONE


def _fail(program: str, sentence: str) -> int:
    print(f"{program}: {printable(sentence)}", file=sys.stderr)
    return FAILED

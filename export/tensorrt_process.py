"""The compiler in a process of its own: ended at any moment, its memory given back.

One line of JSON comes in, a `Job`; one goes out: what was compiled, or why not.
"""

import errno
import json
import os
import subprocess
from typing import Any

from engines.child_process import start, take_pipes
from engines.config import from_json, to_json
from engines.errors import ExportError
from export.tensorrt import Compiled, Job, compile_graph, load_compiler

MODULE = "export.tensorrt_process"
# How often a waiting program looks whether it was interrupted.
WAIT_S = 0.5


def compile_apart(job: Job) -> Compiled:
    """Compile a graph in another process.

    Whatever ends this, an exception or Ctrl-C, ends that process and removes what it wrote.

    Raises:
        ExportError: the compiler does not take the graph, or was ended from outside.
        OSError: the disk is full or failed.
    """
    process = start(MODULE)
    try:
        reply = _converse(process, json.dumps(to_json(job)).encode())
    except BaseException:
        process.kill()
        process.communicate()
        job.engine.unlink(missing_ok=True)
        raise
    if "done" in reply:
        return from_json(Compiled, reply["done"], "compiled")
    job.engine.unlink(missing_ok=True)
    if "disk" in reply:
        number, file = reply["disk"]
        raise OSError(number, os.strerror(number), file)
    raise ExportError(reply.get("failed") or _ended(job, process.returncode))


def main() -> None:
    """Compile what stdin says."""
    source, sink = take_pipes()
    # Its native code prints there what comes as a message too.
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    job = from_json(Job, json.loads(source.readline()), "job")
    reply: dict[str, Any]
    try:
        module, _ = load_compiler(job.flavour)
        reply = {"done": to_json(compile_graph(module, job))}
    except ExportError as error:
        reply = {"failed": str(error)}
    except MemoryError:
        reply = {}
    except OSError as error:
        reply = {"disk": [error.errno or errno.EIO, str(error.filename or job.engine)]}
    sink.write(json.dumps(reply).encode() + b"\n")
    sink.close()


def _converse(process: subprocess.Popen[bytes], text: bytes) -> dict[str, Any]:
    """Send a line, wait for the process to end, return its answer; empty when it gave none."""
    sent: bytes | None = text + b"\n"
    while True:
        try:
            answer, _ = process.communicate(sent, timeout=WAIT_S)
        except subprocess.TimeoutExpired:
            sent = None
            continue
        except BrokenPipeError:
            return {}
        found: dict[str, Any] = json.loads(answer) if answer.strip() else {}
        return found


def _ended(job: Job, code: int) -> str:
    return (
        f"The compiler was ended while it worked on {job.graph.name} (exit code {code}), most often"
        " for lack of memory; close other programs and run it again."
    )


if __name__ == "__main__":
    main()

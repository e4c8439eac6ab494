"""The bundle's graphs, each opened when it is first needed and kept open."""

from collections.abc import Iterator

from engines.backends.onnxruntime import Session, open_session
from engines.bundle import Bundle
from engines.config import GraphConfig
from engines.errors import BundleError, DeviceError
from engines.events import Progress

# The library starts as many as it is told to, until the system refuses and it crashes.
MAX_THREADS = 512


class Sessions:
    """The opened graphs of one bundle on one device.

    Raises DeviceError for a number of threads that cannot be.
    """

    def __init__(self, bundle: Bundle, device: str, threads: int | None) -> None:
        if threads is not None and not 1 <= threads <= MAX_THREADS:
            raise DeviceError(
                f"{threads} threads cannot be used; choose 1 to {MAX_THREADS}, or none to let the"
                " program choose."
            )
        self._bundle = bundle
        self._device = device
        self._threads = threads
        self._open: dict[str, Session] = {}

    def __contains__(self, graph: str) -> bool:
        return graph in self._open

    def get(self, graph: str) -> Session:
        """The session of a graph of the manifest.

        Raises:
            BundleError: the bundle has no such graph, or it is not what the manifest says.
            DeviceError: it cannot be opened on the device.
        """
        if graph not in self._open:
            declared = self._bundle.config.graphs.get(graph)
            if declared is None:
                raise BundleError(
                    f"The bundle {self._bundle.path} has no {graph} graph; use another bundle."
                )
            path = self._bundle.graph_path(graph)
            if not path.is_file():
                raise BundleError(
                    f"The bundle {self._bundle.path} was moved or deleted while it was in use; put"
                    " it back or load another one."
                )
            session = open_session(path, self._device, self._threads)
            _check(session, declared)
            self._open[graph] = session
        return self._open[graph]

    def opening(self, graph: str) -> Iterator[Progress]:
        """Opens a graph unless it is open, telling so."""
        if graph not in self._open:
            yield Progress("load", 0, 1)
            self.get(graph)
            yield Progress("load", 1, 1)

    def stop(self) -> None:
        """Ends whatever runs, from another thread."""
        for session in list(self._open.values()):
            session.stop()

    def resume(self) -> None:
        """Takes an earlier `stop` back."""
        for session in self._open.values():
            session.resume()


def _check(session: Session, declared: GraphConfig) -> None:
    for wanted, found in ((declared.inputs, session.inputs), (declared.outputs, session.outputs)):
        expected = {name: (dtype, _fixed(shape)) for name, (dtype, shape) in wanted.items()}
        actual = {name: (info.dtype.name, _fixed(info.shape)) for name, info in found.items()}
        if expected != actual:
            raise BundleError(
                f"{session.path} does not have the inputs and outputs that the manifest says;"
                " export the bundle again."
            )


def _fixed(shape: tuple[int | str, ...]) -> tuple[int | None, ...]:
    """A shape without the names of its free axes, which are for people."""
    return tuple(size if isinstance(size, int) else None for size in shape)

"""Sessions over compiled engines: the surface of `backends.onnxruntime`, the work on the GPU.

Everything a run needs is queued on one stream, which is waited for before a result is read.
"""

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines.backends.cuda_driver import Buffer
from engines.backends.onnxruntime import TensorInfo
from engines.backends.tensorrt_engine import Engine
from engines.errors import Cancelled, DeviceError

Array = NDArray[Any]


class Session:
    """One opened engine: named arrays in, named arrays out, as with ONNX Runtime."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.path = engine.path
        self.providers = ["TensorRT for RTX"]
        self.inputs = _infos(engine.entry.inputs)
        self.outputs = _infos(engine.entry.outputs)
        self._buffers: dict[str, Buffer] = {}
        self._stopped = False

    def run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """Runs the engine once.

        Args:
            feeds: an array for every input, in the input's dtype.

        Raises:
            DeviceMemoryError: the GPU's memory is full.
            DeviceError: the arrays do not fit, or the library or the GPU failed.
            Cancelled: `stop` was called.
        """
        self.refuse_stopped()
        try:
            results = self._run(feeds)
        except DeviceError:
            # What is queued may still read the arrays, and write into those that nobody gets now.
            with suppress(DeviceError):
                self.engine.device.synchronise()
            raise
        self.refuse_stopped()
        for name, result in results.items():
            refuse_not_finite(self.path, name, result)
        return results

    def _run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        engine, device = self.engine, self.engine.device
        device.activate()
        arrays = {name: np.ascontiguousarray(feeds[name]) for name in self.inputs}
        for name, array in arrays.items():
            if array.dtype != self.inputs[name].dtype:
                raise DeviceError(
                    f"{self.path.name} takes {name} as {self.inputs[name].dtype}, not"
                    f" {array.dtype}; report this, and use --device cpu."
                )
            if engine.inputs[name].on_host:
                engine.set_input(name, array.shape, array.ctypes.data)
                continue
            address = self._room(name, array.nbytes)
            engine.set_input(name, array.shape, address)
            device.upload(address, array)
        results = {
            name: np.empty(engine.output_shape(name), info.dtype)
            for name, info in self.outputs.items()
        }
        for name, result in results.items():
            engine.set_address(name, self._room(name, result.nbytes))
        engine.execute()
        for name, result in results.items():
            device.download(result, self._buffers[name].address)
        device.synchronise()
        return results

    def stop(self) -> None:
        """Ends a run that another thread is in, as soon as the GPU has done what it has."""
        self._stopped = True

    def resume(self) -> None:
        """Takes an earlier `stop` back."""
        self._stopped = False

    def refuse_stopped(self) -> None:
        """Raises Cancelled after `stop`."""
        if self._stopped:
            raise Cancelled("The work was stopped.")

    def close(self) -> None:
        """Gives the GPU's memory back."""
        for buffer in self._buffers.values():
            buffer.free()
        self._buffers.clear()
        self.engine.close()

    def _room(self, name: str, nbytes: int) -> int:
        buffer = self._buffers.get(name)
        if buffer is None or buffer.nbytes < nbytes:
            if buffer is not None:
                buffer.free()
            buffer = self._buffers[name] = Buffer(self.engine.device, nbytes)
        return buffer.address


def refuse_not_finite(path: Path, name: str, result: Array) -> None:
    """Raises DeviceError for a result with NaN or infinity in it: 16 bits overflow.

    The graph, which computes in 32, may well give a number.
    """
    if not np.isfinite(result).all():
        raise DeviceError(
            f"{path.name} gave numbers in {name} that are not finite; report this, and use --device"
            " cpu."
        )


def _infos(tensors: Mapping[str, tuple[str, tuple[int | str, ...]]]) -> dict[str, TensorInfo]:
    return {
        name: TensorInfo(shape, np.dtype("float16" if dtype == "bfloat16" else dtype))
        for name, (dtype, shape) in tensors.items()
    }

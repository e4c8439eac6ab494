"""NVIDIA's driver through cuda-bindings: the GPUs that are here, their memory, a stream of work.

It is the driver's own interface and not CUDA's runtime library: that one refuses every driver older
than itself, this one takes the driver that is installed. TensorRT works in a device's primary
context, so that is the one to hold. Addresses are plain numbers, of the GPU unless said otherwise.
"""

import ctypes
import weakref
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from engines.errors import DeviceError, DeviceMemoryError

Array = NDArray[Any]

_NAME_BYTES = 256
NO_GPU = "There is no NVIDIA GPU here; use --device cpu."


@dataclass(frozen=True)
class Gpu:
    """A GPU of this machine.

    Attributes:
        ordinal: its number in CUDA's order.
        name: as its maker calls it.
        capability: compute capability (major, minor).
        total_bytes: its memory.
        cuda: the newest CUDA that its driver serves, as the driver writes it: 12090 is 12.9.
    """

    ordinal: int
    name: str
    capability: tuple[int, int]
    total_bytes: int
    cuda: int

    @property
    def arch(self) -> str:
        """The architecture that engines are built for, such as sm89."""
        return "sm{}{}".format(*self.capability)


@lru_cache(maxsize=1)
def library() -> Any:
    """The module `cuda.bindings.driver`, imported once.

    Raises:
        DeviceError: it is not installed.
    """
    try:
        from cuda.bindings import driver
    except ImportError as error:
        raise DeviceError(
            f"CUDA's Python bindings could not be loaded ({error}); install them with: pip install"
            " cuda-bindings."
        ) from error
    return driver


def call(function: str, *arguments: Any) -> Any:
    """Calls a function of the driver and returns what it gives beside its status.

    Raises:
        DeviceMemoryError: the GPU's memory, or memory it can reach, is full.
        DeviceError: there is no driver, or the call failed.
    """
    return _call(library(), function, arguments)


def _call(cuda: Any, function: str, arguments: tuple[Any, ...]) -> Any:
    try:
        status, *values = getattr(cuda, function)(*arguments)
    except RuntimeError as error:  # The driver's library is not there, or lacks the function.
        raise DeviceError(
            "There is no NVIDIA driver that this program can use; install the driver of your GPU,"
            " or use --device cpu."
        ) from error
    if status == cuda.CUresult.CUDA_SUCCESS:
        return values[0] if len(values) == 1 else tuple(values)
    if status == cuda.CUresult.CUDA_ERROR_OUT_OF_MEMORY:
        raise DeviceMemoryError(
            "The GPU's memory is full; close other programs that use it, take fewer frames, or use"
            " --device cpu."
        )
    if status == cuda.CUresult.CUDA_ERROR_NO_DEVICE:
        raise DeviceError(NO_GPU)
    raise DeviceError(
        f"The GPU failed ({function}: {getattr(status, 'name', status)}); try again, or use"
        " --device cpu."
    )


def gpus() -> tuple[Gpu, ...]:
    """The NVIDIA GPUs of this machine.

    Raises:
        DeviceError: the bindings or the driver are not there, or the driver failed.
    """
    call("cuInit", 0)
    version = int(call("cuDriverGetVersion"))
    return tuple(_gpu(ordinal, version) for ordinal in range(call("cuDeviceGetCount")))


def _gpu(ordinal: int, version: int) -> Gpu:
    attribute = library().CUdevice_attribute
    handle = call("cuDeviceGet", ordinal)
    name: bytes = call("cuDeviceGetName", _NAME_BYTES, handle)
    major, minor = (
        int(call("cuDeviceGetAttribute", wanted, handle))
        for wanted in (
            attribute.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR,
            attribute.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR,
        )
    )
    total = int(call("cuDeviceTotalMem", handle))
    text = name.split(b"\0")[0].decode(errors="replace").strip()
    return Gpu(ordinal, text, (major, minor), total, version)


class _Memory:
    """What the driver gave out; given back by `free`, or when nothing refers to it any more.

    Attributes:
        address: where it begins; 0 when it was given back.
    """

    _freed_by: ClassVar[str]

    def __init__(self, device: "Device") -> None:
        self.address = 0
        self._device = device
        device.activate()

    def free(self) -> None:
        """Gives it back when the stream is done with it; no view of it may be used then."""
        address, self.address = self.address, 0
        if address and not self._device.closed:
            # A GPU that has failed gives nothing back, and that is no news by then.
            with suppress(DeviceError):
                self._device.activate()
                self._device.synchronise()
            with suppress(DeviceError):
                self._device.call(self._freed_by, address)

    def __del__(self) -> None:
        # Also where the constructor failed, and while the interpreter ends.
        with suppress(Exception):
            self.free()


class Buffer(_Memory):
    """Memory of a GPU.

    Attributes:
        address: where it begins; a multiple of 256.
        nbytes: its size.
    """

    _freed_by = "cuMemFree"

    def __init__(self, device: "Device", nbytes: int) -> None:
        super().__init__(device)
        self.nbytes = max(1, nbytes)  # The driver refuses to give out nothing.
        self.address = int(device.call("cuMemAlloc", self.nbytes))
        device.given.add(self)


class Staging(_Memory):
    """Page-locked memory of this computer, which the GPU copies from and to without a detour.

    Attributes:
        array: (nbytes,) uint8, the memory itself.
        address: where it begins, an address of this computer.
    """

    _freed_by = "cuMemFreeHost"

    def __init__(self, device: "Device", nbytes: int) -> None:
        super().__init__(device)
        size = max(1, nbytes)
        self.address = int(device.call("cuMemHostAlloc", size, 0))
        self.array: Array = np.ctypeslib.as_array(
            (ctypes.c_uint8 * size).from_address(self.address)
        )
        device.given.add(self)


class Device:
    """An opened GPU: its primary context, and one stream that all work of ours goes through.

    Attributes:
        gpu: which one.
        stream: the stream's handle, as a number.
        closed: whether it was given back.
        given: the memory of it that is in use.
    """

    def __init__(self, gpu: Gpu) -> None:
        """Opens a GPU; DeviceError when the driver refuses."""
        self.gpu = gpu
        # Kept: memory may be given back at any moment, also in the middle of loading a library.
        self.cuda = library()
        self.closed = False
        self.given: weakref.WeakSet[_Memory] = weakref.WeakSet()
        self.call("cuInit", 0)
        self._handle = self.call("cuDeviceGet", gpu.ordinal)
        self._context = self.call("cuDevicePrimaryCtxRetain", self._handle)
        try:
            self.activate()
            # The default stream would make TensorRT wait for everything else on the GPU.
            own = self.cuda.CUstream_flags.CU_STREAM_NON_BLOCKING
            self._stream = self.call("cuStreamCreate", own)
        except DeviceError:
            with suppress(DeviceError):
                self.call("cuDevicePrimaryCtxRelease", self._handle)
            raise
        self.stream = int(self._stream)

    def call(self, function: str, *arguments: Any) -> Any:
        """Calls a function of the driver that this GPU was opened with, as `call` does."""
        return _call(self.cuda, function, arguments)

    def activate(self) -> None:
        """Makes the GPU the current one of this thread."""
        self.call("cuCtxSetCurrent", self._context)

    def memory(self) -> tuple[int, int]:
        """Bytes (free, in all), as the driver says now."""
        self.activate()
        free, total = self.call("cuMemGetInfo")
        return int(free), int(total)

    def upload(self, address: int, source: Array) -> None:
        """Queues a copy of a contiguous array to the GPU; it must stay as it is until then."""
        self.call(
            "cuMemcpyHtoDAsync", self._at(address), source.ctypes.data, source.nbytes, self._stream
        )

    def download(self, target: Array, address: int) -> None:
        """Queues a copy into a contiguous array; it holds the values after `synchronise`."""
        self.call(
            "cuMemcpyDtoHAsync", target.ctypes.data, self._at(address), target.nbytes, self._stream
        )

    def copy(self, target: int, source: int, nbytes: int) -> None:
        """Queues a copy within the GPU."""
        self.call("cuMemcpyDtoDAsync", self._at(target), self._at(source), nbytes, self._stream)

    def clear(self, buffer: Buffer) -> None:
        """Queues filling a buffer with zeros."""
        self.call("cuMemsetD8Async", self._at(buffer.address), 0, buffer.nbytes, self._stream)

    def synchronise(self) -> None:
        """Waits for everything queued; failures of queued work arrive here."""
        self.call("cuStreamSynchronize", self._stream)

    def time_copies(self, nbytes: int, times: int) -> float:
        """Seconds that so many copies of `nbytes` within the GPU take, by its own clock.

        Raises:
            DeviceMemoryError: two buffers of that size are not free.
        """
        source, target = Buffer(self, nbytes), Buffer(self, nbytes)
        events: list[Any] = []
        try:
            events += [self.call("cuEventCreate", 0)]
            events += [self.call("cuEventCreate", 0)]
            started, ended = events
            self.clear(source)
            self.copy(target.address, source.address, nbytes)  # Clocks rise with the first work.
            self.call("cuEventRecord", started, self._stream)
            for _ in range(times):
                self.copy(target.address, source.address, nbytes)
            self.call("cuEventRecord", ended, self._stream)
            self.synchronise()
            return float(self.call("cuEventElapsedTime", started, ended)) / 1e3
        finally:
            for event in events:
                with suppress(DeviceError):
                    self.call("cuEventDestroy", event)
            source.free()
            target.free()

    def close(self) -> None:
        """Gives everything back: memory that is still in use, the stream, the context."""
        if self.closed:
            return
        for memory in list(self.given):
            memory.free()
        with suppress(DeviceError):
            self.activate()
            self.call("cuStreamDestroy", self._stream)
        self.closed = True
        with suppress(DeviceError):
            self.call("cuDevicePrimaryCtxRelease", self._handle)

    def _at(self, address: int) -> Any:
        return self.cuda.CUdeviceptr(address)

"""A graph under construction: nodes named as paths, weights written to a data file at once.

Only node records and small constants are held in memory. A weight goes to the data file the moment
it is given, so that a decoder of any size is written layer by layer.
"""

from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import ml_dtypes
import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper

from export import PRODUCER
from export.graph.exact import part_bytes

Array = NDArray[Any]
Shape = Sequence[int | str]
MICROSOFT = "com.microsoft"
# Constants up to here stay in the .onnx file; shape inference needs to see them.
INLINE_BYTES = 1024
# Large tensors start where Windows can map them.
ALIGNMENT, LARGE_ALIGNMENT, LARGE_BYTES = 64, 1 << 16, 1 << 20
ELEMENT_TYPES = {
    np.dtype(np.float32): TensorProto.FLOAT,
    np.dtype(np.float16): TensorProto.FLOAT16,
    np.dtype(ml_dtypes.bfloat16): TensorProto.BFLOAT16,
    np.dtype(np.int64): TensorProto.INT64,
    np.dtype(np.int32): TensorProto.INT32,
    np.dtype(np.uint8): TensorProto.UINT8,
    np.dtype(np.int8): TensorProto.INT8,
}
TYPE_NAMES = {
    TensorProto.FLOAT: "float32",
    TensorProto.FLOAT16: "float16",
    TensorProto.BFLOAT16: "bfloat16",
    TensorProto.INT64: "int64",
    TensorProto.INT32: "int32",
    TensorProto.BOOL: "bool",
}
COMPUTE_TYPES: dict[int, np.dtype[Any]] = {
    TensorProto.FLOAT: np.dtype(np.float32),
    TensorProto.FLOAT16: np.dtype(np.float16),
    TensorProto.BFLOAT16: np.dtype(ml_dtypes.bfloat16),
}


class DataFile:
    """External data that one or several graphs point into; bytes are appended in order."""

    def __init__(self, path: Path, keep: bool = False) -> None:
        """Begin a file.

        Args:
            path: Where it lies.
            keep: Leave what is there behind the bytes that are written, for `resume`.
        """
        self.path = path
        self._file = path.open("rb+" if keep and path.exists() else "wb")
        self._size = 0

    def append(self, array: Array) -> tuple[int, int]:
        """Write an array's bytes and return their offset and length."""
        step = LARGE_ALIGNMENT if array.nbytes >= LARGE_BYTES else ALIGNMENT
        padding = -self._size % step
        self._file.write(b"\0" * padding)
        offset = self._size + padding
        self._file.write(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
        self._size = offset + array.nbytes
        return offset, array.nbytes

    def flush(self) -> int:
        """Give the system what was written so far; returns its length."""
        self._file.flush()
        return self._size

    def resume(self, size: int) -> None:
        """Go on behind the first `size` bytes of what an earlier run wrote."""
        self._file.truncate(size)
        self._file.seek(size)
        self._size = size

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()


class Graph:
    """One ONNX graph.

    Attributes:
        compute: Element type of matrix products: FLOAT, FLOAT16, or BFLOAT16 for compilers alone;
            norms and sums are float32.
    """

    def __init__(self, name: str, data: DataFile, compute: int, opset: int = 23) -> None:
        self.name = name
        self.data = data
        self.compute = compute
        self.opset = opset
        self._nodes: list[Any] = []
        self._initializers: list[Any] = []
        self._inputs: list[Any] = []
        self._outputs: list[Any] = []
        self._names: set[str] = set()

    def input(self, name: str, element: int, shape: Shape) -> str:
        """Declare an input; a str in the shape is a free axis."""
        self._claim(name)
        self._inputs.append(helper.make_tensor_value_info(name, element, list(shape)))
        return name

    def output(self, name: str, element: int, shape: Shape) -> None:
        """Declare a value some node has given the name of an output."""
        self._outputs.append(helper.make_tensor_value_info(name, element, list(shape)))

    def node(self, op: str, inputs: Sequence[str], path: str, **attributes: Any) -> str:
        """Add a node with one output and return it; `outputs=[name]` names it."""
        return self.nodes(op, inputs, path, 1, **attributes)[0]

    def nodes(
        self, op: str, inputs: Sequence[str], path: str, count: int, **attributes: Any
    ) -> list[str]:
        """Add a node with several outputs and return them.

        `domain` and `outputs` are not attributes: the operator's domain, and names for the outputs
        in place of `<path>/<op>/output_<i>`.
        """
        name = f"{path}/{op}"
        outputs = attributes.pop("outputs", None) or [f"{name}/output_{i}" for i in range(count)]
        for value in (name, *outputs):
            self._claim(value)
        self._nodes.append(helper.make_node(op, list(inputs), outputs, name, **attributes))
        return list(outputs)

    def constant(self, path: str, value: Array) -> str:
        """Add a small constant that stays inside the .onnx file."""
        value = np.asarray(value)
        self._claim(path)
        self._initializers.append(onnx.numpy_helper.from_array(value, path))
        return path

    def weight(self, path: str, value: Array) -> str:
        """Add a float32, float16 or integer weight, in the data file unless it is small."""
        if value.nbytes <= INLINE_BYTES:
            return self.constant(path, value)
        return self.raw_weight(path, value, ELEMENT_TYPES[value.dtype], value.shape)

    def raw_weight(self, path: str, data: Array, element: int, shape: Sequence[int]) -> str:
        """Add a weight whose bytes are `data` but whose type numpy does not know, such as INT4."""
        self._claim(path)
        offset, length = self.data.append(data)
        tensor = TensorProto(name=path, data_type=element, dims=list(shape))
        tensor.data_location = TensorProto.EXTERNAL
        place = {"location": self.data.path.name, "offset": offset, "length": length}
        for key, value in place.items():
            tensor.external_data.add(key=key, value=str(value))
        self._initializers.append(tensor)
        return path

    def matrix(self, path: str, value: Array) -> str:
        """Add a weight of matrix products, in their element type."""
        return self.weight(path, np.ascontiguousarray(value, dtype=COMPUTE_TYPES[self.compute]))

    def to_compute(self, value: str, path: str) -> str:
        """Turn a float32 value into the element type of matrix products."""
        if self.compute == TensorProto.FLOAT:
            return value
        return self.node("Cast", [value], f"{path}/to_compute", to=self.compute)

    def to_float(self, value: str, path: str) -> str:
        """Turn the result of a matrix product into float32."""
        if self.compute == TensorProto.FLOAT:
            return value
        return self.node("Cast", [value], f"{path}/to_float", to=TensorProto.FLOAT)

    def save(self, path: Path, accuracy_level: int | None = None) -> None:
        """Write the .onnx file; its data file lies beside it.

        Args:
            path: Where to.
            accuracy_level: Given to every MatMulNBits node: 4 multiplies in int8, 0 in float32.
        """
        graph = helper.make_graph(
            self._nodes, self.name, self._inputs, self._outputs, self._initializers
        )
        used = {node.domain for node in self._nodes}
        opsets = [helper.make_opsetid("", self.opset)]
        opsets += [helper.make_opsetid(MICROSOFT, 1)] if MICROSOFT in used else []
        model = helper.make_model(
            graph,
            opset_imports=opsets,
            producer_name=PRODUCER,
            ir_version=helper.find_min_ir_version_for(opsets[:1]),
        )
        if accuracy_level is not None:
            _set_accuracy_level(model, accuracy_level)
        if accuracy_level == 0:
            part_bytes(model)
        path.write_bytes(model.SerializeToString())

    def fix_axis(self, axis: str, size: int) -> None:
        """Give a free axis of inputs and outputs a size."""
        for value in (*self._inputs, *self._outputs):
            for dimension in value.type.tensor_type.shape.dim:
                if dimension.dim_param == axis:
                    dimension.dim_value = size  # One of: the name goes.

    def to_bytes(self) -> bytes:
        """Return all nodes, inputs, outputs and records of weights so far, to `restore` them."""
        graph = helper.make_graph(
            self._nodes, self.name, self._inputs, self._outputs, self._initializers
        )
        data: bytes = graph.SerializeToString()
        return data

    def restore(self, data: bytes) -> None:
        """Take the place of a graph of the same name that `to_bytes` was called for."""
        graph = onnx.GraphProto.FromString(data)
        self._nodes, self._inputs = list(graph.node), list(graph.input)
        self._outputs, self._initializers = list(graph.output), list(graph.initializer)
        self._names = {value.name for value in [*self._inputs, *self._initializers]}
        for node in self._nodes:
            self._names |= {node.name, *node.output}

    def signature(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return inputs and outputs as the manifest lists them: name to (dtype, shape)."""
        return _signature(self._inputs), _signature(self._outputs)

    def _claim(self, name: str) -> None:
        # A second node of the same name would replace the first one without a word.
        if name in self._names:
            raise ValueError(f"{name} is already in graph {self.name}")
        self._names.add(name)


def _set_accuracy_level(model: Any, level: int) -> None:
    for node in model.graph.node:
        if node.op_type == "MatMulNBits":
            node.attribute.append(helper.make_attribute("accuracy_level", level))


def _signature(values: Sequence[Any]) -> dict[str, Any]:
    found = {}
    for value in values:
        tensor = value.type.tensor_type
        shape = tuple(d.dim_param or d.dim_value for d in tensor.shape.dim)
        found[value.name] = (TYPE_NAMES[tensor.elem_type], shape)
    return found

"""The exact flavour's 8-bit matrices as two of 4 bits, parted when the graph is loaded.

ONNX Runtime's CPU multiplies 4-bit codes by float32 activations as it reads them, but spreads a
matrix of 8-bit codes out to float32 as a whole for every token: 440 ms instead of 15 for an
output matrix of 32,000 rows. A code c of -128 to 127, stored as u = c + 128, is 16 * (h - 8) + l
with the halves h and l of u, so the product is the same. The nodes that part the halves have
constant inputs: the runtime folds them once, and the data file keeps one copy of the codes.
"""

from typing import Any

import numpy as np
from onnx import helper, numpy_helper


def part_bytes(model: Any) -> None:
    """Replace every MatMulNBits of 8 bits without zero points, in place, by two of 4 bits."""
    shapes = {tensor.name: list(tensor.dims) for tensor in model.graph.initializer}
    nodes = []
    for node in model.graph.node:
        if node.op_type != "MatMulNBits" or _bits(node) != 8 or any(node.input[3:4]):
            nodes.append(node)
            continue
        parts = _Parts(node.name)
        parts.write(node, shapes[node.input[1]])
        nodes += parts.nodes
        model.graph.initializer.extend(parts.constants)
    del model.graph.node[:]
    model.graph.node.extend(nodes)


class _Parts:
    """The nodes and constants that stand for one product."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def write(self, node: Any, shape: list[int]) -> None:
        x, codes, scales, *others = node.input
        rows, groups, _ = shape
        pairs = self.node("Reshape", [codes, self.constant("pairs", [rows, groups, -1, 2])])
        last = self.constant("last", [-1])
        first, second = (
            self.node("Squeeze", [one, last])
            for one in self.split(pairs, self.constant("one_each", [1, 1]))
        )
        four = self.constant("four", 4, np.uint8)
        keep_low = self.constant("keep_low", 0x0F, np.uint8)
        keep_high = self.constant("keep_high", 0xF0, np.uint8)
        # Of two codes that stand side by side, the first goes into the lower half of a byte.
        high = self.node(
            "BitwiseOr",
            [
                self.node("BitShift", [first, four], direction="RIGHT"),
                self.node("BitwiseAnd", [second, keep_high]),
            ],
        )
        low = self.node(
            "BitwiseOr",
            [
                self.node("BitwiseAnd", [first, keep_low]),
                self.node("BitShift", [second, four], direction="LEFT"),
            ],
        )
        sixteen = self.node("CastLike", [self.constant("sixteen", 16, np.float32), scales])
        zeros = self.node(
            "ConstantOfShape",
            [self.constant("zeros_shape", [rows, (groups + 1) // 2])],
            value=numpy_helper.from_array(np.zeros(1, np.uint8)),
        )
        high_scales = self.node("Mul", [scales, sixteen])
        products = [
            self.product(node, [x, high, high_scales, "", *others[1:]]),
            self.product(node, [x, low, scales, zeros]),
        ]
        self.nodes.append(helper.make_node("Add", products, node.output, f"{self.path}/Add"))

    def product(self, node: Any, inputs: list[str]) -> str:
        while not inputs[-1]:
            inputs.pop()
        attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
        return self.node("MatMulNBits", inputs, domain=node.domain, **{**attributes, "bits": 4})

    def split(self, value: str, sizes: str) -> list[str]:
        name = f"{self.path}/parts/{len(self.nodes)}"
        outputs = [f"{name}/first", f"{name}/second"]
        self.nodes.append(helper.make_node("Split", [value, sizes], outputs, name, axis=-1))
        return outputs

    def node(self, op: str, inputs: list[str], **attributes: Any) -> str:
        name = f"{self.path}/parts/{len(self.nodes)}/{op}"
        self.nodes.append(helper.make_node(op, inputs, [f"{name}/output"], name, **attributes))
        return f"{name}/output"

    def constant(self, name: str, value: Any, dtype: Any = np.int64) -> str:
        path = f"{self.path}/parts/{name}"
        self.constants.append(numpy_helper.from_array(np.asarray(value, dtype), path))
        return path


def _bits(node: Any) -> int:
    return next((int(a.i) for a in node.attribute if a.name == "bits"), 4)

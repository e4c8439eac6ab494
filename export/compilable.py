"""Encoders in a form that a compiler takes, where the bundle's own graph is not one.

TensorRT has kernels for attention in 16 bits alone, and crashes when it takes an Attention in 32
apart itself; BEATs' scores need 32. So each such node is spelt out in plain operators.
"""

import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from google.protobuf.message import DecodeError
from onnx import TensorProto, helper, numpy_helper

from engines.errors import ExportError
from export.external_data import place_of
from export.graph.builder import Array

HEADS_FIRST, KEYS = (0, 2, 1, 3), (0, 2, 3, 1)


def write_plain_attention(source: Path, target: Path) -> None:
    """Write a graph again with its Attention nodes in plain operators; its weights are shared.

    Args:
        source: The .onnx file, weights beside it.
        target: Where it goes, on the same disk.

    Raises:
        ExportError: the graph is not as `vl2-export` writes it.
        OSError: the disk is full or failed.
    """
    try:
        model = onnx.load(source, load_external_data=False)
        nodes = _spelt_out(model.graph)
    except (KeyError, ValueError, ArithmeticError, DecodeError) as error:
        raise ExportError(
            f"{source} is not a graph as vl2-export writes it, so no engine can be made of it;"
            " export the bundle again."
        ) from error
    old = model.graph
    graph = helper.make_graph(nodes, old.name, old.input, old.output, old.initializer)
    model.graph.CopyFrom(graph)
    external = (t for t in old.initializer if t.data_location == TensorProto.EXTERNAL)
    for file in {place_of(tensor, source).file for tensor in external}:
        _share(file, target.parent / file.name)
    target.write_bytes(model.SerializeToString())


def _spelt_out(graph: Any) -> list[Any]:
    """Return a graph's nodes without Attention; the constants that this takes join its own."""
    widths = {tensor.name: tensor.dims[-1:] for tensor in graph.initializer}
    nodes = []
    for node in graph.node:
        if node.op_type != "Attention":
            nodes.append(node)
            continue
        (width,) = widths[node.name.removesuffix("Attention") + "q_proj.weight"]
        spelt = list(_plain(node, width))
        nodes += [part for part in spelt if isinstance(part, onnx.NodeProto)]
        graph.initializer.extend(part for part in spelt if isinstance(part, TensorProto))
    return nodes


def _plain(node: Any, width: int) -> Iterator[Any]:
    """Yield the constants and nodes that compute what an Attention of (B, L, width) does."""
    path = node.name
    attributes: Mapping[str, Any] = {
        found.name: helper.get_attribute_value(found) for found in node.attribute
    }
    heads = attributes["q_num_heads"]
    scale = attributes.get("scale", (width // heads) ** -0.5)

    def constant(name: str, value: Array) -> Any:
        return numpy_helper.from_array(value, f"{path}/{name}")

    def step(op: str, inputs: list[str], name: str, **more: Any) -> Any:
        inputs = [value if value in node.input else f"{path}/{value}" for value in inputs]
        return helper.make_node(op, inputs, [f"{path}/{name}"], f"{path}/{name}/{op}", **more)

    yield constant("split", np.asarray([0, 0, heads, width // heads], np.int64))
    yield constant("join", np.asarray([0, 0, width], np.int64))
    yield constant("scale", np.asarray(scale, np.float32))
    orders = (HEADS_FIRST, KEYS, HEADS_FIRST)
    for name, value, order in zip("qkv", node.input[:3], orders, strict=True):
        yield step("Reshape", [value, "split"], f"{name}_split")
        yield step("Transpose", [f"{name}_split"], name, perm=order)
    yield step("MatMul", ["q", "k"], "products")
    yield step("Mul", ["products", "scale"], "scores")
    biased = len(node.input) > 3
    if biased:
        yield step("Add", ["scores", node.input[3]], "biased")
    yield step("Softmax", ["biased" if biased else "scores"], "shares", axis=-1)
    yield step("MatMul", ["shares", "v"], "mixed")
    yield step("Transpose", ["mixed"], "rows", perm=HEADS_FIRST)
    last = step("Reshape", ["rows", "join"], "out")
    last.output[0] = node.output[0]
    yield last


def _share(source: Path, target: Path) -> None:
    """Let two folders have a file, without a second copy where the file system can do that."""
    if target.exists():
        return
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)

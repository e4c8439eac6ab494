"""The tiny decoder in the form that is compiled, and what a list of engines says of a graph."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from engines.backends.onnxruntime import open_session
from engines.engine_files import EngineFile

HIDDEN, HEADS, KV_HEADS, WIDTH, VOCAB, LAYERS = 64, 4, 2, 16, 263, 2


def write_standard_decoder(decoder: Path, path: Path, capacity: int | str = "C") -> Path:
    """Writes the decoder of the tiny bundle in standard operators, over the same weights.

    Args:
        decoder: the one for ONNX Runtime.
        path: the file to write.
        capacity: of the cache, where that is fixed.
    """
    given = {
        tensor.name: numpy_helper.to_array(tensor)
        for tensor in onnx.load(decoder).graph.initializer
    }
    nodes: list[Any] = []

    def node(op: str, inputs: list[str], output: str, **attributes: Any) -> str:
        nodes.append(helper.make_node(op, inputs, [output], **attributes))
        return output

    constants = {name: array for name, array in given.items() if name not in ("cos", "sin")}
    for name in ("cos", "sin"):
        constants[f"{name}_table"] = np.concatenate([given[name]] * 2, axis=1)
        node("Gather", [f"{name}_table", "position_ids"], f"{name}_rows")
        node("Unsqueeze", [f"{name}_rows", "axis"], name)
    for name, count in (("q", HEADS), ("kv", KV_HEADS)):
        constants[f"{name}_shape"] = np.array([0, 0, count, WIDTH])
    constants |= {"flat": np.array([0, 0, HEADS * WIDTH]), "last": np.array([-1])}
    x = "inputs_embeds"
    caches = []
    for i in range(LAYERS):
        normed = node("RMSNormalization", [x, "ones"], f"{i}.norm", epsilon=1e-6)
        heads = {}
        for part in "qkv":
            y = node("MatMul", [normed, f"{i}.w{part}"], f"{i}.{part}")
            y = node("Reshape", [y, "q_shape" if part == "q" else "kv_shape"], f"{i}.{part}.4")
            y = node("Transpose", [y], f"{i}.{part}.t", perm=[0, 2, 1, 3])
            if part != "v":
                nodes.append(
                    helper.make_node("Split", [y], [f"{y}.a", f"{y}.b"], axis=-1, num_outputs=2)
                )
                node("Neg", [f"{y}.b"], f"{y}.n")
                node("Concat", [f"{y}.n", f"{y}.a"], f"{y}.r", axis=-1)
                y = node(
                    "Add",
                    [node("Mul", [y, "cos"], f"{y}.c"), node("Mul", [f"{y}.r", "sin"], f"{y}.s")],
                    f"{y}.o",
                )
            heads[part] = y
        for part, name in (("k", "key"), ("v", "value")):
            cache = f"{i}.{name}"
            node(
                "TensorScatter",
                [f"past_key_values.{cache}", heads[part], "write_indices"],
                f"present.{cache}",
                axis=2,
            )
            caches.append(cache)
        y = node(
            "Attention",
            [heads["q"], f"present.{i}.key", f"present.{i}.value", "attention_mask"],
            f"{i}.attended",
            scale=WIDTH**-0.5,
        )
        y = node("Transpose", [y], f"{i}.back", perm=[0, 2, 1, 3])
        y = node("MatMul", [node("Reshape", [y, "flat"], f"{i}.flat"), f"{i}.wo"], f"{i}.o")
        x = node("Add", [x, y], f"{i}.out")
    node("Slice", [x, "last", "end", "axis"], "kept")
    node("MatMul", ["kept", "lm_head"], "logits")
    floats, ids = TensorProto.FLOAT, TensorProto.INT64
    cache_shape = [1, KV_HEADS, capacity, WIDTH]
    inputs = [
        helper.make_tensor_value_info("inputs_embeds", floats, [1, "L", HIDDEN]),
        helper.make_tensor_value_info("position_ids", ids, [1, "L"]),
        helper.make_tensor_value_info("write_indices", ids, [1]),
        helper.make_tensor_value_info("attention_mask", TensorProto.BOOL, [1, 1, "L", capacity]),
        *(
            helper.make_tensor_value_info(f"past_key_values.{c}", floats, cache_shape)
            for c in caches
        ),
    ]
    outputs = [
        helper.make_tensor_value_info("logits", floats, [1, 1, VOCAB]),
        *(helper.make_tensor_value_info(f"present.{c}", floats, cache_shape) for c in caches),
    ]
    used = {name for n in nodes for name in n.input}
    initializers = [numpy_helper.from_array(v, n) for n, v in constants.items() if n in used]
    graph = helper.make_graph(nodes, "decoder", inputs, outputs, initializers)
    opsets = [helper.make_opsetid("", 24)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=11), path)
    return path


def entry_of(model: Path, longest: int = 16, positions: tuple[int, int] = (32, 96)) -> EngineFile:
    """What a list of engines says about a graph: the graph's own inputs and outputs."""
    session = open_session(model, threads=1)
    tensors = [
        {name: (info.dtype.name, info.shape) for name, info in infos.items()}
        for infos in (session.inputs, session.outputs)
    ]
    least, most = positions
    profile = ((1, 1, 1, least), (1, 1, 1, least), (1, 1, longest, most))
    return EngineFile(
        file=f"{model.stem}.engine",
        size=1,
        sha256="ab",
        graph_file=model.name,
        graph_sha256="cd",
        dtype="fp32",
        inputs=tensors[0],
        outputs=tensors[1],
        profiles={"attention_mask": profile} if "attention_mask" in tensors[0] else {},
        weights_bytes=1,
        activation_bytes=1,
        build_s=0.0,
    )

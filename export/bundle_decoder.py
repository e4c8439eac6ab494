"""A bundle's decoder read back from its graph, to be written in another form.

What a compiler takes is made of the very integers that ONNX Runtime multiplies by, so a bundle
keeps one copy of them, and engines can be built of any bundle without its checkpoint.
"""

import math
import mmap
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnx
import torch
from google.protobuf.message import DecodeError
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor

from engines.errors import ExportError
from export.external_data import place_of
from export.graph.builder import COMPUTE_TYPES, Array, DataFile, Graph
from export.graph.decoder import (
    MLP_NAMES,
    DecoderWriter,
    FeedForwardWeights,
    LayerWeights,
    expert_path,
)
from export.graph.decoder_tensorrt import OPSET, with_tables
from export.graph.layers import LinearWeight
from export.reference.decoder import DecoderConfig
from quant.grid import Quantised
from quant.pack import from_matmul_nbits

Kind = Literal["fp16", "bf16"]
COMPUTE: Mapping[Kind, int] = {"fp16": TensorProto.FLOAT16, "bf16": TensorProto.BFLOAT16}
EXPERT_NAMES = ("w1", "w3", "w2")
# What a graph gives rise to that is no graph, or not of our form.
_ODD = (KeyError, IndexError, ValueError, TypeError, ArithmeticError, RuntimeError, DecodeError)


class NotCompilable(ExportError):
    """A decoder that ONNX Runtime runs has what a compiler does not take."""


class BundleDecoder:
    """The decoder in a bundle's `decoder.onnx`, its weights mapped and unpacked one at a time.

    Attributes:
        config: Its geometry; positions turn by `tables`, whatever `rope_theta` says.
        tables: Cosines and sines (positions, half a head), float32.

    Raises NotCompilable when it has what the other form cannot hold, ExportError when it is not a
    graph that `vl2-export` writes.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with self._reading():
            model = onnx.load(path, load_external_data=False)
            self._tensors = {tensor.name: tensor for tensor in model.graph.initializer}
            self._nodes = {node.name: node for node in model.graph.node}
            self._maps: dict[Path, mmap.mmap] = {}
            self.tables = self._tensor("/rotary/cos"), self._tensor("/rotary/sin")
            self.config = self._read_config(model.graph)

    def layer(self, index: int) -> LayerWeights:
        """Return the weights of a layer, unpacked."""
        with self._reading():
            return self._layer(index)

    def _layer(self, index: int) -> LayerWeights:
        path = f"/model/layers.{index}"
        q, k, v, o = (
            self._linear(f"{path}/self_attn/{name}")
            for name in ("q_proj", "k_proj", "v_proj", "o_proj")
        )
        moe = f"{path}/block_sparse_moe"
        experts = [expert_path(e) for e in range(self.config.num_local_experts)]
        return LayerWeights(
            input_layernorm=self._tensor(f"{path}/input_layernorm.weight"),
            post_attention_layernorm=self._tensor(f"{path}/post_attention_layernorm.weight"),
            q_proj=q,
            k_proj=k,
            v_proj=v,
            o_proj=o,
            mlp=None if experts else self._feed_forward(f"{path}/mlp", MLP_NAMES),
            router=self._tensor(f"{moe}/gate.weight").T if experts else None,
            experts=tuple(
                self._feed_forward(f"{path}/{name.replace('.', '/', 1)}", EXPERT_NAMES)
                for name in experts
            ),
        )

    def norm(self) -> Tensor:
        """Return the weight of the last norm."""
        with self._reading():
            return self._tensor("/model/norm.weight")

    def head(self) -> LinearWeight:
        """Return the output matrix."""
        with self._reading():
            return self._linear("/lm_head")

    def _feed_forward(self, path: str, names: tuple[str, str, str]) -> FeedForwardWeights:
        gate, up, down = (self._linear(f"{path}/{name}") for name in names)
        return FeedForwardWeights(gate, up, down, names)

    def _linear(self, path: str) -> LinearWeight:
        bias = self._tensor(f"{path}.bias") if f"{path}.bias" in self._tensors else None
        if f"{path}.weight_codes" not in self._tensors:
            # (K, N), and in 16 bits where the graph has it so.
            stored = self._array(f"{path}.weight")
            return LinearWeight(torch.from_numpy(stored.copy()).T, bias)
        bits = _attributes(self._nodes[f"{path}/MatMulNBits"])["bits"]
        codes = from_matmul_nbits(self._array(f"{path}.weight_codes"), bits)
        scales = self._tensor(f"{path}.weight_scales").reshape(len(codes), -1)
        return LinearWeight(Quantised(torch.from_numpy(codes), scales, bits), bias)

    def _read_config(self, graph: Any) -> DecoderConfig:
        if any(name.endswith((".weight_zeros", ".weight_order")) for name in self._tensors):
            raise NotCompilable(
                f"{self.path} has int4 weights with zero points or sorted columns, which TensorRT"
                " does not take; the decoder stays with ONNX Runtime."
            )
        inputs = {value.name: value.type.tensor_type.shape.dim for value in graph.input}
        outputs = {value.name: value.type.tensor_type.shape.dim for value in graph.output}
        attention = [
            _attributes(node) for node in graph.node if node.op_type == "GroupQueryAttention"
        ]
        windows = tuple(_window(found) for found in attention)
        if len(set(windows)) > 1:
            raise NotCompilable(
                f"{self.path} has layers with and without a sliding window, which one mask cannot"
                " tell apart; the decoder stays with ONNX Runtime."
            )
        first = "/model/layers.0"
        heads = attention[0]["num_heads"]
        experts = f"{first}/block_sparse_moe"
        routed = f"{experts}/k" in self._tensors
        gate = f"{experts}/experts.0/w1" if routed else f"{first}/mlp/gate_proj"
        return DecoderConfig(
            hidden_size=inputs["inputs_embeds"][2].dim_value,
            intermediate_size=self._rows(gate),
            num_hidden_layers=len(attention),
            num_attention_heads=heads,
            num_key_value_heads=attention[0]["kv_num_heads"],
            head_dim=self._rows(f"{first}/self_attn/q_proj") // heads,
            vocab_size=outputs["logits"][2].dim_value,
            max_position_embeddings=len(self.tables[0]),
            rms_norm_eps=_attributes(self._nodes[f"{first}/input_layernorm/RMSNormalization"])[
                "epsilon"
            ],
            rope_theta=1.0,
            qkv_bias=f"{first}/self_attn/q_proj.bias" in self._tensors,
            num_local_experts=self._tensors[f"{experts}/gate.weight"].dims[1] if routed else 0,
            num_experts_per_tok=int(self._array(f"{experts}/k")[0]) if routed else 0,
            windows=windows,
        )

    def _rows(self, path: str) -> int:
        """Return the outputs of a linear layer."""
        if f"{path}.weight_codes" in self._tensors:
            return int(self._tensors[f"{path}.weight_codes"].dims[0])
        return int(self._tensors[f"{path}.weight"].dims[1])

    def _tensor(self, name: str) -> Tensor:
        return torch.from_numpy(self._array(name).astype(np.float32))

    def _array(self, name: str) -> Array:
        """Return an initializer's values, a view of the mapped file where they lie in one."""
        if name not in self._tensors:
            raise self._foreign()
        tensor = self._tensors[name]
        if tensor.data_location != TensorProto.EXTERNAL:
            return numpy_helper.to_array(tensor)
        place = place_of(tensor, self.path)
        dtype, shape = np.dtype(helper.tensor_dtype_to_np_dtype(tensor.data_type)), tensor.dims
        if place.length != math.prod(shape) * dtype.itemsize:
            raise self._foreign()
        values: Array = np.frombuffer(
            self._map(place.file), dtype, place.length // dtype.itemsize, place.offset
        )
        return values.reshape(tuple(shape))

    def _map(self, file: Path) -> mmap.mmap:
        if file not in self._maps:
            with file.open("rb") as opened:
                self._maps[file] = mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ)
        return self._maps[file]

    @contextmanager
    def _reading(self) -> Iterator[None]:
        """Turns what a graph of another form gives rise to into one sentence."""
        try:
            yield
        except _ODD as error:
            raise self._foreign() from error

    def _foreign(self) -> ExportError:
        return ExportError(
            f"{self.path} is not a decoder as vl2-export writes it, so no engine can be made of"
            " it; export the bundle again."
        )


def write_compilable(
    decoder: BundleDecoder, path: Path, capacity: int, kind: Kind, runnable: bool = False
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Write a decoder in standard operators, its cache of one size, its weights beside it.

    Args:
        decoder: What to write.
        path: The .onnx file.
        capacity: Positions in the cache: the compiler wants that axis fixed.
        kind: Type of the matrix products and the cache.
        runnable: Write what ONNX Runtime can run on a CPU, which has no kernels for "bf16": the
            same weights, rounded as they are there, multiplied in 32 bits.

    Returns:
        Inputs and outputs: name to (dtype, shape).

    Raises:
        ExportError: a part is not as `vl2-export` writes it.
        OSError: the disk is full or failed.
    """
    cos, sin = (table[:capacity] for table in decoder.tables)
    make = _RoundedGraph if runnable and kind == "bf16" else Graph
    with DataFile(path.with_suffix(".data")) as data:
        graph = make("decoder", data, COMPUTE[kind], OPSET)
        writer = DecoderWriter(graph, decoder.config, with_tables(cos, sin))
        for index in range(decoder.config.num_hidden_layers):
            writer.layer(index, decoder.layer(index))
        writer.head(decoder.norm(), decoder.head())
    graph.fix_axis("C", capacity)
    graph.save(path)
    return graph.signature()


class _RoundedGraph(Graph):
    """A graph in float32 whose weights are rounded to the type that it stands for."""

    def __init__(self, name: str, data: DataFile, compute: int, opset: int) -> None:
        super().__init__(name, data, TensorProto.FLOAT, opset)
        self._rounded = COMPUTE_TYPES[compute]

    def matrix(self, path: str, value: Array) -> str:
        return super().matrix(path, np.asarray(value).astype(self._rounded))


def _attributes(node: Any) -> Mapping[str, Any]:
    return {found.name: helper.get_attribute_value(found) for found in node.attribute}


def _window(attributes: Mapping[str, Any]) -> int | None:
    size = attributes.get("local_window_size", -1)
    return None if size < 0 else int(size)

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto

from engines.backends.onnxruntime import open_session
from export.graph.builder import DataFile, Graph
from export.graph.layers import LinearWeight, linear
from quant.grid import Quantised, dequantise

ROWS, COLUMNS, GROUP = 24, 96, 32


def write(folder: Path, layer: LinearWeight) -> None:
    """Writes one product at levels 4 and 0, which share the data."""
    with DataFile(folder / "g.data") as data:
        g = Graph("g", data, TensorProto.FLOAT)
        y = linear(g, "/lm_head", g.input("x", TensorProto.FLOAT, [1, "L", COLUMNS]), layer)
        g.output(y, TensorProto.FLOAT, [1, "L", ROWS])
    g.save(folder / "fast.onnx", 4)
    before = (folder / "g.data").read_bytes()
    g.save(folder / "exact.onnx", 0)
    assert (folder / "g.data").read_bytes() == before


def matrix(bits: int, zeros: bool = False) -> Quantised:
    generator = torch.Generator().manual_seed(0)
    top = 2 ** (bits - 1)
    codes = torch.randint(-top, top, (ROWS, COLUMNS), dtype=torch.int8, generator=generator)
    codes[0, :4] = torch.tensor([-top, top - 1, 0, -1], dtype=torch.int8)
    shape = ROWS, COLUMNS // GROUP
    scales = (torch.rand(shape, generator=generator) + 0.5).half().float()
    found = torch.ones(shape, dtype=torch.int8) if zeros else None
    return Quantised(codes, scales, bits, found)


def widths(path: Path) -> list[int]:
    nodes = onnx.load(path, load_external_data=False).graph.node
    attributes = [a for n in nodes if n.op_type == "MatMulNBits" for a in n.attribute]
    return [attribute.i for attribute in attributes if attribute.name == "bits"]


@pytest.mark.parametrize("bias", [False, True])
def test_eight_bits_are_two_exact_products_of_four(tmp_path: Path, bias: bool) -> None:
    layer = LinearWeight(matrix(8), torch.arange(float(ROWS)) if bias else None)
    write(tmp_path, layer)
    assert widths(tmp_path / "fast.onnx") == [8]
    assert widths(tmp_path / "exact.onnx") == [4, 4]
    x = np.random.default_rng(0).standard_normal((1, 5, COLUMNS)).astype(np.float32)
    (found,) = open_session(tmp_path / "exact.onnx", threads=1).run({"x": x}).values()
    weight = dequantise(matrix(8)).double().numpy()
    wanted = x.astype(np.float64) @ weight.T + (np.arange(ROWS) if bias else 0)
    assert np.abs(found - wanted).max() < 2e-6 * np.abs(wanted).max()


@pytest.mark.parametrize(("bits", "zeros"), [(4, False), (8, True)])
def test_other_products_stay_as_they_are(tmp_path: Path, bits: int, zeros: bool) -> None:
    write(tmp_path, LinearWeight(matrix(bits, zeros)))
    assert widths(tmp_path / "exact.onnx") == [bits]

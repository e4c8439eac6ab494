from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto

from export.graph.builder import LARGE_ALIGNMENT, LARGE_BYTES, DataFile, Graph


def test_small_weights_stay_inside_and_large_ones_are_aligned(tmp_path: Path) -> None:
    path = tmp_path / "g.onnx"
    values = {
        "/small": np.arange(8, dtype=np.float32),
        "/middle": np.arange(1000, dtype=np.float32),
        "/large": np.arange(LARGE_BYTES // 4, dtype=np.float32),
    }
    with DataFile(tmp_path / "g.data") as data:
        graph = Graph("g", data, TensorProto.FLOAT)
        for name, value in values.items():
            graph.weight(name, value)
    graph.save(path)
    stored = {t.name: t for t in onnx.load(path, load_external_data=False).graph.initializer}
    assert not stored["/small"].external_data
    places = {k: {e.key: e.value for e in t.external_data} for k, t in stored.items()}
    assert places["/middle"]["location"] == "g.data"
    assert int(places["/large"]["offset"]) % LARGE_ALIGNMENT == 0
    loaded = {t.name: onnx.numpy_helper.to_array(t) for t in onnx.load(path).graph.initializer}
    for name, value in values.items():
        np.testing.assert_array_equal(loaded[name], value)


def test_a_name_is_given_once(tmp_path: Path) -> None:
    with DataFile(tmp_path / "g.data") as data:
        graph = Graph("g", data, TensorProto.FLOAT)
        x = graph.input("x", TensorProto.FLOAT, ["N"])
        assert graph.node("Relu", [x], "/a") == "/a/Relu/output_0"
        with pytest.raises(ValueError, match="/a/Relu is already in graph g"):
            graph.node("Relu", [x], "/a")


def test_accuracy_level_is_all_that_differs(tmp_path: Path) -> None:
    with DataFile(tmp_path / "g.data") as data:
        graph = Graph("g", data, TensorProto.FLOAT)
        x = graph.input("x", TensorProto.FLOAT, [1, 16])
        graph.node("MatMulNBits", [x], "/m", domain="com.microsoft", K=16)
        graph.node("Relu", [x], "/r")
    for level in (4, 0):
        graph.save(tmp_path / f"{level}.onnx", level)
    models = [onnx.load(tmp_path / f"{level}.onnx").graph for level in (4, 0)]
    levels = [{a.name: a.i for a in m.node[0].attribute}["accuracy_level"] for m in models]
    assert levels == [4, 0]
    for model in models:
        model.node[0].attribute.pop()
        assert len(model.node[1].attribute) == 0
    assert models[0] == models[1]


def test_signature(tmp_path: Path) -> None:
    with DataFile(tmp_path / "g.data") as data:
        graph = Graph("g", data, TensorProto.FLOAT)
        graph.input("x", TensorProto.FLOAT16, [1, "L", 4])
        graph.input("n", TensorProto.INT64, [])
        graph.output("y", TensorProto.FLOAT, ["V", 4])
    assert graph.signature() == (
        {"x": ("float16", (1, "L", 4)), "n": ("int64", ())},
        {"y": ("float32", ("V", 4))},
    )


def write_halves(folder: Path, interrupted: bool) -> tuple[bytes, bytes]:
    """Write a graph in two halves, perhaps by two processes; returns both of its files."""
    numbers = np.arange(600, dtype=np.float32)
    path = folder / "g.data"

    def begun(data: DataFile) -> Graph:
        graph = Graph("g", data, TensorProto.FLOAT)
        x = graph.input("x", TensorProto.FLOAT, [600])
        graph.node("Add", [x, graph.weight("/a", numbers)], "/a")
        return graph

    with DataFile(path) as data:
        graph = begun(data)
        state, size = graph.to_bytes(), data.flush()
        # What is behind the noted size must not count.
        data.append(np.ones(700, np.float32)) if interrupted else None
        if not interrupted:
            finish(graph, numbers)
            graph.save(folder / "g.onnx")
    if interrupted:
        with DataFile(path, keep=True) as data:
            graph = begun(data)
            graph.restore(state)
            data.resume(size)
            finish(graph, numbers)
            graph.save(folder / "g.onnx")
    return path.read_bytes(), (folder / "g.onnx").read_bytes()


def finish(graph: Graph, numbers: np.ndarray) -> None:
    with pytest.raises(ValueError, match="/a/Add is already in graph"):
        graph.node("Add", ["x", "x"], "/a")
    graph.node("Mul", ["/a/Add/output_0", graph.weight("/b", 2 * numbers)], "/b", outputs=["y"])
    graph.output("y", TensorProto.FLOAT, [600])


def test_a_graph_that_is_gone_on_with_is_the_same(tmp_path: Path) -> None:
    for name in ("whole", "parts"):
        (tmp_path / name).mkdir()
    whole = write_halves(tmp_path / "whole", interrupted=False)
    assert write_halves(tmp_path / "parts", interrupted=True) == whole

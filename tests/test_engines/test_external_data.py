"""Weights beside a graph are read from its own folder only, whatever the graph says."""

from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper

from engines.backends.onnxruntime import open_session
from engines.errors import DeviceError

WEIGHTS = np.arange(8, dtype=np.float32)


def graph(folder: Path, location: str) -> Path:
    """A graph that adds eight numbers, which lie elsewhere."""
    weights = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[8])
    weights.data_location = TensorProto.EXTERNAL
    for key, value in (("location", location), ("offset", "0"), ("length", "32")):
        weights.external_data.add(key=key, value=value)
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [8]) for name in "xy")
    made = helper.make_graph([helper.make_node("Add", ["x", "w"], ["y"])], "g", [x], [y], [weights])
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    path = folder / "graph.onnx"
    path.write_bytes(model.SerializeToString())
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A bundle's folder, and a file outside of it."""
    WEIGHTS.tofile(tmp_path / "secret.data")
    inside = tmp_path / "bundle"
    inside.mkdir()
    WEIGHTS.tofile(inside / "own.data")
    (inside / "link.data").symlink_to(tmp_path / "secret.data")
    return inside


def test_weights_of_its_own_folder_are_read(folder: Path) -> None:
    session = open_session(graph(folder, "own.data"))
    assert np.array_equal(session.run({"x": np.zeros(8, np.float32)})["y"], WEIGHTS)


@pytest.mark.parametrize(
    "place", ["../secret.data", "a/../../secret.data", "link.data", "ABSOLUTE"]
)
def test_others_are_refused_in_a_sentence(folder: Path, place: str) -> None:
    location = str(folder.parent / "secret.data") if place == "ABSOLUTE" else place
    with pytest.raises(DeviceError) as caught:
        open_session(graph(folder, location))
    assert str(caught.value).startswith("ONNX Runtime")
    assert str(caught.value).endswith(".")
    assert "\n" not in str(caught.value)

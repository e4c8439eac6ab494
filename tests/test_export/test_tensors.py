import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from engines.errors import CheckpointError
from export import pickles
from export.pickles import read_pickle
from export.tensors import read_header, read_json
from export.weight_files import TensorFolder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save_file({"a": torch.arange(6.0).reshape(2, 3)}, tmp_path / "model.safetensors")
    return tmp_path


def shard(folder: Path, tensors: dict[str, dict[str, torch.Tensor]]) -> None:
    for file, content in tensors.items():
        save_file(content, folder / file)
    names = {name: file for file, content in tensors.items() for name in content}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": names}))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_stored_dtypes_come_back(tmp_path: Path, dtype: torch.dtype) -> None:
    value = torch.tensor([[1.5, -2.25], [0.0, 3.0]], dtype=dtype)
    save_file({"x": value, "empty": torch.zeros(0, 4, dtype=dtype)}, tmp_path / "model.safetensors")
    tensors = TensorFolder(tmp_path)
    assert torch.equal(tensors.get("x", (2, 2)), value)
    assert tensors.get("x", (2, 2)).dtype == dtype
    assert tensors.get("empty", (0, 4)).shape == (0, 4)


def test_shards_are_one_set_of_tensors(tmp_path: Path) -> None:
    shard(tmp_path, {"1.safetensors": {"a": torch.ones(2)}, "2.safetensors": {"b": torch.zeros(3)}})
    tensors = TensorFolder(tmp_path)
    assert "a" in tensors
    assert tensors.get("b", (3,)).tolist() == [0, 0, 0]


def test_missing_shard(tmp_path: Path) -> None:
    shard(tmp_path, {"1.safetensors": {"a": torch.ones(2)}, "2.safetensors": {"b": torch.zeros(3)}})
    (tmp_path / "2.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"shard .*2\.safetensors is missing; fetch"):
        TensorFolder(tmp_path)


def test_an_index_cannot_lead_out_of_its_folder(tmp_path: Path) -> None:
    for name in ("../secret.safetensors", "/etc/passwd", "..", "", None, "a" * 5000, "a.bin"):
        index = {"weight_map": {"a": name}}
        (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
        with pytest.raises(CheckpointError, match=r"no \.safetensors file of|shard .* is missing"):
            TensorFolder(tmp_path)


def test_a_tensor_in_two_shards(tmp_path: Path) -> None:
    a, b, c = ({name: torch.ones(2)} for name in "abc")
    shard(tmp_path, {"1.safetensors": a | c, "2.safetensors": a | b})
    with pytest.raises(
        CheckpointError, match=r"2\.safetensors is damaged \(a is in 1\.safetensors"
    ):
        TensorFolder(tmp_path)


def test_no_weights(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"neither model\.safetensors nor .* nor pytorch_"):
        TensorFolder(tmp_path)


def test_missing_tensor_wrong_shape_not_finite(tmp_path: Path) -> None:
    save_file(
        {"nan": torch.tensor([1.0, float("nan")]), "inf": torch.tensor([float("inf")])},
        tmp_path / "model.safetensors",
    )
    tensors = TensorFolder(tmp_path)
    with pytest.raises(CheckpointError, match="has no tensor b;"):
        tensors.get("b", (1,))
    with pytest.raises(CheckpointError, match=r"has the shape \[2\] where config.json asks for"):
        tensors.get("nan", (3,))
    for name, shape in (("nan", (2,)), ("inf", (1,))):
        with pytest.raises(CheckpointError, match=rf"{name} in .* holds NaN or infinite"):
            tensors.get(name, shape)


def test_a_matrix_some_rows_at_a_time(tmp_path: Path) -> None:
    matrix = torch.arange(15.0).reshape(5, 3).half()
    spoilt = torch.ones(4, 2)
    spoilt[3, 1] = float("nan")
    save_file({"matrix": matrix, "spoilt": spoilt}, tmp_path / "model.safetensors")
    tensors = TensorFolder(tmp_path)
    parts = list(tensors.rows("matrix", (5, 3), 2))
    assert [len(part) for part in parts] == [2, 2, 1]
    assert torch.equal(torch.cat(parts), matrix)
    rows = tensors.rows("spoilt", (4, 2), 2)
    assert next(rows).tolist() == [[1, 1], [1, 1]]
    with pytest.raises(CheckpointError, match=r"spoilt in .* holds NaN or infinite"):
        next(rows)


def test_truncated_file(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(CheckpointError, match="shorter than its header says"):
        TensorFolder(folder)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff" * 64,
        b"\x02\0\0\0\0\0\0\0[]",
        b"\x04\0\0\0\0\0\0\0oops",
        b'\x0e\0\0\0\0\0\0\0{"a": {"b":1}}',
    ],
)
def test_damaged_headers(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"model\.safetensors is damaged"):
        read_header(path)


def header(entry: dict[str, object], data: bytes) -> bytes:
    text = json.dumps({"a": entry}).encode()
    return len(text).to_bytes(8, "little") + text + data


@pytest.mark.parametrize(
    "entry",
    [
        {"dtype": "F32", "shape": [3], "data_offsets": [0, 8]},
        {"dtype": "F32", "shape": [2], "data_offsets": [8, 0]},
        {"dtype": "F32", "shape": [-2], "data_offsets": [0, 8]},
        {"dtype": "F32", "shape": "x", "data_offsets": [0, 8]},
        {"shape": [2], "data_offsets": [0, 8]},
        {"dtype": "F32", "shape": [float("inf")], "data_offsets": [0, 8]},
        {"dtype": "F32", "shape": [2], "data_offsets": [0, float("inf")]},
    ],
)
def test_entries_that_make_no_sense(tmp_path: Path, entry: dict[str, object]) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(header(entry, b"\0" * 8))
    with pytest.raises(CheckpointError, match="is damaged"):
        read_header(path)


def test_tensors_that_overlap(tmp_path: Path) -> None:
    entry = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}
    text = json.dumps({"a": entry, "b": entry | {"data_offsets": [4, 12]}}).encode()
    path = tmp_path / "model.safetensors"
    path.write_bytes(len(text).to_bytes(8, "little") + text + b"\0" * 12)
    with pytest.raises(CheckpointError, match="b lies over another tensor"):
        read_header(path)


def test_other_dtypes_are_refused(tmp_path: Path) -> None:
    save_file({"a": torch.zeros(2, dtype=torch.int8)}, tmp_path / "model.safetensors")
    with pytest.raises(CheckpointError, match="stores a as I8"):
        TensorFolder(tmp_path).get("a", (2,))


class Harmful:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (exec, ("raise SystemExit('code in the file ran')",))


def test_pickles_run_no_code(tmp_path: Path) -> None:
    path = tmp_path / "tower.pt"
    torch.save({"cfg": Harmful()}, path)
    with pytest.raises(CheckpointError, match=r"holds code or .*, and nothing of it was run"):
        read_pickle(path)


def test_damaged_pickles(tmp_path: Path) -> None:
    path = tmp_path / "tower.pt"
    with pytest.raises(CheckpointError, match="is missing"):
        read_pickle(path)
    for content in (b"", b"not a pickle", b"hello world this is text"):
        path.write_bytes(content)
        with pytest.raises(CheckpointError, match=r"is damaged \(trunc|holds code or"):
            read_pickle(path)
    torch.save([1, 2], path)
    with pytest.raises(CheckpointError, match="does not hold a dictionary"):
        read_pickle(path)


def test_bin_files_are_read_piece_by_piece(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "pytorch_model.bin"
    values = {"a": torch.arange(6.0).reshape(2, 3).T, "b": torch.ones(2, dtype=torch.bfloat16)}
    torch.save({**values, "steps": 5, 7: torch.ones(1)}, path)
    loads = []
    load = torch.load
    monkeypatch.setattr(torch, "load", lambda *a, **k: loads.append(k) or load(*a, **k))
    tensors = TensorFolder(tmp_path)
    assert set(tensors.stored) == {"a", "b"}
    assert tensors.stored["b"].dtype == "BF16"
    assert torch.equal(tensors.get("a", (3, 2)), values["a"])
    assert tensors.stored["a"].read(2, 2).tolist() == [1, 4]
    assert torch.equal(tensors.get("b", (2,)), values["b"])
    assert all(how["weights_only"] and how["mmap"] for how in loads)
    # Listed, then mapped once for all of them; above the limit anew each time.
    assert len(loads) == 2
    monkeypatch.setattr(pickles, "MAPPED_BYTES", 1)
    for _ in range(3):
        tensors.get("a", (3, 2))
    assert len(loads) == 4


def test_a_bin_file_that_changes_meanwhile(tmp_path: Path) -> None:
    torch.save({"a": torch.ones(2)}, tmp_path / "pytorch_model.bin")
    tensors = TensorFolder(tmp_path)
    torch.save({"a": torch.ones(3)}, tmp_path / "pytorch_model.bin")
    with pytest.raises(CheckpointError, match="it changed while it was read"):
        tensors.get("a", (2,))


def test_a_bin_file_of_torchs_first_format(tmp_path: Path) -> None:
    path = tmp_path / "pytorch_model.bin"
    torch.save({"a": torch.ones(2)}, path, _use_new_zipfile_serialization=False)
    assert TensorFolder(tmp_path).get("a", (2,)).tolist() == [1, 1]


@pytest.mark.parametrize("tensor", [torch.eye(2).to_sparse(), torch.ones(2, device="meta")])
def test_tensors_without_plain_numbers(tmp_path: Path, tensor: torch.Tensor) -> None:
    torch.save({"a": tensor}, tmp_path / "pytorch_model.bin")
    with pytest.raises(CheckpointError, match="stores a as SPECIAL float32, which is not supp"):
        TensorFolder(tmp_path).get("a", tuple(tensor.shape))


def test_safetensors_come_before_bin(tmp_path: Path, folder: Path) -> None:
    torch.save({"b": torch.ones(2)}, tmp_path / "pytorch_model.bin")
    assert set(TensorFolder(folder).stored) == {"a"}


@pytest.mark.parametrize("text", ["", "[1]", "{", '"x"'])
def test_json_that_is_no_object(tmp_path: Path, text: str) -> None:
    path = tmp_path / "config.json"
    path.write_text(text)
    with pytest.raises(CheckpointError, match=r"config\.json"):
        read_json(path)

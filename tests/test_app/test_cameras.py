import os
import stat
from pathlib import Path

import pytest

from app.capture import cameras
from app.capture.cameras import CameraInfo, CameraSource, find_camera, list_cameras, why_not
from engines.errors import CaptureError

TWO = [CameraInfo(0, "Front Camera"), CameraInfo(2, "Front Camera HD")]


def device(root: Path, number: int, name: str, index: str = "0") -> None:
    (root / "dev").mkdir(exist_ok=True)
    (root / "dev" / f"video{number}").touch()
    folder = root / "sys" / f"video{number}"
    folder.mkdir(parents=True)
    (folder / "name").write_text(name + "\n")
    (folder / "index").write_text(index + "\n")


@pytest.mark.skipif(os.name == "nt", reason="names come from DirectShow there")
def test_cameras_are_listed_by_name_without_their_second_nodes(tmp_path: Path) -> None:
    device(tmp_path, 10, "USB Camera")
    device(tmp_path, 2, "Built-in")
    device(tmp_path, 3, "Built-in", index="1")
    (tmp_path / "dev" / "video-none").touch()
    (tmp_path / "dev" / "video7").touch()  # known by nothing but its node
    found = list_cameras(tmp_path / "dev", tmp_path / "sys")
    assert found == [
        CameraInfo(2, "Built-in"),
        CameraInfo(7, "camera 7"),
        CameraInfo(10, "USB Camera"),
    ]
    assert list_cameras(tmp_path / "nothing", tmp_path) == []


@pytest.mark.parametrize(
    ("wanted", "target", "name"),
    [
        ("2", 2, "Front Camera HD"),
        ("5", 5, "camera 5"),
        ("front camera", 0, "Front Camera"),
        ("hd", 2, "Front Camera HD"),
        ("http://10.0.0.7:81/v.mjpg", "http://10.0.0.7:81/v.mjpg", "http://10.0.0.7:81/v.mjpg"),
    ],
)
def test_a_camera_is_found_by_number_name_or_address(
    wanted: str, target: int | str, name: str
) -> None:
    assert find_camera(wanted, TWO) == CameraSource(target, name)


def test_a_password_is_never_shown() -> None:
    source = find_camera("rtsp://me:se@cret@10.0.0.7/a?token=1", [])
    assert source.target == "rtsp://me:se@cret@10.0.0.7/a?token=1"
    assert source.name == "rtsp://10.0.0.7/a"
    assert "cret" not in why_not(source)


@pytest.mark.parametrize("address", ["file:///etc/passwd", "concat://a", "http://", "x://y"])
def test_only_cameras_addresses_are_taken(address: str) -> None:
    with pytest.raises(CaptureError, match="begins with"):
        find_camera(address, [])


def test_an_unknown_name_says_which_there_are() -> None:
    with pytest.raises(CaptureError, match="0: Front Camera, 2: Front Camera HD"):
        find_camera("back", TWO)
    with pytest.raises(CaptureError, match="none is connected"):
        find_camera("back", [])


def test_why_a_camera_cannot_be_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cameras.sys, "platform", "linux")
    source = CameraSource(0, "Front")
    assert "There is no camera" in why_not(source, tmp_path)
    node = tmp_path / "video0"
    node.touch()
    assert "gives no picture" in why_not(source, tmp_path)
    node.chmod(stat.S_IWUSR)
    monkeypatch.setattr(cameras.os, "access", lambda *_: False)  # root may read anything
    assert "may not be used by this account" in why_not(source, tmp_path)
    assert "does not answer" in why_not(CameraSource("http://a", "http://a"))

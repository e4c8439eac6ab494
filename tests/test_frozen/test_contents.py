"""What goes into the frozen program: refusals, trimming, licences, encoders, the icon."""

import shutil
import subprocess
from importlib.metadata import distribution
from pathlib import Path

import pytest
from PIL import Image

from app.freezing import contents, deb, encoders, gpu_pack, icon, licences
from assets import icon_pictures


def test_what_must_not_be_in_it_is_named() -> None:
    modules = [
        "numpy.linalg",
        "torch",
        "torch.nn",
        "export.graph",
        "engines.quantities",
        "exporter",
    ]
    assert contents.smuggled(modules) == ["export", "torch"]
    assert contents.smuggled(["app.export_command", "engines.prompt", "onnxruntime"]) == []


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("PySide6/Qt/plugins/platforms/libqxcb.so", True),
        ("PySide6\\plugins\\platforms\\qwindows.dll", True),
        ("PySide6/Qt/plugins/multimedia/libffmpegmediaplugin.so", False),
        ("PySide6/Qt/plugins/sqldrivers/libqsqlite.so", False),
        ("PySide6/Qt/plugins/imageformats/libqsvg.so", True),
        ("PySide6/Qt/translations/qtbase_de.qm", True),
        ("PySide6/Qt/translations/qtbase_fi.qm", False),
        ("PySide6/Qt/qml/QtQuick/libqtquick2plugin.so", False),
        ("PySide6/Qt/lib/libavcodec.so.61", False),
        ("av.libs/libavcodec-5e6b81c2.so.62.28.102", True),
        ("libasound.so.2", False),
        ("libz.so.1", False),
        ("libzstd.so.1", True),
        ("assets/demo/manifest.json", True),
        ("app/translations/vl2_de.qm", True),
        ("cv2/data/haarcascade_eye.xml", False),
    ],
)
def test_only_what_is_used_goes_in(name: str, kept: bool) -> None:
    assert contents.wanted(name) == kept


def test_libraries_that_nobody_loads_stay_outside() -> None:
    linked = {
        "PySide6/QtGui.abi3.so": ["libQt6Gui.so.6", "libc.so.6"],
        "PySide6/Qt/lib/libQt6Gui.so.6": ["libglib.so.0"],
        "PySide6/Qt/lib/libQt6Qml.so.6": ["libglib.so.0", "libgtk.so.0"],
        "libglib.so.0": [],
        "libgtk.so.0": ["libglib.so.0"],
        "libportaudio.so.2": ["libjack.so.0"],
        "libjack.so.0": [],
        "av.libs/libavcodec-1.so": [],
    }
    found = contents.reached({name: name for name in linked}, linked.__getitem__, ["libportaudio"])
    assert set(linked) - found == {"PySide6/Qt/lib/libQt6Qml.so.6", "libgtk.so.0"}


def test_sizes_are_told_by_component(tmp_path: Path) -> None:
    for name, count in (("av.libs/a.so", 3), ("av/b.py", 2), ("libssl.so.3", 7), ("vl2", 1)):
        path = tmp_path / "_internal" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bytes(count))
    assert contents.sizes(tmp_path) == {
        "libraries of the system": 7,
        "FFmpeg and codecs, PyAV": 5,
        "our code and the rest": 1,
    }


def test_licences_of_what_went_in_and_of_nothing_else(tmp_path: Path) -> None:
    folder = tmp_path / "licences"
    places = [("numpy/_core/a.cpython-311-x86_64-linux-gnu.so", "/somewhere/a.so")]
    places += [("_cffi_backend.cpython-311-x86_64-linux-gnu.so", "/somewhere/b.so")]
    found = licences.write_licences(folder, ["numpy", "PIL.Image", "app.cli"], places)
    assert [name.partition(" ")[0] for name in found] == ["cffi", "numpy", "pillow"]
    assert "Redistribution" in (folder / "numpy" / "licenses-LICENSE.txt").read_text()
    assert (folder / "pillow" / "licenses-LICENSE").is_file()
    for name in ("README.txt", "LGPL-3.0.txt", "GPL-3.0.txt", "LGPL-2.1.txt", "PACKAGES.txt"):
        assert (folder / name).stat().st_size > 20
    assert not (folder / "torch").exists()


def test_an_encoder_becomes_a_shell_that_only_fails(tmp_path: Path) -> None:
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None or shutil.which("nm") is None:
        pytest.skip("no C compiler")
    folder, work = tmp_path / "libs", tmp_path / "work"
    folder.mkdir()
    work.mkdir()

    def compile_c(name: str, source: str, *options: str) -> None:
        (work / "source.c").write_text(source)
        command = [compiler, "-shared", "-fPIC", "-o", str(folder / name), str(work / "source.c")]
        subprocess.run([*command, *options], check=True)

    original = "const int x264_levels[9] = {1, 2}; long x264_encoder_open_1(void) { return 7; }"
    compile_c("libx264-1.so.9", original, "-Wl,-soname,libx264-1.so.9")
    user = (
        "extern long x264_encoder_open_1(void); extern const int x264_levels[];"
        "long opened(void) { return x264_encoder_open_1() + x264_levels[0]; }"
    )
    options = ["-Wl,-rpath,$ORIGIN", f"-L{folder}", "-l:libx264-1.so.9"]
    compile_c("libavcodec.so.1", user, *options)
    assert opened(folder) == 8
    assert encoders.empty_encoders(folder, work) == ["libx264-1.so.9"]
    assert opened(folder) == 0


def opened(folder: Path) -> int:
    """What the function of `libavcodec.so.1` says, in a process of its own."""
    code = f"import ctypes; print(ctypes.CDLL({str(folder / 'libavcodec.so.1')!r}).opened())"
    done = subprocess.run(
        [shutil.which("python3") or "python3", "-c", code], capture_output=True, check=True
    )
    return int(done.stdout)


def test_the_gpu_pack_holds_packages_and_no_headers(tmp_path: Path) -> None:
    folder = tmp_path / "gpu"
    folder.mkdir()
    (folder / "of an older pack").touch()
    gpu_pack.make_pack(folder, ("platformdirs", "jinja2"))
    assert {"platformdirs", "jinja2"} <= {path.name for path in folder.iterdir()}
    version = distribution("platformdirs").version
    assert (folder / f"platformdirs-{version}.dist-info" / "METADATA").is_file()
    assert not [path for path in folder.rglob("*") if path.suffix in (".pyi", ".pyc", ".h")]
    assert not (folder / "of an older pack").exists()
    assert [path.name for path in tmp_path.iterdir() if path.name != "home"] == ["gpu"]


def test_the_icon_is_there_in_every_size() -> None:
    sides = {int(path.stem) for path in icon_pictures()}
    assert sides == set(icon.SIZES)
    for path in icon_pictures():
        with Image.open(path) as picture:
            side = int(path.stem)
            assert (picture.size, picture.mode) == ((side, side), "RGBA")
            corner, middle = picture.getpixel((0, 0)), picture.getpixel((side // 3, side // 2))
            assert corner[3] < 128
            assert min(middle) > 240  # the white triangle
    with Image.open(icon.FOLDER / f"{icon.NAME}.ico") as windows:
        assert set(windows.info["sizes"]) == {(side, side) for side in icon.ICO_SIZES}
    assert (icon.FOLDER / f"{icon.NAME}.svg").read_text() == icon.large()


def test_the_package_of_a_program(tmp_path: Path) -> None:
    if shutil.which("dpkg-deb") is None:
        pytest.skip("no dpkg-deb: not Debian")
    program = tmp_path / "vl2 program"
    (program / "_internal" / "licences").mkdir(parents=True)
    (program / "vl2").write_bytes(b"\x7fELF GLIBC_2.34 GLIBC_2.9")
    (program / "vl2").chmod(0o700)
    (program / "gpu").mkdir()
    made = deb.make_deb(program, tmp_path)
    root = tmp_path / "root"
    subprocess.run(["dpkg-deb", "-x", str(made), str(root)], check=True)
    assert (root / "opt/vl2-desktop/vl2").stat().st_mode & 0o777 == 0o755
    assert not (root / "opt/vl2-desktop/gpu").exists()
    assert (root / "usr/bin/vl2").readlink() == Path("/opt/vl2-desktop/vl2")
    assert (root / "usr/share/icons/hicolor/48x48/apps/vl2-desktop.png").is_file()
    entry = root / "usr/share/applications/vl2-desktop.desktop"
    assert "Exec=vl2 open %f" in entry.read_text()
    _, _, action = entry.read_text().partition("\n[Desktop Action safe-mode]\n")
    assert "\nExec=vl2 --safe-mode\n" in action
    if shutil.which("desktop-file-validate"):
        subprocess.run(["desktop-file-validate", str(entry)], check=True)
    said = subprocess.run(
        ["dpkg-deb", "-f", str(made), "Depends"], capture_output=True, text=True, check=True
    )
    assert "libc6 (>= 2.34)" in said.stdout

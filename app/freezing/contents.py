"""What goes into the frozen program and what stays outside; `build.spec` asks here.

A name is a place in the program's folder with slashes, such as "PySide6/Qt/lib/libQt6Core.so.6".
"""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path, PurePosixPath

# The exporter and what only it needs, and what belongs into the GPU pack (`gpu_pack.py`).
REFUSED = (
    *("torch", "torchvision", "torchaudio", "transformers", "export", "quant", "onnx"),
    *("safetensors", "ml_dtypes", "matplotlib", "scipy", "huggingface_hub"),
    *("tensorrt_rtx", "tensorrt_rtx_bindings", "tensorrt_rtx_libs", "cuda"),
)
# What libraries look for and do without.
UNUSED = (
    *("tkinter", "pydoc", "doctest", "pdb", "setuptools", "pip", "IPython", "pytest", "yaml"),
    *("sympy", "hypothesis", "rich", "readline", "PySide6.QtMultimediaWidgets", "PySide6.QtOpenGL"),
)
# The system has its own, which know its sound plugins and its fonts, and what those need.
OF_THE_SYSTEM = re.compile(
    r"^lib(mvec|asound|fontconfig|freetype|expat|png16|brotlidec|brotlicommon|bz2|z|uuid)\.so"
)
# Of Qt: its plugins that a window of widgets needs on some system.
_QT_PLUGINS = re.compile(
    r"/plugins/(platforms/(libqxcb|libqwayland|libqoffscreen|qwindows|libqcocoa|qoffscreen)"
    r"|platforminputcontexts/lib(compose|ibus)|imageformats/(lib)?q(svg|jpeg)|iconengines/"
    r"|platformthemes/libqxdg|wayland-shell-integration/libxdg|wayland-decoration-client/"
    r"|styles/)"
)
_QT_WORDS = re.compile(r"/translations/qtbase_(de|en)\.qm$")
# Qt's QML, its copy of FFmpeg (clips are read by the media child), debugging aids, headers.
_UNWANTED = re.compile(
    r"^PySide6/((Qt/)?(qml|metatypes|libexec|resources)/|.*(opengl32sw|d3dcompiler_\d+)\.dll$"
    r"|(Qt/lib/)?(lib)?(Qt6FFmpegStub|av(codec|format|util)|sw(scale|resample)).*)"
    r"|\.(pyi|pxd|pyx|h|c|cpp|lib|a)$"
    r"|^cv2/data/.*\.xml$|^numpy/.*/tests/"
)
COMPONENTS = (
    ("Qt, PySide6", r"PySide6/|shiboken6/|lib(Qt6|icu|pyside|shiboken)"),
    ("FFmpeg and codecs, PyAV", r"av(\.libs)?/"),
    ("OpenCV with its FFmpeg and BLAS", r"cv2/|opencv_"),
    ("NumPy with its BLAS", r"numpy(\.libs)?/"),
    ("ONNX Runtime", r"onnxruntime/"),
    ("tokenizers", r"tokenizers/"),
    ("Pillow", r"PIL/|pillow\.libs/"),
    ("demo bundle, clips", r"assets/"),
    ("licences", r"licences/"),
    ("Python", r"(lib)?python3|base_library|lib-dynload/|.*\.cpython-\d+[^/]*$"),
    ("libraries of the system", r"lib[^/]*$"),
)


def smuggled(modules: Iterable[str]) -> list[str]:
    """Which refused packages a list of modules holds, in order."""
    return sorted({name.partition(".")[0] for name in modules} & set(REFUSED))


def wanted(name: str) -> bool:
    """Whether a file that PyInstaller would take goes into the program."""
    name = name.replace("\\", "/")
    if OF_THE_SYSTEM.search(name) or _UNWANTED.search(name):
        return False
    if name.startswith("PySide6/") and "/plugins/" in name:
        return _QT_PLUGINS.search(name) is not None
    if name.startswith("PySide6/") and "/translations/" in name:
        return _QT_WORDS.search(name) is not None
    return True


def reached(
    files: dict[str, str], needed: Callable[[str], Iterable[str]], also: Iterable[str] = ()
) -> set[str]:
    """Those names that something in the program loads.

    Args:
        files: place in the program -> where it is now.
        needed: the names of the libraries that a file is linked with.
        also: libraries that are loaded by name.

    Returns:
        All that are no plain libraries (modules of Python, plugins), and the libraries that those
        need.
    """
    by_name: dict[str, list[str]] = defaultdict(list)
    for place in files:
        by_name[PurePosixPath(place).name].append(place)
    waiting = [place for place in files if not _is_library(place)]
    waiting += [place for place in files if PurePosixPath(place).name.startswith(tuple(also))]
    found = set(waiting)
    while waiting:
        for name in needed(files[waiting.pop()]):
            for place in by_name.get(name, ()):
                if place not in found:
                    found.add(place)
                    waiting.append(place)
    return found


def _is_library(place: str) -> bool:
    """Lies where libraries lie, and is none that Python imports."""
    path = PurePosixPath(place)
    plain = path.name.startswith("lib") and ".so" in path.name and ".abi3." not in path.name
    return plain and str(path.parent) in (".", "PySide6/Qt/lib", "PySide6", "shiboken6")


def component(name: str) -> str:
    """What a file of the program belongs to."""
    name = name.removeprefix("_internal/")
    return next((what for what, of in COMPONENTS if re.match(of, name)), "our code and the rest")


def sizes(folder: Path) -> dict[str, int]:
    """Bytes by component, the largest first, of a finished program's folder."""
    found: dict[str, int] = defaultdict(int)
    for path in folder.rglob("*"):
        if path.is_file() and not path.is_symlink():
            found[component(path.relative_to(folder).as_posix())] += path.stat().st_size
    return dict(sorted(found.items(), key=lambda item: -item[1]))

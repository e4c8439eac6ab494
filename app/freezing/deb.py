"""Wraps the frozen program into a package for Debian and Ubuntu.

    python -m app.freezing.deb dist/vl2 dist

writes dist/vl2-desktop_VERSION_ARCHITECTURE.deb: the program in /opt/vl2-desktop, `vl2` on the
path, an entry in the desktop's menu with its icon, and the licences where Debian looks for them.
"""

import argparse
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from assets import icon_pictures
from engines.version import VERSION

NAME = "vl2-desktop"
PLACE = Path("opt") / NAME
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
# Debian's packages (names differ between releases), and what of theirs the program is linked with:
# what it leaves to the system (`app.freezing.contents.OF_THE_SYSTEM`) and PyInstaller by itself.
SYSTEM = {
    "libc6 (>= {glibc})": ("libc", "libm", "libdl", "librt", "libpthread", "libresolv", "ld-linux"),
    "libasound2 | libasound2t64": ("libasound",),
    "libbrotli1": ("libbrotlicommon", "libbrotlidec"),
    "libbz2-1.0": ("libbz2",),
    "libegl1": ("libEGL",),
    "libexpat1": ("libexpat",),
    "libfontconfig1": ("libfontconfig",),
    "libfreetype6": ("libfreetype",),
    "libgl1": ("libGL",),
    "libpng16-16 | libpng16-16t64": ("libpng16",),
    "libuuid1": ("libuuid",),
    "libwayland-client0": ("libwayland-client",),
    "libwayland-cursor0": ("libwayland-cursor",),
    "libxcb1": ("libxcb",),
    "zlib1g": ("libz",),
}
CONTROL = """\
Package: {name}
Version: {version}
Architecture: {architecture}
Maintainer: VL2 Desktop <maintainers@vl2.invalid>
Installed-Size: {kilobytes}
Depends: {depends}
Recommends: fonts-dejavu-core | fonts-noto-core
Section: video
Priority: optional
Description: ask a video, with its sound, on your own computer
 VL2 Desktop runs VideoLLaMA 2 offline: it opens a video, a picture or a sound
 file and answers questions about it. A small demo model comes with it, which
 knows only its synthetic world.
"""
DESKTOP = """\
[Desktop Entry]
Type=Application
Name=VL2 Desktop
GenericName=Video questions
GenericName[de]=Fragen an Videos
Comment=Ask a video, with its sound, on your own computer
Comment[de]=Fragen an ein Video mit seinem Ton, auf dem eigenen Rechner
Exec=vl2 open %f
TryExec=vl2
Icon=vl2-desktop
Terminal=false
StartupNotify=true
StartupWMClass=vl2-desktop
Categories=AudioVideo;Video;
Keywords=video;audio;question;offline;
MimeType=video/mp4;video/x-matroska;video/webm;video/quicktime;video/x-msvideo;audio/x-wav;audio/mpeg;audio/flac;audio/ogg;image/png;image/jpeg;image/gif;
Actions=safe-mode;

[Desktop Action safe-mode]
Name=Start in safe mode
Name[de]=Im abgesicherten Modus starten
Exec=vl2 --safe-mode
Icon=vl2-desktop
"""


def make_deb(program: Path, folder: Path) -> Path:
    """Write the package; returns its path.

    Args:
        program: the frozen program's folder.
        folder: where the package goes.

    Raises:
        OSError, CalledProcessError: a tool is missing or fails.
    """
    architecture = ARCHITECTURES[platform.machine()]
    with tempfile.TemporaryDirectory(dir=folder) as place:
        root = Path(place) / "root"
        inner = root / PLACE
        shutil.copytree(program, inner, symlinks=True, ignore=shutil.ignore_patterns("gpu"))
        _put_files(root)
        control = CONTROL.format(
            name=NAME,
            version=VERSION,
            architecture=architecture,
            kilobytes=sum(p.lstat().st_size for p in root.rglob("*") if p.is_file()) // 1024,
            depends=", ".join(SYSTEM).format(glibc=needed_glibc(inner)),
        )
        _write(root / "DEBIAN" / "control", control)
        _set_modes(root)
        made = folder / f"{NAME}_{VERSION}_{architecture}.deb"
        begun = Path(place) / made.name
        # Debian 12 and Ubuntu 22.04 can unpack it; it takes a tenth of xz's time.
        options = ["--root-owner-group", "-Zzstd", "-z9"]
        command = ["dpkg-deb", *options, "--build", str(root), str(begun)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        begun.replace(made)
    return made


def _put_files(root: Path) -> None:
    share = root / "usr" / "share"
    _write(share / "applications" / f"{NAME}.desktop", DESKTOP)
    icons = share / "icons" / "hicolor"
    for picture in icon_pictures():
        target = icons / f"{picture.stem}x{picture.stem}" / "apps" / f"{NAME}.png"
        target.parent.mkdir(parents=True)
        shutil.copy(picture, target)
    drawing = icons / "scalable" / "apps" / f"{NAME}.svg"
    drawing.parent.mkdir(parents=True)
    shutil.copy(icon_pictures()[0].with_name(f"{NAME}.svg"), drawing)
    command = root / "usr" / "bin" / "vl2"
    command.parent.mkdir(parents=True)
    command.symlink_to(Path("/") / PLACE / "vl2")
    licences = Path("/") / PLACE / "_internal" / "licences"
    _write(
        share / "doc" / NAME / "copyright",
        f"VL2 Desktop: Apache-2.0, see /usr/share/common-licenses/Apache-2.0.\n\nThe licences of"
        f" everything that is inside: {licences} (begin with README.txt).\n",
    )


def needed_glibc(folder: Path) -> str:
    """The newest version of the C library that a file in the folder asks for, such as "2.34"."""
    newest = (2, 17)
    for path in folder.rglob("*"):
        if path.is_file() and (".so" in path.name or os.access(path, os.X_OK)):
            for major, minor in re.findall(rb"GLIBC_(\d)\.(\d+)\b", path.read_bytes()):
                newest = max(newest, (int(major), int(minor)))
    return ".".join(map(str, newest))


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")


def _set_modes(root: Path) -> None:
    """Readable by all, writable by the owner, whatever the builder's umask is."""
    for path in (root, *root.rglob("*")):
        if not path.is_symlink():
            program = path.is_dir() or os.access(path, os.X_OK)
            path.chmod(0o755 if program else 0o644)


def main() -> None:
    """Make the package of a frozen program."""
    parser = argparse.ArgumentParser(prog="python -m app.freezing.deb", description=__doc__)
    parser.add_argument("program", type=Path, help="the frozen program's folder")
    parser.add_argument("folder", type=Path, help="where the package goes")
    parsed = parser.parse_args()
    if shutil.which("dpkg-deb") is None:
        sys.exit("deb: dpkg-deb is not here; packages are made on Debian and Ubuntu")
    made = make_deb(parsed.program, parsed.folder)
    sys.stdout.write(f"{made}: {made.stat().st_size / 1e6:.1f} MB\n")


if __name__ == "__main__":
    main()

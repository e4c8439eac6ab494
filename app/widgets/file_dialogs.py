"""The system's dialogs for clips, exports and reports."""

from pathlib import Path

from PySide6.QtCore import QCoreApplication
from PySide6.QtWidgets import QFileDialog, QWidget

from app.clip_files import AUDIO, IMAGE, VIDEO, patterns

translate = QCoreApplication.translate


def choose_clip(parent: QWidget, folder: str) -> Path | None:
    """A file to open, None when the user chose none."""
    kinds = (
        (translate("FileDialogs", "Clips"), (*VIDEO, *IMAGE, *AUDIO)),
        (translate("FileDialogs", "Videos"), VIDEO),
        (translate("FileDialogs", "Pictures"), IMAGE),
        (translate("FileDialogs", "Sounds"), AUDIO),
    )
    filters = [f"{name} ({patterns(endings)})" for name, endings in kinds]
    filters.append(translate("FileDialogs", "All files") + " (*)")
    name, _ = QFileDialog.getOpenFileName(
        parent, translate("FileDialogs", "Open a clip"), folder, ";;".join(filters)
    )
    return Path(name) if name else None


def choose_folder(parent: QWidget, folder: str) -> Path | None:
    """A folder of frames to open, None when the user chose none."""
    name = QFileDialog.getExistingDirectory(
        parent, translate("FileDialogs", "Open a folder of frames"), folder
    )
    return Path(name) if name else None


def choose_export(parent: QWidget, title: str, form: str) -> Path | None:
    """Where to write a conversation ("markdown" or "json"), None when the user chose nothing."""
    ending, kind = (".json", "JSON") if form == "json" else (".md", "Markdown")
    plain = "".join(letter if letter.isalnum() or letter in " -_" else " " for letter in title)
    suggested = " ".join(plain.split())[:60] or "conversation"
    name, _ = QFileDialog.getSaveFileName(
        parent,
        translate("FileDialogs", "Export the conversation"),
        suggested + ending,
        f"{kind} (*{ending})",
    )
    if not name:
        return None
    path = Path(name)
    return path if path.suffix else path.with_suffix(ending)


def choose_report(parent: QWidget) -> Path | None:
    """Where to write a report of an error, None when the user chose nothing."""
    name, _ = QFileDialog.getSaveFileName(
        parent,
        translate("FileDialogs", "Save a report for the maintainers"),
        "vl2-report.txt",
        translate("FileDialogs", "Texts") + " (*.txt)",
    )
    return Path(name) if name else None

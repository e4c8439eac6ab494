"""Data that ships with the program: demo bundle and clips, icon, texts to calibrate with."""

from pathlib import Path


def demo_bundle() -> Path:
    """The folder of the bundled demo model."""
    return Path(__file__).parent / "demo"


def demo_clips() -> Path:
    """The folder of the bundled clips and their questions.jsonl."""
    return Path(__file__).parent / "clips"


def icon_pictures() -> list[Path]:
    """The program's icon in its sizes (PNG)."""
    return sorted((Path(__file__).parent / "icon").glob("*.png"))


def calibration_texts() -> Path:
    """The conversations about nothing seen or heard that quantising is calibrated with."""
    return Path(__file__).parent / "calibration" / "texts.jsonl"

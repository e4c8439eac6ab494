"""Data that ships with the program: the demo bundle and its clips, texts to calibrate with."""

from pathlib import Path


def demo_bundle() -> Path:
    """The folder of the bundled demo model."""
    return Path(__file__).parent / "demo"


def demo_clips() -> Path:
    """The folder of the bundled clips and their questions.jsonl."""
    return Path(__file__).parent / "clips"


def calibration_texts() -> Path:
    """The conversations about nothing seen or heard that quantising is calibrated with."""
    return Path(__file__).parent / "calibration" / "texts.jsonl"

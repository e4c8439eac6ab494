"""Data that ships with the program: the demo bundle and its clips."""

from pathlib import Path


def demo_bundle() -> Path:
    """The folder of the bundled demo model."""
    return Path(__file__).parent / "demo"


def demo_clips() -> Path:
    """The folder of the bundled clips and their questions.jsonl."""
    return Path(__file__).parent / "clips"

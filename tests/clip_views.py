"""What the engine tells the player of a clip, computed here and now."""

from pathlib import Path

from assets import demo_bundle
from engines.config import ClipOptions, parse_manifest
from engines.preview import Preview, preview_steps


def preview_of(path: Path, **options: object) -> Preview:
    manifest = demo_bundle() / "manifest.json"
    vision = parse_manifest(manifest.read_bytes(), manifest).vision
    steps = preview_steps(ClipOptions(path, **options), vision, 160, 400)
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value

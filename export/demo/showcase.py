"""The few clips that come with the program: made by hand, one for each thing worth showing."""

from pathlib import Path

import numpy as np

from export.demo.clips import write_clip, write_questions
from export.demo.questions import Question, all_questions
from export.demo.world import Clip, Scene, Sound, Thing

BOUNCE = Clip(
    Scene(
        "motion",
        (
            Thing("red", "circle", "large", 0.13, (0.84, 0.2), (0.18, 0.2), "left", turn_s=2.0),
            Thing("blue", "square", "small", 0.075, (0.5, 0.8), (0.5, 0.8)),
        ),
        "gray",
        "gradient",
        1,
    ),
    Sound("beeps", 0.7, 0.16, "high", "pure", 1000.0, beeps=2, gap_s=0.55),
)
FLASH = Clip(
    Scene(
        "flash",
        (Thing("green", "triangle", "large", 0.13, (0.5, 0.82), (0.5, 0.16), "up"),),
        "black",
        "plain",
        2,
        flash_s=2.3,
    ),
    Sound("tone", 1.35, 1.1, "low", "buzzy", 240.0),
)
ORDER = Clip(
    Scene(
        "order",
        (
            Thing("yellow", "cross", "large", 0.13, (0.2, 0.5), (0.2, 0.5), appears_s=2.6),
            Thing("purple", "circle", "small", 0.075, (0.8, 0.2), (0.8, 0.2), appears_s=1.1),
            Thing("orange", "square", "large", 0.13, (0.5, 0.8), (0.5, 0.8)),
        ),
        "brown",
        "plain",
        3,
    ),
    Sound("rising", 0.8, 1.2, "low", "pure", 300.0),
)
COUNT = Clip(
    Scene(
        "count",
        (
            Thing("red", "cross", "small", 0.075, (0.19, 0.2), (0.19, 0.2)),
            Thing("green", "circle", "large", 0.13, (0.5, 0.5), (0.5, 0.5)),
            Thing("blue", "triangle", "large", 0.13, (0.8, 0.2), (0.8, 0.2)),
            Thing("yellow", "square", "small", 0.075, (0.2, 0.8), (0.2, 0.8)),
        ),
        "white",
        "stripes",
        4,
    ),
    Sound("silent"),
)
VANISH = Clip(
    Scene(
        "change",
        (
            Thing("blue", "circle", "large", 0.13, (0.3, 0.2), (0.3, 0.2), vanishes_s=2.0),
            Thing("orange", "triangle", "small", 0.075, (0.15, 0.8), (0.85, 0.8), "right"),
        ),
        "pink",
        "plain",
        5,
    ),
    Sound("noise", 2.02, 0.5),
)
NO_SOUND = Clip(
    Scene(
        "motion",
        (
            Thing("purple", "square", "large", 0.13, (0.2, 0.2), (0.2, 0.82), "down"),
            Thing("green", "cross", "small", 0.075, (0.8, 0.85), (0.8, 0.2), "up", turn_s=2.2),
        ),
        "black",
        "noise",
        6,
    ),
    None,
)
# Each clip with the types of question that show it best.
SHOWCASE: dict[str, tuple[Clip, tuple[str, ...]]] = {
    "bounce": (BOUNCE, ("motion", "bounce", "beeps", "fu_color", "av_caption")),
    "flash": (FLASH, ("flash", "motion", "sync", "timbre", "exist")),
    "order": (ORDER, ("order", "change", "sound", "size", "background")),
    "count": (COUNT, ("count", "color", "shape", "sound", "absent")),
    "vanish": (VANISH, ("change", "sync", "sound", "fu_size", "caption")),
    "no-sound": (NO_SOUND, ("no_track", "motion", "bounce", "caption")),
}


def write_showcase(folder: Path) -> None:
    """Write the clips and their questions."""
    folder.mkdir(parents=True, exist_ok=True)
    pairs: list[tuple[str, Question]] = []
    for index, (name, (clip, kinds)) in enumerate(SHOWCASE.items()):
        write_clip(folder / f"{name}.mp4", clip)
        asked = all_questions(clip, np.random.default_rng(index))
        for kind in kinds:
            pairs.append((f"{name}.mp4", next(q for q in asked if q.type == kind)))
    write_questions(folder / "questions.jsonl", pairs)

"""The learning curve of a run's log as a drawing."""

import json
from pathlib import Path
from typing import Any

from engines.errors import ExportError

GROUPS = {
    "things": ("color", "shape", "size", "count", "background", "exist", "absent"),
    "time": ("motion", "bounce", "change", "order", "flash"),
    "sound": ("sound", "beeps", "pitch", "timbre", "sync", "no_track"),
    "turns and captions": (
        "fu_color",
        "fu_shape",
        "fu_size",
        "fu_motion",
        "caption",
        "av_caption",
    ),
}


Measures = list[tuple[int, dict[str, float]]]


def measures(log: Path, prefix: str = "") -> Measures:
    """(step, accuracy per type) of every measure of the joint and the talk stage, by step.

    Steps of the talk stage count on behind those of the joint stage. `prefix` is "pooled-" for the
    connector that only compares.

    Raises:
        ExportError: the file is no log of a run.
    """
    try:
        entries: list[dict[str, Any]] = [
            json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()
        ]
        stages = {
            name: {
                entry["step"]: entry["measured"]
                for entry in entries
                if entry["stage"] == prefix + name and "measured" in entry
            }
            for name in ("joint", "talk")
        }
    except (ValueError, KeyError, TypeError) as error:
        raise ExportError(
            f"{log} is not the log of a run; give log.jsonl of a work folder."
        ) from error
    behind = max(stages["joint"], default=0)
    talk = [(behind + step, values) for step, values in stages["talk"].items()]
    return sorted([*stages["joint"].items(), *talk], key=lambda pair: pair[0])


def draw(log: Path, out: Path) -> None:
    """Draw accuracy against steps for every type of question into an SVG or PNG file.

    The pooled connector, where the log has it, is drawn dashed in the same colours.

    Raises:
        ExportError: the file is no log of a run, or of one that has not come so far.
    """
    from matplotlib.figure import Figure

    found = measures(log)
    if not found:
        raise ExportError(f"{log} holds no measure of the joint stage yet; train longer.")
    pooled = measures(log, "pooled-")
    figure = Figure(figsize=(11, 7), layout="constrained")
    plots = figure.subplots(2, 2, sharex=True, sharey=True).flat
    for plot, (title, kinds) in zip(plots, GROUPS.items(), strict=True):
        for number, kind in enumerate((*kinds, "mean")):
            look = {"color": "black" if kind == "mean" else f"C{number}"}
            name = "mean of types" if kind == "mean" else kind
            plot.plot(*_line(found, kind), **look, label=name)
            plot.plot(*_line(pooled, kind), "--", **look, linewidth=0.9)
        plot.set_title(title)
        plot.set_ylim(0, 101)
        plot.grid(alpha=0.3)
        plot.legend(fontsize=8, loc="lower right")
        plot.set_xlabel("joint steps, then talk steps")
        plot.set_ylabel("exact answers, %")
    if pooled:
        figure.suptitle("solid: STC connector, dashed: frames pooled one by one", fontsize=10)
    figure.savefig(out)


def _line(found: Measures, kind: str) -> tuple[list[int], list[float]]:
    at = [(step, 100 * values[kind]) for step, values in found if kind in values]
    return [step for step, _ in at], [value for _, value in at]

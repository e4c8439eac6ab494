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


def joint_measures(log: Path) -> list[tuple[int, dict[str, float]]]:
    """(step, accuracy per type) of every measure of the joint stage, in order of steps.

    Raises:
        ExportError: the file is no log of a run, or of one that has not come so far.
    """
    try:
        entries: list[dict[str, Any]] = [
            json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()
        ]
        found = {
            entry["step"]: entry["measured"]
            for entry in entries
            if entry["stage"] == "joint" and "measured" in entry
        }
    except (ValueError, KeyError, TypeError) as error:
        raise ExportError(
            f"{log} is not the log of a run; give log.jsonl of a work folder."
        ) from error
    if not found:
        raise ExportError(f"{log} holds no measure of the joint stage yet; train longer.")
    return sorted(found.items())


def draw(log: Path, out: Path) -> None:
    """Draw accuracy against steps for every type of question into an SVG or PNG file."""
    from matplotlib.figure import Figure

    measures = joint_measures(log)
    steps = [step for step, _ in measures]
    figure = Figure(figsize=(11, 7), layout="constrained")
    plots = figure.subplots(2, 2, sharex=True, sharey=True).flat
    for plot, (title, kinds) in zip(plots, GROUPS.items(), strict=True):
        for kind in kinds:
            plot.plot(steps, [100 * values.get(kind, 0.0) for _, values in measures], label=kind)
        plot.plot(steps, [100 * values["mean"] for _, values in measures], "k:", label="all types")
        plot.set_title(title)
        plot.set_ylim(0, 101)
        plot.grid(alpha=0.3)
        plot.legend(fontsize=8, loc="lower right")
        plot.set_xlabel("joint steps")
        plot.set_ylabel("exact answers, %")
    figure.savefig(out)

"""What quantising gave: as JSON beside the bundle, as a table, and as a drawing."""

import html
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from engines.bundle import write_whole
from engines.config import AccuracyConfig, to_json
from export.accuracy import accuracy_table
from export.quantise_state import MatrixRow

SUFFIX = ".report.json"
EXPERT = "block_sparse_moe.experts."


def report_path(bundle: Path) -> Path:
    """Return where the report of a bundle lies: beside it."""
    return bundle.with_name(bundle.name.removesuffix(".vl2") + SUFFIX)


def write_report(path: Path, facts: Mapping[str, Any], rows: Sequence[MatrixRow]) -> None:
    """Write everything as JSON."""
    data = {**facts, "matrices": [asdict(row) for row in rows]}
    text = json.dumps(data, indent=1, ensure_ascii=False) + "\n"
    write_whole(path, text.encode())


def layer_table(rows: Sequence[MatrixRow]) -> str:
    """Lay out what each layer lost: means over its matrices, and the worst of them."""
    lines = [f"{'layer':>6} {'tokens':>8} {'rounding':>10} {'GPTQ':>10}  {'most lost in':<24} note"]
    for layer in dict.fromkeys(row.layer for row in rows):
        mine = [row for row in rows if row.layer == layer]
        measured = [row for row in mine if row.error is not None]
        worst = max(measured, key=lambda row: row.error or 0, default=None)
        lines.append(
            f"{_layer_name(layer):>6} {max(row.tokens for row in mine):>8}"
            f" {_mean(row.rounding_error for row in mine):>10}"
            f" {_mean(row.error for row in mine):>10}"
            f"  {f'{worst.matrix} {worst.error:.2%}' if worst else '':<24} {_notes(mine)}".rstrip()
        )
    return "\n".join(lines)


def draw_report(
    path: Path, rows: Sequence[MatrixRow], accuracy: AccuracyConfig | None, title: str
) -> None:
    """Draw the errors of every kind of matrix over the layers.

    Args:
        path: A .png, or an .html that holds the drawing and the tables.
        rows: Of all matrices.
        accuracy: What the bundle's answers gave.
        title: What it is about.
    """
    if path.suffix == ".png":
        write_whole(path, _drawing(rows, title, "png"))
        return
    drawing = _drawing(rows, title, "svg").decode()
    drawing = drawing[drawing.index("<svg") :]
    tables = [layer_table(rows)] + ([accuracy_table(accuracy)] if accuracy else [])
    text = "".join(f"<pre>{html.escape(table)}</pre>\n" for table in tables)
    head = html.escape(title)
    page = (
        f'<!doctype html>\n<html lang="en"><meta charset="utf-8"><title>{head}</title>'
        "\n<style>body{font:15px sans-serif;margin:2em;max-width:75em}pre{overflow-x:auto}"
        f"svg{{max-width:100%;height:auto}}</style>\n<h1>{head}</h1>\n"
        "<p>Error of each matrix's output on the calibration, as a share of its energy.</p>\n"
        f"{drawing}\n{text}</html>\n"
    )
    write_whole(path, page.encode())


def facts_of(
    bundle: str, calibration: Mapping[str, Any], options: object, accuracy: AccuracyConfig | None
) -> dict[str, Any]:
    """Return what a report says beside its matrices."""
    return {
        "bundle": bundle,
        "options": to_json(options),
        "calibration": dict(calibration),
        "accuracy": None if accuracy is None else to_json(accuracy),
    }


def _drawing(rows: Sequence[MatrixRow], title: str, kind: str) -> bytes:
    # Takes a second to import, and only a drawing needs it.
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    rows = [row for row in rows if row.layer >= 0]
    kinds = list(dict.fromkeys(_kind(row) for row in rows))
    across = min(len(kinds), 4)
    down = -(-len(kinds) // across)
    figure = Figure(figsize=(3.2 * across, 2.6 * down + 0.6), layout="constrained")
    axes = list(figure.subplots(down, across, sharey=True, squeeze=False).flat)
    for axis in axes[len(kinds) :]:
        axis.set_axis_off()
    for axis, name in zip(axes, kinds, strict=False):
        mine = [row for row in rows if _kind(row) == name]
        for label, field, style in (
            ("rounding", "rounding_error", "o:"),
            ("GPTQ", "error", "s-"),
        ):
            points = [(row.layer, getattr(row, field)) for row in mine]
            shown = [(layer, 100 * error) for layer, error in points if error]
            layers, errors = [layer for layer, _ in shown], [error for _, error in shown]
            axis.plot(layers, errors, style, markersize=3, label=label)
        axis.set_title(name, fontsize=10)
        axis.set_yscale("log")
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
        axis.grid(visible=True, alpha=0.3)
    figure.supxlabel("layer")
    figure.supylabel("error, %")
    figure.suptitle(title)
    axes[0].legend(fontsize=8)
    out = io.BytesIO()
    figure.savefig(out, format=kind, dpi=110)
    return out.getvalue()


def _kind(row: MatrixRow) -> str:
    """Return a matrix's name, the same for all experts."""
    return row.matrix.rpartition(".")[2]


def _layer_name(layer: int) -> str:
    return "output" if layer < 0 else str(layer)


def _mean(values: Iterable[float | None]) -> str:
    known = [value for value in values if value is not None]
    return f"{sum(known) / len(known):.3%}" if known else "-"


def _notes(rows: Sequence[MatrixRow]) -> str:
    """Say which matrices were rounded to nearest and why, and where damping had to rise."""
    reasons: dict[str, list[str]] = {}
    for row in rows:
        if row.reason:
            reasons.setdefault(row.reason, []).append(row.matrix.removeprefix(EXPERT))
    found = [f"{', '.join(names)} rounded to nearest: {why}" for why, names in reasons.items()]
    damped = [f"{row.matrix} damped by {row.damp:g}" for row in rows if (row.damp or 0) > 0.05]
    return "; ".join(found + damped)

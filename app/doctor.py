"""`vl2 doctor`: what this machine has, what will run where and why, whether the demo is whole."""

import json
import re
from dataclasses import asdict
from pathlib import Path
from typing import Any

from app import report_file
from app import settings as settings_file
from app.frozen import pack_note
from app.kept_files import KeptFiles, kept_files
from app.memory_need import human_size
from app.terminal import show
from assets import demo_bundle
from engines import log, offline
from engines.bundle import open_bundle
from engines.config import PartDevice, to_json
from engines.confine import missing
from engines.devices import Device, Machine, machine, resolve
from engines.errors import BundleError, MediaError
from engines.media_process import confinement
from engines.placement import Placement
from engines.sessions import Sessions

# What a plan's rows are called where the graph's own name says too little.
_NAMES = {"context": "GPU driver"}
# How a window's last line in the log begins and what it counted.
_LAST_WINDOW = re.compile(r" window \d+ end .*made=(\d+) refused=(\d+) cameras=(\d+)")


def report(
    as_json: bool, path: Path | None = None, context: int | None = None, device: str = "auto"
) -> None:
    """Print the report.

    Args:
        as_json: as one JSON object.
        path: a bundle, to say also what its parts need and where they run.
        context: tokens of a conversation to reckon with; None: usual ones.
        device: that is asked for.

    Raises:
        BundleError: the bundle cannot be read.
        DeviceError: the device cannot be used here.
    """
    found, chosen = machine(), resolve(device)
    demo = _demo()
    parts = None if path is None else _of_bundle(path, context, chosen)
    kept = kept_files(_settings().prepacked_gb)
    if as_json:
        fields = {**to_json(found), "device": chosen.name, "reason": chosen.reason, "demo": demo}
        fields["kept"] = [asdict(one) | {"path": str(one.path)} for one in kept]
        fields["connections"] = asdict(offline.connections())
        fields["clips_confined"] = _confined()
        show(json.dumps(fields | ({} if parts is None else parts[2]), ensure_ascii=False))
        return
    for name, value in {**_rows(found, chosen), "demo model": demo}.items():
        show(f"{name:<14}{value}")
    for one in kept:
        show(f"{'kept':<14}{_line(one)}")
    if parts is not None:
        for line in ("", *table(parts[0], parts[1])):
            show(line)


def write_report(path: Path, overwrite: bool) -> None:
    """Write the file that a user can attach to a report of an error, and say what is in it.

    Args:
        path: the file.
        overwrite: whether one may be there already.

    Raises:
        StoreError: it cannot be written.
    """
    found, chosen, settings = machine(), resolve("auto"), _settings()
    demo = "whole" if _demo().startswith("whole") else "damaged"
    rows = {**_rows(found, chosen), "demo model": demo}
    kept = kept_files(settings.prepacked_gb)
    text = report_file.report_text(rows, settings, report_file.installed_here(settings), kept)
    report_file.write_report(path, text, overwrite)
    show(
        f"Written to {path} ({human_size(len(text))}): this computer, versions, settings that"
        " differ from the default, the form of the models, and the log. Not in it: questions,"
        " answers, names and places of files. Read it before you send it."
    )


def _rows(found: Machine, chosen: Device) -> dict[str, str]:
    """What names no place on this computer."""
    memory = "unknown" if found.memory_bytes is None else f"{found.memory_bytes / 2**30:.1f} GiB"
    return {
        "system": found.system,
        "Python": found.python,
        "processor": f"{found.cpu}, {found.cores} cores usable",
        "memory": memory,
        "GPU": "; ".join(found.gpus) or "none that nvidia-smi knows of",
        **({"GPU pack": note} if (note := pack_note()) else {}),
        "ONNX Runtime": f"{found.onnxruntime} ({', '.join(found.providers)})",
        "device": chosen.reason,
        "network": "off: telemetry and model hubs are switched off, other computers are refused",
        "connections": _connections(),
        "clips": _clips(),
    }


def _confined() -> dict[str, bool] | None:
    """What the process that reads clips gives up here; None where there can be none."""
    try:
        return asdict(confinement())
    except MediaError:
        return None


def _clips() -> str:
    try:
        without = missing(confinement())
    except MediaError as error:
        return str(error)
    if not without:
        return "read by a process that may open nothing but the clip, and no connection"
    return "read by a process of its own; if a clip took it over, " + ", and ".join(without)


def _connections() -> str:
    now = offline.connections()
    said = f"Connections made: {now.made} (refused: {now.refused}) by this command"
    before = _LAST_WINDOW.findall(log.tail(log.FILES * log.FILE_BYTES))
    if before:
        made, refused, cameras = before[-1]
        said += f"; by the window that was closed last: {made} (refused: {refused}"
        said += f", streams of cameras: {cameras})"
    return said


def _demo() -> str:
    try:
        bundle = open_bundle(demo_bundle())
    except BundleError as error:
        return str(error)
    return f"whole ({bundle.config.name}, {bundle.id[:12]})"


def _settings() -> settings_file.Settings:
    return settings_file.load(settings_file.settings_path(), keep_aside=False)[0]


def _line(one: KeptFiles) -> str:
    limit = "" if one.limit_bytes is None else f", at most {human_size(one.limit_bytes)}"
    may = "; may be deleted at any time" if one.disposable else ""
    return f"{one.name}: {human_size(one.used_bytes)}{limit}, in {one.path}{may}"


def table(placement: Placement, devices: tuple[PartDevice, ...]) -> list[str]:
    """What each part needs, where its memory is planned to be, and what runs it."""
    reasons = {part.part: part for part in devices}
    lines = [f"{'part':<14}{'where':<8}{'holds':>10}{'works with':>12}  {'run by':<10}why"]
    for row in placement.rows:
        part = reasons.get(row.part)
        turns = "" if row.kept else " (takes turns)"
        run_by, why = ("", "") if part is None else (part.device, part.reason)
        works = human_size(row.working_bytes) if row.working_bytes else ""
        line = (
            f"{_NAMES.get(row.part, row.part):<14}{row.where:<8}{human_size(row.nbytes):>10}"
            f"{works:>12}  {run_by:<10}{why}{turns}"
        )
        lines.append(line.rstrip())
    lines.append(
        f"{placement.reason} Conversations of {placement.context:,} tokens; at most"
        f" {human_size(placement.gpu_bytes)} on the GPU, {human_size(placement.ram_bytes)} in this"
        f" computer's memory{'' if placement.fits else ', which is not free now'}."
    )
    return lines


def _of_bundle(
    path: Path, context: int | None, device: Device
) -> tuple[Placement, tuple[PartDevice, ...], dict[str, Any]]:
    bundle = open_bundle(path)
    sessions = Sessions(bundle, device, None)
    placement = sessions.plan(context)
    devices = sessions.devices()
    fields = {
        "bundle": bundle.id,
        "placement": asdict(placement),
        "devices": [asdict(part) for part in devices],
    }
    return placement, devices, fields

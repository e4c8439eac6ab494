"""`vl2 doctor`: what this machine has, what will run where and why, whether the demo is whole."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from app.memory_need import human_size
from app.terminal import show
from assets import demo_bundle
from engines.bundle import open_bundle
from engines.compiled import plan_memory
from engines.config import PartDevice, to_json
from engines.devices import Device, machine, resolve
from engines.errors import BundleError
from engines.placement import Placement
from engines.prepacked import prepacked_store
from engines.sessions import Sessions


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
    try:
        bundle = open_bundle(demo_bundle())
        demo = f"whole ({bundle.config.name}, {bundle.id[:12]})"
    except BundleError as error:
        demo = str(error)
    parts = None if path is None else _of_bundle(path, context, chosen)
    kept = prepacked_store().usage()
    if as_json:
        fields = {**to_json(found), "device": chosen.name, "reason": chosen.reason, "demo": demo}
        fields["prepacked"] = {**asdict(kept), "folder": str(kept.folder)}
        show(json.dumps(fields | ({} if parts is None else parts[2]), ensure_ascii=False))
        return
    memory = "unknown" if found.memory_bytes is None else f"{found.memory_bytes / 2**30:.1f} GiB"
    rows = {
        "system": found.system,
        "Python": found.python,
        "processor": f"{found.cpu}, {found.cores} cores usable",
        "memory": memory,
        "GPU": "; ".join(found.gpus) or "none that nvidia-smi knows of",
        "ONNX Runtime": f"{found.onnxruntime} ({', '.join(found.providers)})",
        "device": chosen.reason,
        "demo model": demo,
        "made ready": f"{human_size(kept.used_bytes)} in {kept.folder}: large graphs as this"
        f" processor wants them, at most {human_size(kept.limit_bytes)}; may be deleted",
        "network": "off: telemetry and model hubs are switched off in this process",
    }
    for name, value in rows.items():
        show(f"{name:<14}{value}")
    if parts is not None:
        for line in ("", *table(parts[0], parts[1])):
            show(line)


def table(placement: Placement, devices: tuple[PartDevice, ...]) -> list[str]:
    """What each part needs, where its memory is planned to be, and what runs it."""
    reasons = {part.part: part for part in devices}
    lines = [f"{'part':<14}{'where':<8}{'holds':>10}{'works with':>12}  {'run by':<10}why"]
    for row in placement.rows:
        part = reasons.get(row.part)
        turns = "" if row.kept else " (takes turns)"
        run_by, why = ("", "") if part is None else (part.device, part.reason)
        line = (
            f"{row.part:<14}{row.where:<8}{human_size(row.nbytes):>10}"
            f"{human_size(row.working_bytes):>12}  {run_by:<10}{why}{turns}"
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
    placement = plan_memory(bundle, sessions.compiled, context)
    devices = sessions.devices()
    fields = {
        "bundle": bundle.id,
        "placement": asdict(placement),
        "devices": [asdict(part) for part in devices],
    }
    return placement, devices, fields

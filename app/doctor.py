"""`vl2 doctor`: what this machine has, what will run where, and whether the demo model is whole."""

import json

from app.terminal import show
from assets import demo_bundle
from engines.bundle import open_bundle
from engines.config import to_json
from engines.devices import machine, resolve
from engines.errors import BundleError


def report(as_json: bool) -> None:
    """Print the report."""
    found = machine()
    device = resolve("auto")
    try:
        bundle = open_bundle(demo_bundle())
        demo = f"whole ({bundle.config.name}, {bundle.id[:12]})"
    except BundleError as error:
        demo = str(error)
    if as_json:
        fields = {**to_json(found), "device": device.name, "reason": device.reason, "demo": demo}
        show(json.dumps(fields, ensure_ascii=False))
        return
    memory = "unknown" if found.memory_bytes is None else f"{found.memory_bytes / 2**30:.1f} GiB"
    rows = {
        "system": found.system,
        "Python": found.python,
        "processor": f"{found.cpu}, {found.cores} cores usable",
        "memory": memory,
        "GPU": "; ".join(found.gpus) or "none that nvidia-smi knows of",
        "ONNX Runtime": f"{found.onnxruntime} ({', '.join(found.providers)})",
        "device": device.reason,
        "demo model": demo,
        "network": "off: telemetry and model hubs are switched off in this process",
    }
    for name, value in rows.items():
        show(f"{name:<14}{value}")

"""What the models page shows, gathered off the window's thread; no Qt here."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from app.bundles import (
    InstalledBundle,
    Memory,
    Need,
    PartDevice,
    Verdict,
    installed,
    memory_here,
    need,
    part_devices,
    verdict,
)
from engines.errors import Vl2Error


@dataclass(frozen=True)
class BundleFacts:
    """A bundle and how it would run here; what does not apply to a broken one is None or empty.

    Attributes:
        bundle: Where and what it is.
        need: The memory it takes.
        verdict: Whether that is here.
        devices: Where each part runs, and why.
        device_problem: Why it cannot run on the device asked for (a sentence).
    """

    bundle: InstalledBundle
    need: Need | None = None
    verdict: Verdict | None = None
    devices: tuple[PartDevice, ...] = ()
    device_problem: str | None = None


@dataclass(frozen=True)
class Survey:
    """All bundles of this computer, and its memory."""

    bundles: tuple[BundleFacts, ...]
    memory: Memory


def survey(folders: Sequence[Path] = (), device: str = "auto", exact: bool = False) -> Survey:
    """Look at every bundle; reads manifests and asks for the GPU, so not for the window's thread.

    Args:
        folders: Further folders with bundles (a setting).
        device: The device asked for (a setting).
        exact: Exact arithmetic (a setting).
    """
    memory = memory_here()
    found = [_facts(bundle, memory, device, exact) for bundle in installed(folders)]
    return Survey(tuple(found), memory)


def _facts(bundle: InstalledBundle, memory: Memory, device: str, exact: bool) -> BundleFacts:
    if bundle.config is None:
        return BundleFacts(bundle)
    takes = need(bundle, exact=exact)
    devices: tuple[PartDevice, ...] = ()
    problem = None
    try:
        devices = part_devices(bundle.config, device)
    except Vl2Error as error:
        problem = str(error)
    return BundleFacts(bundle, takes, verdict(takes, memory), devices, problem)

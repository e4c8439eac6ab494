"""Where the parts of a checkpoint are found that are not in its folder.

A folder, the same name beside the checkpoint, the local cache of the Hugging Face hub, and, only
when the user says so, the hub itself.
"""

import os
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from engines import offline
from engines.errors import CheckpointError, ExportError
from export.tensors import file_exists

# What makes a folder that of a model.
CONFIG = "config.json"
# An owner and a name, neither of which can lead anywhere else.
_HUB_ID = re.compile(r"[A-Za-z0-9][\w-]*(?:\.[\w-]+)*/[A-Za-z0-9][\w-]*(?:\.[\w-]+)*")
_COMMIT = re.compile(r"[0-9a-zA-Z]+")
# What no reader of ours takes from a repository.
UNWANTED = ("*.h5", "*.msgpack", "*.onnx", "*.gguf", "*.ot", "*.mp4", "consolidated*", "*/*")


@dataclass(frozen=True)
class Where:
    """What the user said of where to look.

    Attributes:
        base: The language model or checkpoint below the one to be exported: a folder or a hub id.
        online: Whether what is nowhere here may be downloaded.
    """

    base: str | None = None
    online: bool = False


def hub_cache() -> Path:
    """Return the folder in which huggingface_hub keeps repositories."""
    for name in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"):
        if os.environ.get(name):
            return Path(os.path.expandvars(os.environ[name])).expanduser()
    home = os.environ.get("HF_HOME")
    if home:
        return Path(os.path.expandvars(home)).expanduser() / "hub"
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(cache).expanduser() / "huggingface" / "hub"


def cached(hub_id: str) -> Path | None:
    """Return the newest known state of a repository in the local cache, if it is there."""
    if not _HUB_ID.fullmatch(hub_id):
        return None
    folder = hub_cache() / f"models--{hub_id.replace('/', '--')}"
    try:
        commit = (folder / "refs" / "main").read_text(encoding="utf-8").strip()
    except (OSError, ValueError):
        return None
    snapshot = folder / "snapshots" / commit
    return snapshot if _COMMIT.fullmatch(commit) and file_exists(snapshot / CONFIG) else None


def find_folder(named: str, beside: Sequence[Path] = (), online: bool = False) -> Path | None:
    """Find the folder of a model that a name means.

    Args:
        named: A path, often one on the machine that trained the model, or a hub id.
        beside: Folders in which it may be.
        online: Download it, or what of it is not in the cache, if it is none of those.

    Raises:
        ExportError: downloading it failed.
    """
    for folder in beside:
        for candidate in (folder / named, folder / Path(named).name):
            if file_exists(candidate / CONFIG) and candidate.resolve() != folder.resolve():
                return candidate
    # What is in the cache may be half of an interrupted download, which this completes.
    return download(named) if online and _HUB_ID.fullmatch(named) else cached(named)


def open_folder(given: Path, online: bool) -> Path:
    """Return the folder of a checkpoint that the user named, by path or by hub id.

    Raises:
        CheckpointError: it is nowhere.
        ExportError: downloading it failed.
    """
    if given.is_dir():
        return given
    found = find_folder(given.as_posix(), online=online)
    if found is not None:
        return found
    hint = ""
    if not given.exists() and _HUB_ID.fullmatch(given.as_posix()):
        hint = f" and not in the hub's cache {hub_cache()} (--online downloads it)"
    raise CheckpointError(
        f"{given} is not a folder{hint}; give the folder of a VideoLLaMA 2 checkpoint."
    )


def download(hub_id: str) -> Path:
    """Download a repository into the hub's cache, saying so before.

    Raises:
        ExportError: huggingface_hub is not installed, or the download failed.
    """
    try:
        import huggingface_hub
        from huggingface_hub import constants
    except ImportError:
        raise ExportError(
            "--online needs the package huggingface_hub; run pip install 'vl2[online]'."
        ) from None
    cache = hub_cache()
    sys.stderr.write(f"online: fetching {hub_id} from {constants.ENDPOINT} into {cache}\n")
    # Our own switches, set when the package was imported; this is the one place that lifts them.
    constants.HF_HUB_OFFLINE = False
    try:
        with offline.online():
            names = huggingface_hub.HfApi().list_repo_files(hub_id)
            # Older repositories hold everything twice.
            twice = any(name.endswith(".safetensors") and "/" not in name for name in names)
            unwanted = [*UNWANTED, *(["pytorch_model*.bin*"] if twice else [])]
            return Path(
                huggingface_hub.snapshot_download(hub_id, cache_dir=cache, ignore_patterns=unwanted)
            )
    except Exception as error:  # It raises what its HTTP library and the disk raise.
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise ExportError(
            f"{hub_id} could not be downloaded ({reason}); check the name and the network, or"
            " fetch it elsewhere and give its folder."
        ) from error
    finally:
        constants.HF_HUB_OFFLINE = True

"""The runtime: opens a bundle and answers questions about a clip; no torch, no Qt."""

from pathlib import Path
from typing import TYPE_CHECKING

from engines.offline import go_offline

if TYPE_CHECKING:
    from engines.bundle import Tell
    from engines.model import VideoLlama2

go_offline()


def load(
    bundle_dir: Path | str,
    device: str = "auto",
    exact: bool = False,
    threads: int | None = None,
    *,
    keep_encodings: bool = True,
    prepacked_gb: int | None = None,
    tell: "Tell | None" = None,
) -> "VideoLlama2":
    """Opens a bundle that `vl2-export` wrote.

    Args:
        bundle_dir: the bundle's folder; every file is checked against the manifest.
        device: "auto", "cpu", "cuda" or "tensorrt".
        exact: int4 bundles compute with float activations instead of int8 ones: slower, closer.
        threads: threads of one operator; None means one per physical core.
        keep_encodings: keep the encoders' results on disk for later runs.
        prepacked_gb: gigabytes of disk for large graphs as the library packs them, so that they
            open sooner and are mapped; 0 keeps none, None asks `VL2_PREPACKED_GB`, then takes 16.
        tell: called with (bytes done, bytes in all) while a large file is checked the first time.

    Raises:
        BundleError: not a bundle, of another version, or damaged.
        DeviceError: the device or ONNX Runtime is not there.
    """
    from engines.bundle import open_bundle
    from engines.model import VideoLlama2

    bundle = open_bundle(Path(bundle_dir), tell)
    return VideoLlama2(bundle, device, exact, threads, keep_encodings, prepacked_gb)

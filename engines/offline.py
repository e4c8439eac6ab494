"""Switches that keep every library of ours off the network; set before the first of them loads."""

import os

_SWITCHES = {
    # ONNX Runtime's own builds send usage data unless this is set before the import (Privacy.md).
    "ORT_DISABLE_TELEMETRY": "1",
    "HF_HUB_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "HF_DATASETS_OFFLINE": "1",
    "DO_NOT_TRACK": "1",
    # A forked tokenizer only prints a warning; one thread is right for one prompt.
    "TOKENIZERS_PARALLELISM": "false",
}


def go_offline() -> None:
    """Set the offline and no-telemetry switches of this process and of every child it starts."""
    os.environ.update(_SWITCHES)

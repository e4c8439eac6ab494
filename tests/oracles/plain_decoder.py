"""The decoder of a VideoLLaMA 2 checkpoint as a plain float folder that other programs quantise.

    PYTHONPATH=. python tests/oracles/plain_decoder.py CHECKPOINT OUT
    GPTQMODEL_CPU_WORKERS=2 python tests/oracles/gptqmodel_quantise.py OUT MADE --group 32
    vl2-export CHECKPOINT --gptq MADE

In OUT lie sequences of random words as well, in the place of a calibration.
"""

import shutil
import sys
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

from export.checkpoint import Checkpoint
from export.gptq_checkpoint import write_json
from export.keep_gptq import ARCHITECTURES, OTHER_KEYS, PARTS, TOKENIZER_FILES
from export.tensors import read_json

SEQUENCES, LENGTH = 16, 256


def main() -> None:
    source, out = Path(sys.argv[1]), Path(sys.argv[2])
    out.mkdir(parents=True)
    checkpoint = Checkpoint(source)
    tensors = {
        name: checkpoint.tensors.get(name, stored.shape).half().contiguous()
        for name, stored in checkpoint.tensors.stored.items()
        if name.startswith(PARTS)
    }
    save_file(tensors, out / "model.safetensors", {"format": "pt"})
    data = read_json(source / "config.json")
    kind = checkpoint.config.kind
    config = {k: v for k, v in data.items() if not k.startswith(OTHER_KEYS)}
    config |= {"model_type": kind, "architectures": [ARCHITECTURES[kind]], "torch_dtype": "float16"}
    write_json(out / "config.json", config)
    for name in TOKENIZER_FILES:
        if (source / name).is_file():
            shutil.copyfile(source / name, out / name)
    torch.manual_seed(0)
    words = torch.randint(3, checkpoint.config.decoder.vocab_size, (SEQUENCES, LENGTH)).numpy()
    np.savez(out / "sequences.npz", calibration=words)


if __name__ == "__main__":
    main()

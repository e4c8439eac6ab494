"""SmolLM2-135M quantised by GPTQModel on the same calibration, to compare ours with.

In an environment of its own (pip install gptqmodel optimum), since its requirements are not ours:

    GPTQMODEL_CPU_WORKERS=2 python tests/oracles/gptqmodel_quantise.py FLOAT OUT [--mse 2.4]

FLOAT is what smollm2_checkpoint.py wrote. Measure OUT with smollm2_quality.py --gptq OUT. The same
`--sequences` makes both use the same ones.
"""

import argparse
import time
from pathlib import Path

import numpy as np
from gptqmodel import GPTQModel, QuantizeConfig


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--mse", type=float, default=0.0)
    parser.add_argument("--group", type=int, default=64)
    parser.add_argument("--sequences", type=int, default=16)
    parser.add_argument("--asymmetric", action="store_true", help="with zero points")
    parser.add_argument("--act-order", action="store_true", help="groups in an order of their own")
    args = parser.parse_args()
    sequences = np.load(args.folder / "sequences.npz")["calibration"]
    sequences = sequences[:: len(sequences) // args.sequences]
    order = {"desc_act": True, "act_group_aware": False} if args.act_order else {}
    config = QuantizeConfig(
        bits=4,
        group_size=args.group,
        device="cpu",
        mse=args.mse,
        sym=not args.asymmetric,
        **order,
    )
    started = time.process_time()
    model = GPTQModel.load(str(args.folder), config)
    rows = [{"input_ids": ids.tolist(), "attention_mask": [1] * len(ids)} for ids in sequences]
    model.quantize(rows, batch_size=1)
    model.save(str(args.out))
    print(f"{time.process_time() - started:.0f} CPU s")


if __name__ == "__main__":
    main()

"""Does what we write load elsewhere as what it is? In GPTQModel and in transformers' GPTQ loader.

    GPTQMODEL_CPU_WORKERS=2 PYTHONPATH=. python tests/oracles/gptq_loaders.py DIR

in GPTQModel's environment (gptqmodel_quantise.py). DIR is what `vl2-export --keep-gptq DIR` wrote.
Both loaders' integers, scales and groups against the file's; their dequantised weights, in float32,
against ours; logits against a float32 model with our dequantised weights, and its greedy text.
"""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import safe_open
from transformers import AutoConfig, AutoModelForCausalLM

from quant.grid import Quantised, dequantise
from quant.pack import from_gptq_weight

NEW_TOKENS = 16


def main() -> None:
    folder = Path(sys.argv[1])
    about = json.loads((folder / "config.json").read_text())
    files = tensors_of(folder)
    reference = float_model(folder, files)
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(3, about["vocab_size"], (1, 48), generator=generator)
    with torch.no_grad():
        wanted = reference(ids).logits[0]
        for name, model in loaders(folder):
            check_layers(name, model, files)
            found = model(input_ids=ids).logits[0].float()
            off = float((found - wanted).abs().max() / wanted.abs().max())
            print(f"{name}: logits differ by {off:.2e} of the largest")
            print(f"{name}: {compare_greedy(reference, model, ids)}")


def tensors_of(folder: Path) -> dict[str, torch.Tensor]:
    found = {}
    for path in folder.glob("*.safetensors"):
        with safe_open(path, "pt") as file:
            for name in file.keys():  # noqa: SIM118
                found[name] = file.get_tensor(name)
    return found


def weight_of(files: dict[str, torch.Tensor], name: str) -> torch.Tensor:
    codes = torch.from_numpy(from_gptq_weight(files[f"{name}.qweight"].numpy(), 4))
    return dequantise(Quantised(codes, files[f"{name}.scales"].T.float().contiguous(), 4))


def float_model(folder: Path, files: dict[str, torch.Tensor]) -> Any:
    """The architecture in float32 with the weights that our integers and scales stand for."""
    config = AutoConfig.from_pretrained(folder)
    del config.quantization_config
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    state = {k: v.float() for k, v in files.items() if v.is_floating_point() and "scales" not in k}
    for name in files:
        if name.endswith(".qweight"):
            path = name.removesuffix(".qweight")
            state[f"{path}.weight"] = weight_of(files, path)
    missing = model.load_state_dict(state, strict=False)
    assert not missing.unexpected_keys, missing
    model.tie_weights()
    return model.eval()


def loaders(folder: Path) -> Any:
    yield (
        "transformers",
        AutoModelForCausalLM.from_pretrained(folder, device_map="cpu", dtype=torch.float32).eval(),
    )
    from gptqmodel import BACKEND, GPTQModel

    half = torch.float16  # It takes no float32: its logits carry that rounding as well.
    yield "GPTQModel", GPTQModel.load(str(folder), device="cpu", backend=BACKEND.TORCH, dtype=half)


def check_layers(name: str, model: Any, files: dict[str, torch.Tensor]) -> None:
    """Compare every quantised layer that a loader made with the file."""
    inner, count, worst = getattr(model, "model", model), 0, 0.0
    kinds: set[str] = set()
    for path, module in inner.named_modules():
        if not hasattr(module, "qweight"):
            continue
        key = next(k for k in files if k.endswith(f"{path.removeprefix('model.')}.qweight"))
        stem = key.removesuffix(".qweight")
        if hasattr(module, "dequantize_weight"):
            weight = module.dequantize_weight().T.float()
            worst = max(worst, float((weight - weight_of(files, stem)).abs().max()))
        for part in ("qweight", "scales", "g_idx"):
            loaded, stored = getattr(module, part), files[f"{stem}.{part}"]
            if loaded.shape == stored.shape:
                if loaded.dtype != stored.dtype:
                    print(f"{name}: {path}.{part} is kept as {loaded.dtype}")
                stored = stored.to(loaded.dtype).float()
                np.testing.assert_array_equal(loaded.float().numpy(), stored.numpy())
            else:
                print(f"{name}: {path}.{part} is kept in another shape")
        count += 1
        kinds.add(f"{type(module).__name__} in {module.scales.dtype}")
    print(f"{name}: {', '.join(sorted(kinds))}")
    print(f"{name}: {count} matrices as in the file; dequantised, they differ by {worst:.2e}")


def compare_greedy(reference: Any, model: Any, ids: torch.Tensor) -> str:
    """Write on greedily; where the two part, tell how close the first two choices were."""
    mine = other = ids
    for step in range(NEW_TOKENS):
        logits = reference(mine).logits[0, -1]
        theirs = model(input_ids=other).logits[0, -1].float()
        if int(logits.argmax()) != int(theirs.argmax()):
            best = logits.topk(2).values
            apart = f"{best[0] - best[1]:.1e} apart"
            return f"same text for {step} tokens; then the first two were {apart}"
        mine = torch.cat([mine, logits.argmax().view(1, 1)], 1)
        other = torch.cat([other, theirs.argmax().view(1, 1)], 1)
    return f"same greedy text, {NEW_TOKENS} tokens"


if __name__ == "__main__":
    main()

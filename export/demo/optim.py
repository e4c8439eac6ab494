"""The optimisers: Muon for matrices inside a network, AdamW for everything else."""

import math
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

# Quintic Newton-Schulz coefficients (Jordan et al. 2024).
NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)


def orthogonalise(matrices: Tensor, steps: int = 5) -> Tensor:
    """Set all singular values of (B, m, n) near one, in bfloat16."""
    a, b, c = NEWTON_SCHULZ
    tall = matrices.shape[-2] > matrices.shape[-1]
    x = matrices.bfloat16()
    x = x.mT if tall else x
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    for _ in range(steps):
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.mT if tall else x


class Muon(torch.optim.Optimizer):
    """Momentum whose step is made orthogonal; equal shapes are handled in one batch.

    The step is scaled to the size an AdamW step would have, so both take the same learning rate.
    Parameters of more than two axes (convolutions) are seen as matrices of their first axis.
    """

    def __init__(
        self, params: Iterable[nn.Parameter], lr: float, momentum: float = 0.95, decay: float = 0.01
    ) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": decay})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """Take one step."""
        for group in self.param_groups:
            by_shape: dict[tuple[int, int], list[nn.Parameter]] = defaultdict(list)
            for p in group["params"]:
                if p.grad is not None:
                    by_shape[p.shape[0], p.numel() // p.shape[0]].append(p)
            for shape, params in by_shape.items():
                self._step_together(group, shape, params)

    def _step_together(
        self, group: dict[str, Any], shape: tuple[int, int], params: list[nn.Parameter]
    ) -> None:
        directions = []
        for p in params:
            assert p.grad is not None
            state = self.state[p]
            if not state:
                state["momentum"] = torch.zeros_like(p)
            state["momentum"].lerp_(p.grad, 1 - group["momentum"])
            directions.append(p.grad.lerp(state["momentum"], group["momentum"]).view(shape))
        steps = orthogonalise(torch.stack(directions)).float()
        size = 0.2 * math.sqrt(max(shape)) * group["lr"]
        for p, step in zip(params, steps, strict=True):
            p.mul_(1 - group["lr"] * group["weight_decay"])
            p.sub_(step.view_as(p), alpha=size)


def is_matrix(name: str, p: Tensor) -> bool:
    """Whether Muon takes a parameter: a dense matrix between hidden layers."""
    outer = ("embed", "lm_head", "heads.", "position", "patch", "bias_table", "pos_conv")
    dense = p.dim() >= 2 and p.shape[0] > 16 and p.numel() // p.shape[0] > 16
    return dense and not any(word in name for word in outer)


def optimisers(module: nn.Module, lr: float, decay: float = 0.01) -> list[torch.optim.Optimizer]:
    """Muon and AdamW over the module's trainable parameters."""
    named = [(n, p) for n, p in module.named_parameters() if p.requires_grad]
    matrices = [p for n, p in named if is_matrix(n, p)]
    rest = [p for n, p in named if not is_matrix(n, p)]
    made: list[torch.optim.Optimizer] = []
    if matrices:
        made.append(Muon(matrices, lr=lr, decay=decay))
    if rest:
        made.append(
            torch.optim.AdamW(rest, lr=lr, betas=(0.9, 0.95), weight_decay=decay, fused=True)
        )
    return made

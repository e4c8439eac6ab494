"""One stage of training: steps, learning rate, log, and a state on disk to go on from."""

import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from export.demo.crew import ALONE, Crew
from export.demo.optim import optimisers

Loss = Callable[[int], tuple[Tensor, dict[str, float]]]
Measure = Callable[[], dict[str, float]]


@dataclass(frozen=True)
class Plan:
    """How a stage is run."""

    name: str
    steps: int
    lr: float
    warmup: int = 30
    final: float = 0.03  # the last learning rate as a share of the highest
    save_every_s: float = 150.0
    measure_every: int = 300
    seed: int = 0
    crew: Crew = ALONE


@dataclass
class Log:
    """The run's record: one JSON object a line on disk, a short line for a reader."""

    path: Path
    told: Callable[[str], None] = print
    started: float = field(default_factory=time.monotonic)

    def write(self, stage: str, **values: Any) -> None:
        """Record values of a stage; floats are rounded."""
        tidy = {k: round(v, 4) if isinstance(v, float) else v for k, v in values.items()}
        entry = {"stage": stage, "elapsed_s": round(time.monotonic() - self.started, 1), **tidy}
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")
        self.told(stage + "  " + "  ".join(f"{key} {value}" for key, value in tidy.items()))


def rate(plan: Plan, step: int) -> float:
    """Learning rate of a step: a short rise, then half a cosine."""
    if step < plan.warmup:
        return plan.lr * (step + 1) / plan.warmup
    share = (step - plan.warmup) / max(1, plan.steps - plan.warmup)
    return plan.lr * (plan.final + (1 - plan.final) * 0.5 * (1 + math.cos(math.pi * share)))


def save_state(path: Path, module: nn.Module, opts: list[torch.optim.Optimizer], step: int) -> None:
    """Write everything a killed stage needs to go on, whole or not at all."""
    partial = path.with_suffix(".part")
    state = {"step": step, "module": module.state_dict(), "opts": [o.state_dict() for o in opts]}
    torch.save(state, partial)
    partial.replace(path)


def load_state(path: Path, module: nn.Module, opts: list[torch.optim.Optimizer]) -> int:
    """Bring back a stage's state; returns the step to go on with, 0 if there is none."""
    if not path.exists():
        return 0
    state = torch.load(path, weights_only=True)
    module.load_state_dict(state["module"])
    for opt, kept in zip(opts, state["opts"], strict=True):
        opt.load_state_dict(kept)
    return int(state["step"])


def fit(
    plan: Plan, module: nn.Module, loss: Loss, measure: Measure, log: Log, folder: Path
) -> None:
    """Train the module in place, from its kept state if there is one.

    `loss(step)` must depend on its step and the module alone; then a resumed run is the same run.
    """
    path = folder / f"{plan.name}.pt"
    opts = optimisers(module, plan.lr)
    first = load_state(path, module, opts)
    begun = saved = time.monotonic()
    seen: dict[str, float] = {}
    for step in range(first, plan.steps):
        torch.manual_seed(plan.seed * 1_000_003 + step)
        values = _step(plan, step, module, opts, loss)
        seen = {k: 0.95 * seen.get(k, v) + 0.05 * v for k, v in values.items()}
        done = step + 1
        if not plan.crew.leads:
            continue
        if done % 50 == 0 and done < plan.steps:
            pace = (time.monotonic() - begun) / (done - first)
            left = (plan.steps - done) * pace
            log.write(plan.name, step=done, of=plan.steps, left_min=left / 60, **seen)
        if done % plan.measure_every == 0 and done < plan.steps:
            log.write(plan.name, step=done, measured=measure())
        if time.monotonic() - saved > plan.save_every_s:
            save_state(path, module, opts, done)
            saved = time.monotonic()
    if first < plan.steps and plan.crew.leads:
        save_state(path, module, opts, plan.steps)
        log.write(plan.name, step=plan.steps, done=True, measured=measure())


def _step(
    plan: Plan, step: int, module: nn.Module, opts: list[torch.optim.Optimizer], loss: Loss
) -> dict[str, float]:
    for opt in opts:
        opt.zero_grad(set_to_none=True)
        for group in opt.param_groups:
            group["lr"] = rate(plan, step)
    value, parts = loss(step)
    value.backward()
    plan.crew.average_gradients(module.parameters())
    norm = nn.utils.clip_grad_norm_(module.parameters(), 1.0)
    for opt in opts:
        opt.step()
    return {"loss": float(value.detach()), "norm": float(norm), **parts}

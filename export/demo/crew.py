"""Several processes that train one model: each takes its share of a step, gradients are averaged.

At our sizes this beats threads inside one process, which would wait for each other at every small
operation. All members start from the same weights and see the same averages, so they stay equal.
"""

import datetime
import multiprocessing
import os
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import distributed, nn

PATIENCE = datetime.timedelta(hours=24)


@dataclass(frozen=True)
class Crew:
    """Which member this process is, of how many; member 0 measures, logs and writes."""

    rank: int = 0
    size: int = 1

    @property
    def leads(self) -> bool:
        """Whether this is the member that writes."""
        return self.rank == 0

    def average_gradients(self, params: Iterable[nn.Parameter]) -> None:
        """Replace each gradient by its mean over the crew."""
        if self.size == 1:
            return
        listed = [p for p in params if p.requires_grad]
        for p in listed:
            if p.grad is None:
                p.grad = torch.zeros_like(p)
        grads = [p.grad for p in listed if p.grad is not None]
        flat = torch.cat([grad.flatten() for grad in grads])
        distributed.all_reduce(flat)
        flat /= self.size
        for grad, mean in zip(grads, flat.split([g.numel() for g in grads]), strict=True):
            grad.copy_(mean.view_as(grad))

    def wait(self) -> None:
        """Go on when every member is here."""
        if self.size > 1:
            distributed.barrier()


ALONE = Crew()


def join(rank: int, size: int, meeting: Path) -> Crew:
    """Become a member; the crew finds itself through a fresh file that all members name."""
    if size > 1:
        torch.set_num_threads(1)
        # Not as a file:// address: torch takes no relative path there, nor one with a space.
        store = distributed.FileStore(str(meeting), size)  # type: ignore[attr-defined]
        distributed.init_process_group(
            "gloo", store=store, rank=rank, world_size=size, timeout=PATIENCE
        )
    return Crew(rank, size)


def end_with_parent() -> None:
    """End this process when the one that started it is gone, even if that was killed."""

    def follow() -> None:
        parent = multiprocessing.parent_process()
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=follow, daemon=True).start()


def leave(crew: Crew) -> None:
    """End the membership."""
    if crew.size > 1:
        distributed.destroy_process_group()

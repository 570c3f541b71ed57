"""What several training processes agree on, and each one's share of a batch."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import nn


def shares(photos: int, *, ranks: int, rank: int, accumulation: int) -> list[tuple[slice, float]]:
    """Return the micro-batches of process ``rank``, as slices of a global batch, and what each counts for.

    Its weights make the gradient (added up over micro-batches, averaged over processes) that of the mean over
    all ``photos`` of the global batch, however unevenly they divide. A process that no photo is left for gets
    one that counts for nothing: it must take part in every step.
    """
    mine = np.array_split(np.arange(photos), ranks)[rank]
    chunks = [chunk for chunk in np.array_split(mine, accumulation) if len(chunk)]
    if not chunks:
        return [(slice(0, 1), 0.0)]
    return [(slice(int(chunk[0]), int(chunk[-1]) + 1), ranks * len(chunk) / photos) for chunk in chunks]


def summed(fabric: Fabric, figures: dict[str, float]) -> dict[str, float]:
    """Return ``figures`` added up over all processes."""
    if fabric.world_size == 1:
        return figures
    total = torch.tensor(list(figures.values()), dtype=torch.float64, device=fabric.device)
    everywhere: Any = fabric.all_reduce(total, reduce_op="sum")
    return dict(zip(figures, everywhere.tolist(), strict=True))


def any_of(fabric: Fabric, *flags: bool) -> list[bool]:
    """Return for each of ``flags`` whether it is true in any process."""
    return [total > 0 for total in summed(fabric, {str(n): float(f) for n, f in enumerate(flags)}).values()]


def share_buffers(fabric: Fabric, network: nn.Module) -> None:
    """Give all processes the first one's buffers of ``network``, such as the statistics of batch-norm.

    Each has those of its own photos; what is measured on all processes must be one network, the saved one.
    """
    if fabric.world_size > 1:
        for buffer in network.buffers():
            torch.distributed.broadcast(buffer, src=0)


def gathered(fabric: Fabric, mine: Any) -> list[Any]:
    """Return what each process gave, in the order of their ranks."""
    if fabric.world_size == 1:
        return [mine]
    everything: list[Any] = [None] * fabric.world_size
    torch.distributed.all_gather_object(everything, mine)
    return everything

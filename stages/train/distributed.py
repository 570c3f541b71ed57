"""Values shared between training processes, and the share of a batch that each one computes."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import nn


def shares(photos: int, *, ranks: int, rank: int, accumulation: int) -> list[tuple[slice, float]]:
    """Return the micro-batches of process ``rank``, as slices of a global batch, with their weights.

    With these weights, the gradient (summed over micro-batches, averaged over processes) is that of the mean
    over all ``photos`` photos of the global batch, even if they do not divide evenly. A process without a
    photo of its own gets one with weight 0, because it must take part in every step.
    """
    mine = np.array_split(np.arange(photos), ranks)[rank]
    chunks = [chunk for chunk in np.array_split(mine, accumulation) if len(chunk)]
    if not chunks:
        return [(slice(0, 1), 0.0)]
    return [(slice(int(chunk[0]), int(chunk[-1]) + 1), ranks * len(chunk) / photos) for chunk in chunks]


def summed(fabric: Fabric, figures: dict[str, float]) -> dict[str, float]:
    """Return the sum of each of ``figures`` over all processes."""
    if fabric.world_size == 1:
        return figures
    total = torch.tensor(list(figures.values()), dtype=torch.float64, device=fabric.device)
    everywhere: Any = fabric.all_reduce(total, reduce_op="sum")
    return dict(zip(figures, everywhere.tolist(), strict=True))


def any_of(fabric: Fabric, *flags: bool) -> list[bool]:
    """Return for each of ``flags`` whether it is true in any process."""
    return [total > 0 for total in summed(fabric, {str(n): float(f) for n, f in enumerate(flags)}).values()]


def share_buffers(fabric: Fabric, network: nn.Module) -> None:
    """Copy the buffers of ``network``, such as batch-norm statistics, from the first process to all others.

    Each process has the statistics of its own photos, but all must validate the network that is saved.
    """
    if fabric.world_size > 1:
        for buffer in network.buffers():
            torch.distributed.broadcast(buffer, src=0)


def gathered(fabric: Fabric, mine: Any) -> list[Any]:
    """Return the values ``mine`` of all processes, in the order of their ranks."""
    if fabric.world_size == 1:
        return [mine]
    everything: list[Any] = [None] * fabric.world_size
    torch.distributed.all_gather_object(everything, mine)
    return everything

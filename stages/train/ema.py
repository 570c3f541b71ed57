"""The average of the weights over the last steps, which is often better than the last weights."""

from __future__ import annotations

import copy

import torch

from stages.networks.base import Colorizer


class Ema:
    """An exponential moving average of a network's parameters and float buffers (Polyak and Juditsky 1992).

    The first steps' weights, which are poor, leave it soon: the decay is at most (1 + step) / (10 + step), as
    in TensorFlow's ExponentialMovingAverage. Integer buffers are those of the last step.
    """

    def __init__(self, network: Colorizer, decay: float) -> None:
        self.network = copy.deepcopy(network).requires_grad_(False)
        self.decay = decay

    @torch.no_grad()
    def update(self, network: Colorizer, *, step: int) -> None:
        """Take in the weights of ``network`` after ``step`` steps (from 1)."""
        decay = min(self.decay, (1 + step) / (10 + step))
        mine, theirs = self.network.state_dict(), network.state_dict()
        floats = [name for name, value in mine.items() if value.is_floating_point()]
        torch._foreach_lerp_([mine[n] for n in floats], [theirs[n] for n in floats], 1 - decay)
        for name in mine.keys() - set(floats):
            mine[name].copy_(theirs[name])

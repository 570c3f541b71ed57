"""The state of a training, the moving average of its weights, and the weights of the best epoch."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.optim.swa_utils import get_ema_multi_avg_fn

from stages.train.params import Params
from ungray.imaging.metrics import METRICS
from ungray.networks.base import Network

OF_EACH_PROCESS = ("photos", "sums", "first_loss")
"""Fields of :class:`State` that differ between processes; the others are the same in all."""


@dataclass
class State:
    """How far training has come, and what was measured so far.

    The order of photos, flips, degradation and learning rate depend only on the epoch and the batch.
    """

    epoch: int = 0
    """Number of finished epochs."""
    batch: int = 0
    """Number of finished batches in the current epoch."""
    photos: int = 0
    """Number of photos that this process saw in these batches."""
    sums: dict[str, float] = field(default_factory=dict)
    """Sums of what the objective returned for these photos, by name."""
    first_loss: float | None = None
    """Loss of the very first micro-batch."""
    planned_steps: int = 0
    """Total number of steps; 0 while the steps of ``train.minutes`` are not planned yet."""
    seconds: float = 0.0
    """How long training took until this state was saved."""
    pace: list[float] = field(default_factory=list)
    """Seconds that each of the latest steps took."""
    before: dict[str, float] = field(default_factory=dict)
    """Validation results of the model that training started from; empty if from nothing."""
    threads: list[int] = field(default_factory=list)
    """Numbers of CPU threads per process used so far; they affect the weights by rounding."""
    log: list[dict[str, float]] = field(default_factory=list)
    """One record per epoch."""

    def add(self, values: dict[str, float], *, photos: int) -> None:
        """Add what the objective returned for ``photos`` photos; if that is 0, only the names."""
        self.photos += photos
        for name, value in values.items():
            self.sums[name] = self.sums.get(name, 0.0) + (value * photos if photos else 0.0)

    def end_epoch(self, sums: dict[str, float], measured: dict[str, float], *, learning_rate: float) -> None:
        """Log the epoch from the ``sums`` (with "photos") of all processes, and begin the next one."""
        photos = sums.pop("photos")
        means = {f"{name}/train": total / photos for name, total in sums.items()}
        self.log.append({**means, **measured, "learning_rate": learning_rate})
        self.epoch, self.batch, self.photos, self.sums = self.epoch + 1, 0, 0, {}

    def best_epoch(self, watch: str) -> int:
        """Return the epoch (from 1) whose ``<watch>/val`` is best, the first one in a tie.

        0 means the model that training started from; it is also returned while there is no epoch.
        """
        sign = -1 if watch in METRICS and METRICS[watch].better == "higher" else 1
        records = [self.before, *self.log] if self.before else self.log
        scores = [sign * record[f"{watch}/val"] for record in records]
        finite = [score if math.isfinite(score) else math.inf for score in scores]
        return finite.index(min(finite)) + (not self.before) if finite else 0

    def measured(self, epoch: int) -> dict[str, float]:
        """Return the record of ``epoch``; 0 gives the validation results before the first epoch."""
        return self.log[epoch - 1] if epoch else self.before


class Best:
    """Keeps the weights of the best epoch if ``train.keep`` is best, and decides when to stop early."""

    def __init__(self, params: Params) -> None:
        self._params = params
        self.weights: dict[str, Tensor] | None = None

    def consider(self, network: Network, state: State) -> None:
        """Keep the weights of ``network`` if the latest epoch is the best one."""
        if self._params.keep == "best" and state.best_epoch(self._params.watch) == state.epoch:
            self.weights = {name: value.cpu().clone() for name, value in network.state_dict().items()}

    def patience_is_over(self, state: State) -> bool:
        """Return whether the best epoch is at least ``train.patience`` epochs ago."""
        if not self._params.patience:
            return False
        return state.epoch - state.best_epoch(self._params.watch) >= self._params.patience


class Ema:
    """An exponential moving average of a network's parameters and float buffers (Polyak and Juditsky 1992).

    The decay is at most (1 + step) / (10 + step), as in TensorFlow's ExponentialMovingAverage, so that the
    poor weights of the first steps are soon forgotten. Integer buffers are those of the last step.
    """

    def __init__(self, network: Network, decay: float) -> None:
        self.network = copy.deepcopy(network).requires_grad_(False)
        self.decay = decay

    @torch.no_grad()
    def update(self, network: Network, *, step: int) -> None:
        """Update the average with the weights of ``network`` after ``step`` steps (from 1)."""
        decay = min(self.decay, (1 + step) / (10 + step))
        mine, theirs = self.network.state_dict(), network.state_dict()
        floats = [name for name, value in mine.items() if value.is_floating_point()]
        average = get_ema_multi_avg_fn(decay)
        average([mine[n] for n in floats], [theirs[n] for n in floats], step)
        for name in mine.keys() - set(floats):
            mine[name].copy_(theirs[name])

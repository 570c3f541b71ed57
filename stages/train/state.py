"""The state of a training: where it is, the average of its weights, and the best epoch's."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.optim.swa_utils import get_ema_multi_avg_fn

from stages.train.params import Params
from ungray.imaging.metrics import METRICS
from ungray.networks.base import Colorizer

OF_EACH_PROCESS = ("photos", "sums", "first_loss")
"""What of a place differs between processes; the rest is the same in all."""


@dataclass
class State:
    """Where training is, and what was measured so far.

    Order of photos, flips, wear and learning rate follow from the place alone.
    """

    epoch: int = 0
    """Finished epochs."""
    batch: int = 0
    """Finished batches of the next one."""
    photos: int = 0
    """Photos that this process saw in these."""
    sums: dict[str, float] = field(default_factory=dict)
    """What the objective returned for these photos, added up."""
    first_loss: float | None = None
    """Of the very first micro-batch."""
    planned_steps: int = 0
    """All steps of the training; 0 while ``train.minutes`` is not planned yet."""
    seconds: float = 0.0
    """What training took until this place was saved."""
    pace: list[float] = field(default_factory=list)
    """Seconds that each of the last steps took."""
    before: dict[str, float] = field(default_factory=dict)
    """What val said of the model that training started from; empty where it starts from nothing."""
    threads: list[int] = field(default_factory=list)
    """Of a process on the CPU: their number, which weights depend on by rounding; a new one is added."""
    log: list[dict[str, float]] = field(default_factory=list)
    """A record an epoch."""

    def add(self, values: dict[str, float], *, photos: int) -> None:
        """Add what the objective returned for so many photos; for none, only its names."""
        self.photos += photos
        for name, value in values.items():
            self.sums[name] = self.sums.get(name, 0.0) + (value * photos if photos else 0.0)

    def end_epoch(self, sums: dict[str, float], measured: dict[str, float], *, learning_rate: float) -> None:
        """Log the epoch, ``sums`` (and "photos") being those of all processes; go to the next one's start."""
        photos = sums.pop("photos")
        means = {f"{name}/train": total / photos for name, total in sums.items()}
        self.log.append({**means, **measured, "learning_rate": learning_rate})
        self.epoch, self.batch, self.photos, self.sums = self.epoch + 1, 0, 0, {}

    def best_epoch(self, watch: str) -> int:
        """Return the epoch (from 1) whose ``<watch>/val`` is best, the first of equals.

        0 is the model that training started from; also returned while there is no epoch.
        """
        sign = -1 if watch in METRICS and METRICS[watch].better == "higher" else 1
        records = [self.before, *self.log] if self.before else self.log
        scores = [sign * record[f"{watch}/val"] for record in records]
        finite = [score if math.isfinite(score) else math.inf for score in scores]
        return finite.index(min(finite)) + (not self.before) if finite else 0

    def measured(self, epoch: int) -> dict[str, float]:
        """Return the record of ``epoch``; of 0 what val said before the first."""
        return self.log[epoch - 1] if epoch else self.before


class Best:
    """Keeps the weights of the best epoch where ``train.keep`` is best, and says when to stop early."""

    def __init__(self, params: Params) -> None:
        self._params = params
        self.weights: dict[str, Tensor] | None = None

    def consider(self, network: Colorizer, state: State) -> None:
        """Keep the weights of ``network`` if the epoch that ended last is the best one."""
        if self._params.keep == "best" and state.best_epoch(self._params.watch) == state.epoch:
            self.weights = {name: value.cpu().clone() for name, value in network.state_dict().items()}

    def patience_is_over(self, state: State) -> bool:
        """Say whether the last ``train.patience`` epochs were no better than one before."""
        if not self._params.patience:
            return False
        return state.epoch - state.best_epoch(self._params.watch) >= self._params.patience


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
        average = get_ema_multi_avg_fn(decay)
        average([mine[n] for n in floats], [theirs[n] for n in floats], step)
        for name in mine.keys() - set(floats):
            mine[name].copy_(theirs[name])

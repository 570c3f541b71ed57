"""A training in small with the real network: the learning rate range test, and photos learned by heart."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from stages.doctor.range_test import RangeTest, range_test
from stages.params import Machine
from stages.storage.shards import Shards
from stages.train.data import Pixels, Streamed, resized
from stages.train.devices import start_fabric
from stages.train.losses import measure_prior
from stages.train.objective import Objective, build_objective
from stages.train.params import Params
from stages.train.warm_start import warm_start
from ungray import networks
from ungray.errors import UngrayError
from ungray.imaging import photo_files, photos
from ungray.imaging.color import Rgb
from ungray.imaging.prediction import predict
from ungray.imaging.upsampling import gray_photo
from ungray.networks import Network, predictor

SAMPLE = 64
"""Largest number of train photos that are looked at."""

BY_HEART = 8
"""Number of photos that are learned by heart."""

RANGE_BATCH = 8
"""Largest number of photos in a batch of the range test."""

STEPS = (40, 100)
"""Smallest and largest number of steps of either test; the time limit chooses between them."""

WITHOUT_PROPOSAL = {"base": 1e-4, "nothing": 1e-3}
"""Learning rate for learning by heart, by ``train.start_from``, if the range test proposes none."""

WARMUP = 5
"""Steps in which the learning rate rises while photos are learned by heart."""


@dataclass(frozen=True)
class ByHeart:
    """How well a few photos were learned by heart; losses are in the network's units."""

    losses: list[float]
    """Of each step, before it was taken."""
    gray: float
    """Loss of the gray photos."""
    rate: float
    colored: list[Rgb]
    """The photos as colored afterwards."""

    @property
    def fall(self) -> float:
        """The share of the first loss that is gone at the end; NaN if a loss is not finite."""
        return 1 - self.losses[-1] / self.losses[0]


def sample(index: pd.DataFrame, prepared: Path, *, size: int, stream: str = "") -> Pixels:
    """Return up to :data:`SAMPLE` train photos of ``index``, uint8 RGB (photos, size, size, 3), no copies.

    Names are checksums, so the first ones are as good as a random sample.

    Raises:
        UngrayError: there is no train photo, or one is missing or damaged.
    """
    rows = index[(index["split"] == "train") & (index["copy"] == 0)].sort_values("photo")
    if rows.empty:
        raise UngrayError("data/prepared has no train photos; `dvc repro prepare` makes them")
    if stream or "shard" in index:
        rows = index[index["split"] == "train"]
        return Streamed(rows, Shards(rows, stream or str(prepared)), size=size).first(SAMPLE)
    try:
        return np.stack(
            [resized(photos.read_rgb(prepared / file), size=size) for file in rows["file"][:SAMPLE]]
        )
    except (photos.PhotoError, OSError) as error:
        raise UngrayError(
            f"a prepared photo can't be read ({error}); run `dvc repro --force prepare`"
        ) from None


class Rehearsal:
    """Trains the network that ``params`` describe on a few photos, from its start, as often as asked."""

    def __init__(self, params: Params, machine: Machine, pixels: Pixels, *, seconds: float) -> None:
        self._params, self._pixels, self._seconds = params, pixels, seconds
        one = machine.model_copy(update={"devices": 1, "nodes": 1, "strategy": "auto"})
        self._fabric, _, _ = start_fabric(one)
        self._said = False

    def range_test(self) -> RangeTest:
        """Run the learning rate range test on batches of :data:`RANGE_BATCH` photos, over and over.

        Each loss is divided by the same batch's before the test and multiplied by the mean of these: batches
        differ more than the rates of one step do.
        """
        objective = self._objective()
        batches = torch.from_numpy(self._pixels).split(min(self._params.batch_size, RANGE_BATCH))
        before = [self._loss(objective, batch) for batch in batches]
        mean, count = float(np.mean(before)), 0

        def step(rate: float) -> float:
            nonlocal count
            number, count = count % len(batches), count + 1
            return self._step(objective, batches[number], rate) * mean / before[number]

        return range_test(step, steps=self._steps(lambda: step(1e-9)))

    def by_heart(self, proposal: float | None) -> ByHeart:
        """Learn the first :data:`BY_HEART` photos by heart, at the rate ``proposal``, or else a usual one."""
        rate = proposal or WITHOUT_PROPOSAL[self._params.start_from]
        objective = self._objective()
        truths = self._pixels[:BY_HEART]
        batch = torch.from_numpy(np.ascontiguousarray(truths))
        inputs, targets = objective.pairs(batch, None)
        gray = objective.loss(objective.network.gray_target(inputs, targets), targets).item()
        steps = self._steps(lambda: self._step(objective, batch, 1e-9))
        losses = [
            self._step(objective, batch, rate * min(1, (number + 1) / WARMUP)) for number in range(steps)
        ]
        finite = all(map(np.isfinite, losses))
        colored = _colored(objective.network, truths) if finite else [gray_photo(truth) for truth in truths]
        return ByHeart(losses, gray, rate, colored)

    def _objective(self) -> Objective:
        """Return a new network with its loss and optimizer, as a training would begin with it."""
        torch.manual_seed(self._params.seed)
        # The network says once where its weights come from.
        with redirect_stdout(io.StringIO()) if self._said else nullcontext():
            network = networks.build(self._params.network())
        self._said = True
        if self._params.start_from == "base":
            warm_start(network, Path(self._params.base), freeze_batch_norm=self._params.freeze_batch_norm)
        measure_prior(network, [self._pixels])
        objective = build_objective(self._params, network, self._fabric)
        objective.train()
        return objective

    @staticmethod
    @torch.no_grad()
    def _loss(objective: Objective, batch: Tensor) -> float:
        inputs, targets = objective.pairs(batch, None)
        return objective.loss(objective.module(inputs).float(), targets).item()

    def _step(self, objective: Objective, batch: Tensor, rate: float) -> float:
        return objective.step(batch, None, lr_factor=rate / self._params.lr)["loss"].item()

    def _steps(self, step: Callable[[], object]) -> int:
        """Return how many steps fit into the time limit, by the second of two calls of ``step``."""
        step()  # reserves memory, tunes
        begin = time.perf_counter()
        step()
        fitting = int(self._seconds / (time.perf_counter() - begin))
        return min(max(fitting, STEPS[0]), STEPS[1])


def _colored(network: Network, truths: Sequence[Rgb] | Pixels) -> list[Rgb]:
    predictions = predict(
        [photo_files.from_array(gray_photo(truth)) for truth in truths],
        predictor(network),
        working_size=network.working_size,
        multiple=network.MULTIPLE,
    )
    return [prediction.render() for prediction in predictions]

"""Measures each epoch: loss and metrics of the val photos, compared with those of the gray photos."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from stages.train.data import Pixels, batches
from stages.train.devices import summed
from stages.train.objective import Objective
from ungray.imaging import metrics, photo_files
from ungray.imaging.color import Float, Rgb
from ungray.imaging.prediction import BATCH, Prediction, predict
from ungray.imaging.upsampling import gray_photo
from ungray.networks.base import Network
from ungray.system.cgroups import cores

if TYPE_CHECKING:
    from lightning_fabric import Fabric

MAX_PHOTOS = 300
"""Largest number of val photos for the metrics; CIEDE2000 takes milliseconds per photo."""


class Validation:
    """Measures a network on ``val``, uint8 RGB (photos, size, size, 3); each process takes its share."""

    def __init__(self, val: Pixels, *, objective: Objective, batch_size: int, fabric: Fabric) -> None:
        self._objective, self._batch_size, self._fabric = objective, batch_size, fabric
        rank, ranks = fabric.global_rank, fabric.world_size
        self._val, self._photos = val[rank::ranks], len(val)
        spread = np.linspace(0, len(val) - 1, min(len(val), MAX_PHOTOS)).round().astype(int)
        self._judged, self._judged_photos = spread[rank::ranks], len(spread)
        self._truths = val[self._judged]
        self._gray: NDArray[np.float64] | None = None

    @torch.no_grad()
    def __call__(self, network: Network) -> dict[str, float]:
        """Return means over val photos: ``<name>/val`` for ``network``, ``<name>/gray`` for the gray photos.

        The names are loss (over all photos, in the network's units), and the metrics of
        :func:`ungray.imaging.metrics.of_training`, at the working size, over at most 300 photos.
        """
        network.eval()
        lost = self._losses(network)
        # Without a finite loss there are no colors to measure; the loop reports the error.
        judged = self._figures(network) if np.isfinite(lost["loss/val"]) else np.full(len(_names()), np.nan)
        if self._gray is None:
            self._gray = _sums(gray_photo, self._truths, self._truths)
        names = _names()
        sums = {
            **lost,
            **{f"{name}/val": float(value) for name, value in zip(names, judged, strict=True)},
            **{f"{name}/gray": float(value) for name, value in zip(names, self._gray, strict=True)},
        }
        sums = summed(self._fabric, sums)
        return {
            name: total / (self._photos if name in lost else self._judged_photos)
            for name, total in sums.items()
        }

    def _losses(self, network: Network) -> dict[str, float]:
        sums = {"loss/val": 0.0, "loss/gray": 0.0}
        for _, batch in batches(self._val, batch_size=self._batch_size, seed=0, epoch=0, flip=False):
            inputs, targets = self._objective.pairs(batch, None)
            with self._fabric.autocast():
                prediction = network(inputs)
            gray = network.gray_target(inputs, targets)
            sums["loss/val"] += self._objective.loss(prediction.float(), targets).item() * len(batch)
            sums["loss/gray"] += self._objective.loss(gray, targets).item() * len(batch)
        return sums

    def _figures(self, network: Network) -> NDArray[np.float64]:
        def predict_ab(lightness: Float, hints: Float | None = None) -> Float:
            with self._fabric.autocast():
                ab = network.predict_ab(self._fabric.to_device(torch.from_numpy(lightness)))
            return ab.float().cpu().numpy()

        total = np.zeros(len(_names()))
        for start in range(0, len(self._truths), BATCH):
            truths = self._truths[start : start + BATCH]
            predictions = predict(
                [photo_files.from_array(gray_photo(truth)) for truth in truths],
                predict_ab,
                working_size=network.working_size,
                multiple=network.MULTIPLE,
            )
            total += _sums(Prediction.render, predictions, truths)
        return total


def _names() -> list[str]:
    return [metric.name for metric in metrics.of_training()]


def _sums(color: Callable[[Any], Rgb], photos: Sequence[Any], truths: Pixels) -> NDArray[np.float64]:
    """Return the sum of each metric of :func:`_names` over the results of ``color`` for ``photos``."""
    with ThreadPoolExecutor(cores()) as pool:  # NumPy and OpenCV run in parallel
        found = list(pool.map(lambda photo, truth: _judge(color(photo), truth), photos, truths))
    return np.sum(found, axis=0) if found else np.zeros(len(_names()))


def _judge(colored: Rgb, truth: Rgb) -> list[float]:
    return list(metrics.judge(colored, truth, names=_names()).values())

"""Measures each epoch, and the finished model: the val photos, compared with the gray photos."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from stages.train.data import Pixels, batches
from stages.train.devices import summed
from stages.train.objective import Objective
from ungray import networks
from ungray.imaging import metrics, photo_files
from ungray.imaging.color import Float, PredictAb, Rgb
from ungray.imaging.prediction import BATCH, Prediction, predict
from ungray.imaging.upsampling import gray_photo
from ungray.networks.base import Network
from ungray.system.cgroups import cores

if TYPE_CHECKING:
    from lightning_fabric import Fabric

MAX_PHOTOS = 300
"""Largest number of val photos for the metrics; CIEDE2000 takes milliseconds per photo."""

RESAMPLES = 2000
"""Number of samples that an interval is from."""


class Validation:
    """Measures a network on ``val``, uint8 RGB (photos, size, size, 3); each process takes its share."""

    def __init__(self, val: Pixels, *, objective: Objective, batch_size: int, fabric: Fabric) -> None:
        self._objective, self._batch_size, self._fabric = objective, batch_size, fabric
        rank, ranks = fabric.global_rank, fabric.world_size
        self._val, self._photos = val[rank::ranks], len(val)
        spread = _spread(len(val))
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
            self._gray = _judged(gray_photo, self._truths, self._truths).sum(axis=0)
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
        for judged in _judged_batches(predict_ab, network, self._truths):
            total += judged.sum(axis=0)
        return total


def val_set(network: Network, val: Pixels, groups: pd.Series) -> dict[str, Any]:
    """Return the set ``val`` of a trained model's quality, see :mod:`ungray.quality`.

    The intervals are those of the percentile bootstrap over groups (Efron and Tibshirani 1993). There is no
    verdict: the same photos may have chosen the epoch.

    Args:
        network: a trained network; it is put in eval mode.
        val: uint8 RGB (photos, size, size, 3) at its working size, of which at most 300 are judged.
        groups: the duplicate group of each of them.
    """
    chosen = _spread(len(val))
    truths = val[chosen]
    ours = np.concatenate(list(_judged_batches(networks.predictor(network), network, truths)))
    grays = _judged(gray_photo, truths, truths)
    codes, names = pd.factorize(groups.to_numpy()[chosen])
    drawn = np.random.default_rng(0).integers(len(names), size=(RESAMPLES, len(names)))
    sizes = np.bincount(codes)

    def entry(number: int) -> dict[str, Any]:
        differences = ours[:, number] - grays[:, number]
        low = high = None
        if len(names) > 1:
            sums = np.bincount(codes, differences)
            means = sums[drawn].sum(axis=1) / sizes[drawn].sum(axis=1)
            low, high = (round(float(end), 4) for end in np.quantile(means, (0.025, 0.975)))
        return {
            "means": {
                method: round(float(values[:, number].mean()), 4)
                for method, values in (("model", ours), ("gray", grays))
            },
            "minus": {"gray": {"mean": round(float(differences.mean()), 4), "low": low, "high": high}},
        }

    return {
        "name": "val",
        "photos": len(truths),
        "groups": len(names),
        "metrics": {name: entry(number) for number, name in enumerate(_names())},
    }


def _spread(photos: int) -> NDArray[np.intp]:
    """Return the indices of at most :data:`MAX_PHOTOS` of ``photos`` photos, evenly spread."""
    return np.linspace(0, photos - 1, min(photos, MAX_PHOTOS)).round().astype(int)


def _judged_batches(predict_ab: PredictAb, network: Network, truths: Pixels) -> Iterator[NDArray[np.float64]]:
    """Yield, batch by batch, each metric of :func:`_names` of ``truths`` as colored from gray."""
    for start in range(0, len(truths), BATCH):
        batch = truths[start : start + BATCH]
        predictions = predict(
            [photo_files.from_array(gray_photo(truth)) for truth in batch],
            predict_ab,
            working_size=network.working_size,
            multiple=network.MULTIPLE,
        )
        yield _judged(Prediction.render, predictions, batch)


def _names() -> list[str]:
    return [metric.name for metric in metrics.of_training()]


def _judged(
    color: Callable[[Any], Rgb], photos: Sequence[Any] | Pixels, truths: Pixels
) -> NDArray[np.float64]:
    """Return the metrics of :func:`_names` of the results of ``color`` for ``photos``: (photos, metrics)."""
    with ThreadPoolExecutor(cores()) as pool:  # NumPy and OpenCV run in parallel
        found = list(pool.map(lambda photo, truth: _judge(color(photo), truth), photos, truths))
    return np.array(found).reshape(len(found), len(_names()))


def _judge(colored: Rgb, truth: Rgb) -> list[float]:
    return list(metrics.judge(colored, truth, names=_names()).values())

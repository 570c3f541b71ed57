"""Hints in training: colors that the network is given at some places of a photo, to learn their use.

As in Zhang and others, "Real-time user-guided image colorization with learned deep priors" (2017), a photo
gets a geometric number of points, each a small patch of the true color. Beside them stand dense hints, as a
reference photo or the last frame of a film gives them: moved, blurred or of another photo, and trusted
little. A hint's weight says how far it is from the truth, so the network learns how far to trust one.
"""

from __future__ import annotations

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from stages.train.params import HintsParams
from ungray.imaging.color import Float, rgb_to_lab

CERTAIN = 0.8
"""Share of points that are as good as true, with weight 1; the lower another's, the further it is off."""

HAND = 1.0
"""Standard deviation, Lab units, by which the a and b of a certain point are off."""

DOUBT = 30.0
"""Standard deviation, Lab units, by which those of a point of weight 0 would be off."""


class Hints:
    """Draws hints for a share of all photos.

    What a photo gets follows from ``seed``, epoch and the photo's number alone (dense hints of another photo
    also from its batch), so a training that was interrupted goes on with the very hints it would have seen.
    """

    def __init__(self, params: HintsParams, *, seed: int) -> None:
        self._params, self._seed = params, seed

    def batch(self, rgb: Tensor, *, numbers: NDArray[np.int64], epoch: int) -> Tensor:
        """Return hints for ``rgb``, uint8 (batch, height, width, 3), as float32 (batch, 3, height, width).

        Channels: a and b in Lab units, and the weight in 0..1, 0 where nothing is known. ``numbers`` are
        those of the photos among all.
        """
        photos = rgb.numpy()
        hints = np.zeros((len(photos), 3, *photos.shape[1:3]), np.float32)
        for place, number in enumerate(numbers):
            draws = np.random.default_rng([self._seed, epoch, int(number), 1])
            if draws.random() >= self._params.share:
                continue
            ab = _ab(photos[place])
            if draws.random() < self._params.dense:
                other = (
                    photos[(place + draws.integers(1, len(photos))) % len(photos)]
                    if len(photos) > 1
                    else None
                )
                dense(hints[place], ab, None if other is None else _ab(other), draws=draws)
            else:
                count = draws.geometric(1 / np.exp(draws.uniform(0, np.log(self._params.points))))
                points(hints[place], ab, count=int(count), largest=self._params.patch, draws=draws)
        return torch.from_numpy(hints)


def points(hints: Float, ab: Float, *, count: int, largest: int, draws: np.random.Generator) -> None:
    """Set ``count`` square patches of 1 to ``largest`` pixels in ``hints`` to the mean color of ``ab`` there.

    Both are float32 (channels, height, width); ``hints`` are changed in place.
    """
    height, width = ab.shape[1:]
    for _ in range(min(count, height * width)):
        side = int(draws.integers(1, largest + 1))
        top, left = draws.integers(0, max(1, height - side + 1)), draws.integers(0, max(1, width - side + 1))
        patch = np.s_[:, top : top + side, left : left + side]
        weight = 1.0 if draws.random() < CERTAIN else draws.uniform(0.1, 1)
        error = draws.normal(0, HAND + DOUBT * (1 - weight), 2)
        hints[patch][:2] = (ab[patch].mean(axis=(1, 2)) + error)[:, None, None]
        hints[patch][2] = weight


def dense(hints: Float, ab: Float, other: Float | None, *, draws: np.random.Generator) -> None:
    """Fill ``hints`` with colors of a photo that are moved, blurred, or those of another one.

    In every other photo they are known in patches only. The weight, the same all over a photo, is at most 0.9
    for its own colors, at most 0.3 for another's; in some photos a part of its own is another's.
    """
    height, width = ab.shape[1:]
    own = other is None or draws.random() < 0.75
    colors: Float = ab if own or other is None else other
    planes = np.ascontiguousarray(np.moveaxis(colors, 0, -1))
    if own and other is not None and draws.random() < 0.3:
        top, left = draws.integers(0, height), draws.integers(0, width)
        part = np.s_[top : top + height // 2, left : left + width // 2]
        planes[part] = np.moveaxis(other, 0, -1)[part]
    shift = draws.normal(0, 0.03, 2) * (width, height)
    moved = np.array([[1, 0, shift[0]], [0, 1, shift[1]]], np.float32)
    planes = np.asarray(cv2.warpAffine(planes, moved, (width, height), borderMode=cv2.BORDER_REFLECT))
    if draws.random() < 0.5:
        sigma = float(np.exp(draws.uniform(0, np.log(max(width / 8, 1.1)))))
        planes = np.asarray(cv2.GaussianBlur(planes, (0, 0), sigma))
    known = np.ones((height, width), bool)
    if draws.random() < 0.5:
        coarse = cv2.resize(draws.random((8, 8), np.float32), (width, height), interpolation=cv2.INTER_CUBIC)
        known = np.asarray(coarse) < draws.uniform(0.2, 0.8)
    weight = draws.uniform(0.1, 0.9) if own else draws.uniform(0.02, 0.3)
    hints[:2] = np.moveaxis(planes, -1, 0) * known
    hints[2] = known * np.float32(weight)


def _ab(rgb: NDArray[np.uint8]) -> Float:
    """Return a and b, float32 (2, height, width), of uint8 RGB (height, width, 3)."""
    return np.ascontiguousarray(np.moveaxis(rgb_to_lab(rgb)[..., 1:], -1, 0))

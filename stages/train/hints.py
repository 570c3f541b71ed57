"""Hints in training: known colors at some points of a photo, so that the network learns to use them.

As in Zhang and others, "Real-time user-guided image colorization with learned deep priors" (2017), the number
of points in a photo has a geometric distribution, and each is a small patch of the true color. Other photos
get dense hints, like those from a reference photo or the previous frame of a film: moved, blurred or from
another photo, with low weights. The less accurate hints are, the lower their weight, so the network learns
how much to trust them.
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
"""Share of points that are nearly true, with weight 1; the others have lower weights and larger errors."""

HAND = 1.0
"""Standard deviation of the error in a and b of a point with weight 1, in Lab units."""

DOUBT = 30.0
"""How much larger that standard deviation would be for a point with weight 0, in Lab units."""


class Hints:
    """Draws hints for a share of all photos.

    The hints of a photo depend only on ``seed``, the epoch and the photo's number (dense hints from another
    photo also on its batch), so an interrupted training resumes with exactly the hints it would have seen.
    """

    def __init__(self, params: HintsParams, *, seed: int) -> None:
        self._params, self._seed = params, seed

    def batch(self, rgb: Tensor, *, numbers: NDArray[np.int64], epoch: int) -> Tensor:
        """Return hints for ``rgb``, uint8 (batch, height, width, 3), as float32 (batch, 3, height, width).

        Channels: a and b in Lab units, and the weight in 0..1, which is 0 where no color is known.
        ``numbers`` are the numbers of these photos among all train photos.
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
    """Set ``count`` square patches of ``hints``, with sides of 1 to ``largest`` pixels, to colors of ``ab``.

    Each gets the mean color of its area plus a random error. Both arrays are float32 (channels, height,
    width); ``hints`` is changed in place.
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
    """Fill ``hints`` with the colors ``ab`` of the photo or those of ``other``, moved, sometimes blurred.

    In half of the photos they are known only in patches. The weight is the same everywhere in a photo: at
    most 0.9 for its own colors, at most 0.3 for those of ``other``. In some photos a part of its own colors
    is replaced with that of ``other``.
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

"""Photos seen brighter, darker, flatter or harsher, since prints of all ages and cameras differ in that."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


class Tones:
    """Gives a share of all photos other tones: a gamma, a contrast and a brightness each.

    What happens to a photo follows from ``seed``, epoch and the photo's number alone, so a training that was
    interrupted goes on with the very photos it would have seen.
    """

    def __init__(self, *, share: float, seed: int) -> None:
        self._share, self._seed = share, seed

    def batch(self, rgb: Tensor, *, numbers: NDArray[np.int64], epoch: int) -> Tensor:
        """Return what the network sees of ``rgb``, uint8 (batch, height, width, 3), in the same shape.

        ``numbers`` are those of the photos among all.
        """
        seen = rgb.numpy().copy()
        for photo, number in zip(seen, numbers, strict=True):
            draws = np.random.default_rng([self._seed, epoch, int(number), 2])
            if draws.random() < self._share:
                photo[:] = curve(draws)[photo]
        return torch.from_numpy(seen)


def curve(draws: np.random.Generator) -> NDArray[np.uint8]:
    """Draw a curve of tones: the new level, uint8 (256,), of each level.

    The gamma is between 0.67 and 1.5, the contrast (about the middle) between 0.7 and 1.2, and the brightness
    is moved by up to a tenth of the whole range.
    """
    gamma, contrast = np.exp(draws.uniform(-0.4, 0.4)), draws.uniform(0.7, 1.2)
    levels = (np.linspace(0, 1, 256) ** gamma - 0.5) * contrast + 0.5 + draws.uniform(-0.1, 0.1)
    return (levels.clip(0, 1) * 255 + 0.5).astype(np.uint8)

"""Varies brightness and contrast of what the network sees, because prints of all ages and cameras differ."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


class Tones:
    """Changes the tones of a share of all photos: each gets its own gamma, contrast and brightness.

    What happens to a photo depends only on ``seed``, the epoch and the photo's number, so an interrupted
    training resumes with exactly the photos it would have seen.
    """

    def __init__(self, *, share: float, seed: int) -> None:
        self._share, self._seed = share, seed

    def batch(self, rgb: Tensor, *, numbers: NDArray[np.int64], epoch: int) -> Tensor:
        """Return what the network sees of ``rgb``, uint8 (batch, height, width, 3), in the same shape.

        ``numbers`` are the numbers of these photos among all train photos.
        """
        seen = rgb.numpy().copy()
        for photo, number in zip(seen, numbers, strict=True):
            draws = np.random.default_rng([self._seed, epoch, int(number), 2])
            if draws.random() < self._share:
                photo[:] = curve(draws)[photo]
        return torch.from_numpy(seen)


def curve(draws: np.random.Generator) -> NDArray[np.uint8]:
    """Draw a tone curve: the new level of each level, uint8 (256,).

    Gamma is between 0.67 and 1.5, contrast (around the middle gray) between 0.7 and 1.2, and brightness
    changes by up to a tenth of the whole range.
    """
    gamma, contrast = np.exp(draws.uniform(-0.4, 0.4)), draws.uniform(0.7, 1.2)
    levels = (np.linspace(0, 1, 256) ** gamma - 0.5) * contrast + 0.5 + draws.uniform(-0.1, 0.1)
    return (levels.clip(0, 1) * 255 + 0.5).astype(np.uint8)

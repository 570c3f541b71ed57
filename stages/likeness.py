"""How alike two photographs look: a hash that survives another size, another file format, another name."""

from __future__ import annotations

import cv2
import imagehash
import numpy as np
from numpy.typing import NDArray
from PIL import Image

MEASURED_SIDE = 256
"""Likeness is measured on a copy with this short side, so that it means the same for every size."""

Rgb = NDArray[np.uint8]


def small_copy(rgb: Rgb) -> Rgb:
    """Return ``rgb``, uint8 (height, width, 3), with a short side of :data:`MEASURED_SIDE` pixels at most."""
    height, width = rgb.shape[:2]
    scale = MEASURED_SIDE / min(height, width)
    if scale >= 1:
        return rgb
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return cv2.resize(rgb, size, interpolation=cv2.INTER_AREA)  # type: ignore[return-value]


def phash(rgb: Rgb) -> str:
    """Return the 64-bit perceptual hash of ``rgb``, uint8 (height, width, 3), as 16 hexadecimal digits.

    The signs of the low frequencies of a DCT of a gray 32x32 copy, by imagehash; scaled by :func:`small_copy`
    first, so a copy that was scaled before gives the same hash. Two copies of a photo differ in few bits.
    """
    return str(imagehash.phash(Image.fromarray(small_copy(rgb))))


def distance(one: str, other: str) -> int:
    """Return how many of 64 bits differ between two hashes of :func:`phash`."""
    return (int(one, 16) ^ int(other, 16)).bit_count()

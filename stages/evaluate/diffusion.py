"""Spreads a few known colors over a gray photo along its lightness: the value of hints without a network.

Levin, Lischinski and Weiss, "Colorization using optimization" (2004): each pixel's color is the mean of its
neighbors' colors, weighted by how alike their lightness is; known pixels keep theirs. By SciPy's solver.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix, eye
from scipy.sparse.linalg import spsolve

from ungray.imaging.color import Float

SIDE = 128
"""Largest short side in pixels at which it is solved; color is coarse, and time grows with its square."""

NEIGHBORS = [(y, x) for y in (-1, 0, 1) for x in (-1, 0, 1) if (y, x) != (0, 0)]


def spread(lightness: Float, where: Sequence[tuple[int, int]], ab: Float) -> Float:
    """Return ab, float32 (height, width, 2), of a photo, given the ab of some of its pixels.

    Args:
        lightness: float32 (height, width), 0..100.
        where: row and column of each known pixel, at least one.
        ab: that of each known pixel, (known, 2), Lab units.
    """
    height, width = lightness.shape
    scale = min(1.0, SIDE / min(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = np.asarray(cv2.resize(lightness, size, interpolation=cv2.INTER_AREA), np.float64)
    rows = np.minimum((np.array([row for row, _ in where]) * scale).astype(int), size[1] - 1)
    columns = np.minimum((np.array([column for _, column in where]) * scale).astype(int), size[0] - 1)
    found = _solve(small, rows * size[0] + columns, np.asarray(ab, np.float64))
    planes = found.reshape(size[1], size[0], 2).astype(np.float32)
    return np.asarray(cv2.resize(planes, (width, height), interpolation=cv2.INTER_LINEAR))


def _solve(
    lightness: NDArray[np.float64], known: NDArray[np.int64], ab: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return ab, (pixels, 2), of a photo whose pixels ``known`` have ``ab``."""
    height, width = lightness.shape
    count = height * width
    numbers = np.arange(count).reshape(height, width)
    padded = np.pad(lightness, 1, mode="edge")
    inside = np.pad(np.ones((height, width), bool), 1)
    around = [(1 + y, 1 + x) for y, x in NEIGHBORS]
    values = np.stack([padded[y : y + height, x : x + width] for y, x in around])
    there = np.stack([inside[y : y + height, x : x + width] for y, x in around])
    all_of = np.concatenate([values, lightness[None]])
    mask = np.concatenate([there, np.ones((1, height, width), bool)])
    total = mask.sum(axis=0)
    mean = (all_of * mask).sum(axis=0) / total
    variance = (((all_of - mean) ** 2) * mask).sum(axis=0) / total
    weights = np.exp(-((values - lightness) ** 2) / np.maximum(0.6 * variance, 0.5)) * there
    weights /= weights.sum(axis=0)
    free = np.ones(count, bool)
    free[known] = False
    padded_numbers = np.pad(numbers, 1, mode="edge")
    targets = np.stack([padded_numbers[y : y + height, x : x + width] for y, x in around])
    sources = np.broadcast_to(numbers, targets.shape)
    chosen = there & free[sources]
    matrix = (
        eye(count, format="csr")
        - coo_matrix((weights[chosen], (sources[chosen], targets[chosen])), shape=(count, count)).tocsr()
    )
    right = np.zeros((count, 2))
    right[known] = ab
    return np.asarray(spsolve(matrix.tocsc(), right))

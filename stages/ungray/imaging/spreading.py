"""Spreading hints: a prediction is corrected at known points and, as far as they tell something, around
them."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from ungray.imaging.color import Float


@dataclass(frozen=True)
class Likeness:
    """How alike two places are in what a prediction misses: e to the power of minus these times distances."""

    away: float
    """Per short side of the photo between them."""
    lightness: float
    """Per Lab unit of lightness."""
    color: float
    """Per Lab unit between the predicted a and b."""
    noise: float
    """Variance of a hint of weight 1, relative to that of what a prediction misses."""


@dataclass(frozen=True)
class Distances:
    """Distances of places, one row each, from others, one column each; see :class:`Likeness`."""

    away: Float
    lightness: Float
    color: Float


TONE = Likeness(away=1.14, lightness=0.030, color=0.052, noise=0.067)
"""Of what a prediction misses all over a photo. Like the other numbers here it was fitted on 60 photos."""

OBJECT = Likeness(away=4.95, lightness=0.046, color=0.020, noise=0.001)
"""Of what it misses of an object."""

LARGEST = 23.9
"""What is missing beyond this, Lab units, says nothing of the tone of a photo."""

DOUBT = 0.05
"""By how much a weight is less than 1 if its hint's variance is e times as large."""

IGNORED = 1e4
"""A hint whose variance is more than so many times that of one of weight 1 is left out."""

ROWS = 1024
"""Number of places that are corrected at once: what is computed of them fits into a core's cache."""

MOST = 800
"""The largest number of points; of more, one is left in each square of pixels: half a second."""


def corrected(lightness: Float, ab: Float, hints: Float) -> Float:
    """Return ``ab`` corrected so that it matches ``hints``, and follows them where the photo is like there.

    What the prediction misses is interpolated by Gaussian process regression (kriging; Rasmussen, Williams
    2006, "Gaussian Processes for Machine Learning"): places that are near, of similar lightness, and
    predicted in similar colors miss alike. First the tone of the photo is corrected, far around each hint and
    by no more than :data:`LARGEST`, then, near it, what is still missing: an object whose color nobody could
    guess. Measured: with the long reach alone, hints at the places of the largest errors make photos worse as
    a whole; with the short one alone, random hints help less. A hint of weight 1 is matched; one of 0.5
    hardly changes the prediction.

    Args:
        lightness: float32 (height, width), 0..100.
        ab: the network's prediction for it, float32 (height, width, 2), Lab units.
        hints: see :func:`ungray.hints.drawn`, float32 (3, height, width).

    Returns:
        float32 (height, width, 2).
    """
    at, colors, variance = _points(hints)
    if not len(at):
        return ab
    height, width = lightness.shape
    y, x = np.mgrid[:height, :width].astype(np.float32) / np.float32(min(height, width))
    places = np.dstack([y, x, cv2.blur(lightness, (3, 3)), ab]).reshape(-1, 5)
    missing = colors - ab.reshape(-1, 2)[at]
    size = np.hypot(*missing.T)[:, None]
    among = _distances(places[at], places[at])
    tone_shares = _shares(TONE, among, missing * np.minimum(1, LARGEST / np.maximum(size, LARGEST)), variance)
    left = missing - _alike(TONE, among) @ tone_shares
    object_shares = _shares(OBJECT, among, left, variance)
    found = np.empty_like(places[:, 3:])

    for start in range(0, len(places), ROWS):
        rows = slice(start, start + ROWS)
        distances = _distances(places[rows], places[at])
        correction = _alike(TONE, distances) @ tone_shares + _alike(OBJECT, distances) @ object_shares
        found[rows] = places[rows, 3:] + correction
    return found.reshape(ab.shape)


def _shares(likeness: Likeness, among: Distances, values: Float, variance: NDArray[np.float64]) -> Float:
    """Return the share of each known place, (known, 2), in the interpolated values of all others.

    Args:
        likeness: how alike places are.
        among: the distances of known places from each other.
        values: those of the known places, (known, 2).
        variance: that of each value, relative to one of weight 1, (known,).
    """
    alike = _alike(likeness, among).astype(np.float64)
    return np.linalg.solve(alike + np.diag(likeness.noise * variance), values).astype(np.float32)


def _alike(likeness: Likeness, distances: Distances) -> Float:
    """Return how alike places are, (some, others), 0..1."""
    apart = distances.away * np.float32(-likeness.away)
    apart -= distances.lightness * np.float32(likeness.lightness)
    apart -= distances.color * np.float32(likeness.color)
    return np.exp(apart, out=apart)


def _distances(some: Float, others: Float) -> Distances:
    """Return the distances of places from each other.

    ``some`` and ``others`` are (places, 5): y and x in short sides, lightness, a and b.
    """

    def between(one: int, other: int) -> Float:
        # In double precision, as np.hypot, which is four times as slow.
        first, second = (
            np.subtract(some[:, at, None], others[:, at]).astype(np.float64) for at in (one, other)
        )
        first *= first
        second *= second
        first += second
        return np.sqrt(first, out=first).astype(np.float32)

    return Distances(between(0, 1), np.abs(some[:, 2, None] - others[:, 2]), between(3, 4))


def doubtful(hints: Float) -> Float:
    """Return those of ``hints``, float32 (3, height, width), whose weight is under 1."""
    return np.where(hints[2] < 1, hints, np.float32(0))


def _points(hints: Float) -> tuple[NDArray[np.int64], Float, NDArray[np.float64]]:
    """Return the points that ``hints`` are made of: their number among the pixels, a and b, and the
    variance, relative to one of weight 1.

    A patch of one color counts as its center. More than :data:`MOST` are thinned.
    """
    weights = hints[2].astype(np.float64)
    variance = np.exp((1 - weights) / DOUBT)
    known = (weights > 0) & (variance < IGNORED)
    window = np.ones((3, 3), np.uint8)
    even = [cv2.erode(channel, window) == cv2.dilate(channel, window) for channel in hints]
    centers = known & np.logical_and.reduce(even)
    chosen = centers | (known & (cv2.dilate(centers.astype(np.uint8), window) == 0))
    rows, columns = np.nonzero(chosen)
    side = 1
    while len(rows) > MOST:
        side += 1
        _, first = np.unique(np.stack([rows // side, columns // side]), axis=1, return_index=True)
        rows, columns = rows[first], columns[first]
    at = rows * weights.shape[1] + columns
    return at, hints[:2].reshape(2, -1).T[at], variance.reshape(-1)[at]

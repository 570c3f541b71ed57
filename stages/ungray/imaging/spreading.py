"""Spreading hints: what a network's answer lacks at known places is made up for there and around."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ungray.imaging.color import Float

EDGE = 3.0
"""A step in lightness, Lab units, over which a correction passes on 1 / e as readily as over none."""

HELD = 10.0
"""How strongly a hint of weight 1 holds, where neighbors of one lightness hold each other with 1."""

DOUBT = 0.05
"""What a weight lacks of 1 for it to hold 1 / e as strongly."""

RANGE = 3e-5
"""How strongly the answer is held where nothing is known: the smaller, the further a correction goes."""


def corrected(lightness: Float, ab: Float, hints: Float) -> Float:
    """Return ``ab`` moved so that it meets ``hints``, and follows them as far as lightness is even.

    The difference between hints and answer is spread by weighted least squares: smooth where lightness is,
    free to jump where that does, small where nothing is known (Farbman and others, "Edge-preserving
    decompositions for multi-scale tone and detail manipulation", 2008; spreading colors along lightness goes
    back to Levin and others 2004). A hint of weight 1 is met; one of 0.5 hardly counts beside the network.

    Args:
        lightness: float32 (height, width), 0..100.
        ab: the network's answer for it, float32 (height, width, 2), Lab units.
        hints: see :func:`ungray.hints.drawn`, float32 (3, height, width).

    Returns:
        float32 (height, width, 2).
    """
    if lightness.shape[1] > lightness.shape[0]:  # the system is solved row by row: the shorter, the quicker
        turned = corrected(lightness.T, ab.swapaxes(0, 1), hints.swapaxes(1, 2))
        return turned.swapaxes(0, 1)
    weight = hints[2].astype(np.float64)
    held = np.where(weight > 0, HELD * np.exp((weight - 1) / DOUBT), 0)
    missing = (np.moveaxis(hints[:2], 0, -1) - ab) * (held > 0)[..., None]
    levels = lightness.astype(np.float64)
    across, down = np.zeros((2, *levels.shape))
    across[:, :-1] = np.exp(-np.abs(np.diff(levels, axis=1)) / EDGE)
    down[:-1] = np.exp(-np.abs(np.diff(levels, axis=0)) / EDGE)
    total = held + RANGE + across + down + np.roll(across, 1, axis=1) + np.roll(down, 1, axis=0)
    return (ab + _solved(total, across, down, held[..., None] * missing)).astype(np.float32)


def _solved(
    total: NDArray[np.float64],
    across: NDArray[np.float64],
    down: NDArray[np.float64],
    right_side: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Return x where ``total`` x minus its neighbors, weighted by ``across`` and ``down``, is ``right_side``.

    Elimination row by row, exact: scipy's sparse solver takes as long, and 140 MB in an installation.

    Args:
        total: (height, width); more than the sum of the four weights.
        across: (height, width): the weight between a pixel and its right neighbor, 0 in the last column.
        down: the same of the neighbor below, 0 in the last row.
        right_side: (height, width, channels).
    """
    height, width = total.shape
    inverses = np.empty((height, width, width))
    right_side = right_side.copy()
    here = np.arange(width)
    for row in range(height):
        block = np.zeros((width, width))
        block[here, here] = total[row]
        block[here[:-1], here[1:]] = block[here[1:], here[:-1]] = -across[row, :-1]
        if row:
            weights = down[row - 1][:, None]
            block -= weights * inverses[row - 1] * weights.T
            right_side[row] += weights * (inverses[row - 1] @ right_side[row - 1])
        inverses[row] = np.linalg.inv(block)
    found = np.empty_like(right_side)
    found[-1] = inverses[-1] @ right_side[-1]
    for row in range(height - 2, -1, -1):
        found[row] = inverses[row] @ (right_side[row] + down[row][:, None] * found[row + 1])
    return found

"""Spreading hints: a network's prediction is corrected at known points and around them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ungray.imaging.color import Float

EDGE = 3.0
"""A step in lightness, Lab units, across which a correction spreads 1 / e as strongly as without one."""

HELD = 10.0
"""How strongly a hint of weight 1 holds, compared with 1 between neighbors of one lightness."""

DOUBT = 0.05
"""By how much a weight is less than 1 if its hint holds 1 / e as strongly."""

RANGE = 3e-5
"""How strongly the prediction holds where nothing is known: the smaller, the farther a correction spreads."""


def corrected(lightness: Float, ab: Float, hints: Float) -> Float:
    """Return ``ab`` corrected so that it matches ``hints``, and follows them as far as lightness is even.

    The difference between hints and prediction is spread by weighted least squares: smooth where lightness is
    smooth, free to jump where lightness jumps, small where nothing is known (Farbman and others,
    "Edge-preserving decompositions for multi-scale tone and detail manipulation", 2008; spreading colors
    along lightness goes back to Levin and others 2004). A hint of weight 1 is matched; one of 0.5 hardly
    changes the prediction.

    Args:
        lightness: float32 (height, width), 0..100.
        ab: the network's prediction for it, float32 (height, width, 2), Lab units.
        hints: see :func:`ungray.hints.drawn`, float32 (3, height, width).

    Returns:
        float32 (height, width, 2).
    """
    if lightness.shape[1] > lightness.shape[0]:  # the system is solved row by row: short rows are faster
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
    """Solve for x: ``total`` * x minus its neighbors, weighted by ``across`` and ``down``, is ``right_side``.

    Exact elimination, row by row: SciPy's sparse solver takes as long, and 140 MB of an installation.

    Args:
        total: (height, width); more than the sum of the four weights.
        across: (height, width): the weight between a pixel and its right neighbor, 0 in the last column.
        down: the same for the neighbor below, 0 in the last row.
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

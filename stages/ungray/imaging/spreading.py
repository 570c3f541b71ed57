"""Spreading hints: what a network's answer lacks at known places is made up for there and around."""

from __future__ import annotations

import numpy as np
from scipy.sparse import diags
from scipy.sparse.linalg import splu

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
    height, width = lightness.shape
    weight = hints[2].astype(np.float64)
    held = np.where(weight > 0, HELD * np.exp((weight - 1) / DOUBT), 0).ravel()
    missing = (np.moveaxis(hints[:2], 0, -1) - ab).reshape(-1, 2) * (held > 0)[:, None]
    levels = lightness.astype(np.float64)
    right, below = np.zeros((2, height, width))
    right[:, :-1] = np.exp(-np.abs(np.diff(levels, axis=1)) / EDGE)
    below[:-1] = np.exp(-np.abs(np.diff(levels, axis=0)) / EDGE)
    across, down = right.ravel(), below.ravel()
    total = held + RANGE + across + down + np.roll(across, 1) + np.roll(down, width)
    bands = [total, -across[:-1], -across[:-1], -down[:-width], -down[:-width]]
    system = diags(bands, [0, 1, -1, width, -width], format="csc")
    solver = splu(system, permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options={"SymmetricMode": True})
    found = solver.solve(held[:, None] * missing)
    return (ab + found.reshape(height, width, 2)).astype(np.float32)

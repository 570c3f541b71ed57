"""The learning rate range test: the rate rises from step to step, and the loss says which rates suit.

Leslie N. Smith, "Cyclical learning rates for training neural networks", WACV 2017.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

LOWEST, HIGHEST = 1e-7, 1.0
"""Learning rates of the first and the last step."""

SMOOTHING = 0.8
"""Decay of the moving average of losses: each batch has other photos, and a loss of its own."""

EXPLODED = 4.0
"""The test ends where the smoothed loss is this many times the lowest one."""

FALL = 0.02
"""Share by which the smoothed loss must fall for a proposal."""

MARGIN = 10
"""The proposal is the rate at the lowest loss divided by this: there the loss is about to rise."""


@dataclass(frozen=True)
class RangeTest:
    """The curve of a test, and what follows from it."""

    rates: list[float]
    losses: list[float]
    """Smoothed losses, one for each rate."""
    proposal: float | None
    """A learning rate, rounded to one digit; None if no rate made the loss fall."""


def range_test(step: Callable[[float], float], *, steps: int) -> RangeTest:
    """Call ``step``, which returns a loss, up to ``steps`` times with rates that rise exponentially."""
    rates: list[float] = []
    losses: list[float] = []
    mean = 0.0
    for number in range(steps):
        rate = LOWEST * (HIGHEST / LOWEST) ** (number / (steps - 1))
        mean = SMOOTHING * mean + (1 - SMOOTHING) * step(rate)
        smoothed = mean / (1 - SMOOTHING ** (number + 1))
        if not (math.isfinite(smoothed) and smoothed <= EXPLODED * min([smoothed, *losses])):
            break
        rates.append(rate)
        losses.append(smoothed)
    return RangeTest(rates, losses, _proposal(rates, losses))


def _proposal(rates: list[float], losses: list[float]) -> float | None:
    if not losses:
        return None
    lowest = losses.index(min(losses))
    before = max(losses[: lowest + 1])
    return float(f"{rates[lowest] / MARGIN:.0e}") if losses[lowest] <= (1 - FALL) * before else None

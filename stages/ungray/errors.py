"""Errors that the user, or the caller, can fix."""

import math
from numbers import Real
from typing import Any, TypeGuard


class UngrayError(Exception):
    """One sentence: what is wrong, where, and how to fix it. Shown without a traceback; exit code 1."""


class ArgumentError(UngrayError, ValueError):
    """An invalid argument of a Python call: of the wrong type or shape, or out of range."""


def is_number(value: Any) -> TypeGuard[float]:
    """Return whether an argument is a real number, neither infinite (nor too large for a float) nor NaN."""
    try:
        return isinstance(value, Real) and math.isfinite(value)
    except OverflowError:  # an integer of hundreds of digits
        return False

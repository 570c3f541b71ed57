"""The errors that the person at the keyboard, or the caller, can mend."""

import math
from numbers import Real
from typing import Any


class UngrayError(Exception):
    """One sentence: what is wrong, where, and the way out. Shown without a traceback; exit code 1."""


class ArgumentError(UngrayError, ValueError):
    """An argument from Python that makes no sense: of another type or shape, or out of its range."""


def is_number(value: Any) -> bool:
    """Return whether an argument is a real number, neither infinite nor NaN."""
    return isinstance(value, Real) and math.isfinite(value)

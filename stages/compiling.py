"""How loops over pixels are compiled."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numba

OPTIONS: dict[str, Any] = {"fastmath": True, "error_model": "numpy"}
"""Sums in any order, and no check of a division by zero: without them there are no vector instructions."""

inlined = numba.njit(inline="always", **OPTIONS)
"""For what only compiled functions call."""


def compiled(function: Callable[..., Any]) -> Any:
    """Compile a function when it is first called, and keep what was compiled for later processes.

    It runs without Python's lock, so that threads can work at once. It is kept in the ``__pycache__`` beside
    the function's file, or in the user's cache where that can't be written; where neither can, a warning says
    so.
    """
    try:
        return numba.njit(cache=True, nogil=True, **OPTIONS)(function)
    except RuntimeError:
        warnings.warn(
            f"every start compiles {function.__name__} anew, which takes seconds: neither its file's folder "
            "nor the user's cache can be written; NUMBA_CACHE_DIR can name another",
            stacklevel=2,
        )
        return numba.njit(nogil=True, **OPTIONS)(function)

"""How loops over pixels are compiled."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numba
from numba.core.caching import FunctionCache, IndexDataCacheFile

from ungray.imaging import color
from ungray.system.files import sha256

OPTIONS: dict[str, Any] = {"fastmath": True, "error_model": "numpy"}
"""Sums in any order, and no check of a division by zero: without them there are no vector instructions."""

inlined = numba.njit(inline="always", **OPTIONS)
"""For what only compiled functions call."""


def compiled(function: Callable[..., Any]) -> Any:
    """Compile a function when it is first called, and keep what was compiled for later processes.

    It runs without Python's lock, so that threads can work at once. It is kept in the ``__pycache__`` beside
    the function's file, or in the user's cache where that can't be written; where nothing can be kept, a
    warning says so.
    """
    dispatcher = numba.njit(nogil=True, **OPTIONS)(function)
    try:
        dispatcher._cache = _Cache(function)  # what cache=True does, with Numba's own class
    except RuntimeError:  # no folder can be written
        _warn("neither their folder nor the user's cache can be written")
    return dispatcher


class _Cache(FunctionCache):
    """What was compiled, in files: what can't be read is compiled anew, what can't be written is not kept.

    Numba compiles anew when the function's own file has changed. Here the files of the constants and of the
    options count too, all by what is in them.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__(function)
        sources = [Path(file).read_bytes() for file in (inspect.getfile(function), color.__file__, __file__)]
        stamp = sha256(b"".join(sources))
        self._cache_file = IndexDataCacheFile(self._cache_path, self._impl.filename_base, stamp)

    def load_overload(self, *arguments: Any) -> Any:
        try:
            return super().load_overload(*arguments)
        except Exception:  # of a damaged file unpickling raises anything
            self._forget()
            return None

    def save_overload(self, *arguments: Any) -> None:
        try:
            super().save_overload(*arguments)
        except OSError as error:
            _warn(str(error))

    def _forget(self) -> None:
        try:
            self.flush()
        except OSError as error:
            _warn(str(error))


@cache
def _warn(why: str) -> None:
    """Say, once, that what is compiled is not kept."""
    warnings.warn(
        f"compiled loops can't be kept, so every start compiles them anew, which takes seconds: {why}; "
        "NUMBA_CACHE_DIR can name another folder",
        stacklevel=1,
    )

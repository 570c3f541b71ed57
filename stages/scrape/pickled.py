"""Reads the pickles of plain containers and uint8 arrays that old data sets come in, and nothing else.

A pickle is a program: whoever loads one runs what its maker wrote. Here it can name no function but three
stand-ins, which only note shape and bytes; so it needs no trust, whoever changed the file on its way.
"""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ungray.errors import UngrayError


def read(path: Path) -> dict[str, Any]:
    """Return the dictionary pickled at ``path`` (Python 2's protocols and 3's up to 4), its arrays as uint8.

    Raises:
        UngrayError: missing, damaged, not a dictionary, or it names anything but uint8 arrays.
    """
    try:
        with path.open("rb") as file:
            content = _Unpickler(file, encoding="latin1").load()  # as torchvision reads Python 2's strings
        if not isinstance(content, dict):
            raise TypeError("no dictionary inside")
        return {
            str(key): value.array() if isinstance(value, _Array) else value for key, value in content.items()
        }
    except FileNotFoundError:
        raise UngrayError(f"{path} is missing; scrape.dataset_folder must hold it") from None
    except _RefusedError as error:
        raise UngrayError(
            f"{path} would call {error}, which no data set needs, and was not let; get it from its makers"
        ) from None
    except Exception as error:  # damaged and hostile pickles raise anything
        raise UngrayError(
            f"{path} is damaged ({type(error).__name__}: {error}); get it again from its makers"
        ) from None


class _RefusedError(Exception):
    """A name that a pickle must not use."""


class _Array:
    """Stands in for a pickled array: NumPy's own takes internal flags from the file at their word."""

    def __setstate__(self, state: tuple[int, tuple[int, ...], _Uint8, bool, bytes | str]) -> None:
        _, self._shape, self._kind, self._fortran, self._content = state

    def array(self) -> NDArray[np.uint8]:
        if not isinstance(self._kind, _Uint8):
            raise TypeError("an array without a type")
        content = self._content.encode("latin1") if isinstance(self._content, str) else self._content
        return np.frombuffer(content, np.uint8).reshape(self._shape, order="F" if self._fortran else "C")


class _Uint8:
    """Stands in for the type of an array's numbers."""

    def __init__(self, code: str, *flags: int) -> None:
        if code != "u1":
            raise TypeError(f"numbers of type {code} where bytes are expected")

    def __setstate__(self, state: tuple[object, ...]) -> None:
        pass  # byte order and fields, which bytes have none of


def _array(*_: object) -> _Array:
    return _Array()


def _encode(text: str, encoding: str) -> bytes:
    if encoding != "latin1":
        raise TypeError(f"bytes written as {encoding}")
    return text.encode(encoding)


STAND_INS: dict[tuple[str, str], object] = {
    ("numpy.core.multiarray", "_reconstruct"): _array,
    ("numpy._core.multiarray", "_reconstruct"): _array,
    ("numpy", "ndarray"): "ndarray",  # only ever handed to _reconstruct
    ("numpy", "dtype"): _Uint8,
    ("_codecs", "encode"): _encode,  # how Python 3 writes bytes for Python 2
}


class _Unpickler(pickle.Unpickler):
    def find_class(self, module_name: str, global_name: str) -> Any:
        try:
            return STAND_INS[module_name, global_name]
        except KeyError:
            raise _RefusedError(f"{module_name}.{global_name}") from None

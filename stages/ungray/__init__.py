"""Ungray colors gray photos: from Python, by the command ``colorize``, on a web page. It needs no torch.

>>> from PIL import Image
>>> from ungray import Colorizer
>>> colored = Colorizer.load().colorize(Image.open("photo.jpg"))
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ungray.errors import ArgumentError, UngrayError
from ungray.system import privacy

privacy.silence_libraries()  # before any of them is loaded

if TYPE_CHECKING:
    from ungray.colorizer import Colorizer
    from ungray.hints import Hint, read_hints, write_hints
    from ungray.imaging.prediction import Prediction
    from ungray.imaging.reading.formats import PhotoError
    from ungray.reference import hints_from_reference, palette
    from ungray.variants import likely_colors

__all__ = [
    "ArgumentError",
    "Colorizer",
    "Hint",
    "PhotoError",
    "Prediction",
    "UngrayError",
    "hints_from_reference",
    "likely_colors",
    "palette",
    "read_hints",
    "write_hints",
]

LATE = {
    "Colorizer": "ungray.colorizer",
    "Hint": "ungray.hints",
    "Prediction": "ungray.imaging.prediction",
    "PhotoError": "ungray.imaging.reading.formats",
    "hints_from_reference": "ungray.reference",
    "likely_colors": "ungray.variants",
    "palette": "ungray.reference",
    "read_hints": "ungray.hints",
    "write_hints": "ungray.hints",
}
"""The modules of names imported on first use: they take a second, and ``colorize --help`` needs none.

:func:`ungray.variants.variants` is not among them: its module has that name here.
"""


def __getattr__(name: str) -> Any:
    if name in LATE:
        return getattr(import_module(LATE[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

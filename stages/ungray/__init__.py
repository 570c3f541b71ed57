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
    from ungray.hints import Hint
    from ungray.imaging.prediction import Prediction
    from ungray.imaging.reading.formats import PhotoError

__all__ = ["ArgumentError", "Colorizer", "Hint", "PhotoError", "Prediction", "UngrayError"]

LATE = {
    "Colorizer": "ungray.colorizer",
    "Hint": "ungray.hints",
    "Prediction": "ungray.imaging.prediction",
    "PhotoError": "ungray.imaging.reading.formats",
}
"""The modules of names imported on first use: they take a second, and ``colorize --help`` needs none."""


def __getattr__(name: str) -> Any:
    if name in LATE:
        return getattr(import_module(LATE[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

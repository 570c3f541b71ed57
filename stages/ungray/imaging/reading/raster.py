"""What a decoder gives: the pixels of a photo, and what its file says of them."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image

Pixels = NDArray[Any]
"""uint8 or uint16."""

TURNS: dict[int, Any] = {
    2: lambda pixels: pixels[:, ::-1],
    3: lambda pixels: pixels[::-1, ::-1],
    4: lambda pixels: pixels[::-1],
    5: lambda pixels: pixels.swapaxes(0, 1),
    6: lambda pixels: pixels[::-1].swapaxes(0, 1),
    7: lambda pixels: pixels[::-1, ::-1].swapaxes(0, 1),
    8: lambda pixels: pixels[:, ::-1].swapaxes(0, 1),
}
"""What sets a photo upright, by its orientation in EXIF."""


@dataclass(frozen=True, kw_only=True)
class Raster:
    """A decoded photo, upright. Every pixel came out of the file: nothing was filled in.

    ``format`` a key of :data:`ungray.imaging.reading.formats.FORMATS`; ``colors`` uint8 or uint16, (height,
    width) in mode L or (height, width, channels) in mode RGB, CMYK or LAB, the two last of 8 bits; ``alpha``
    of the same type (height, width); ``profile`` an ICC profile of the colors; ``exif`` as in the file, not
    yet looked through; ``turned``: it was stored lying on its side; ``dpi`` of the file's own header; ``xmp``
    as in the file; ``halved``: a JPEG whose color has half the resolution; ``pages`` that the file has.
    """

    format: str
    mode: str
    colors: Pixels
    alpha: Pixels | None = None
    profile: bytes | None = None
    exif: Image.Exif = field(default_factory=Image.Exif)
    xmp: bytes | None = None
    dpi: tuple[Any, Any] | None = None
    turned: bool = False
    halved: bool = False
    pages: int = 1


def upright(pixels: Any, orientation: int) -> Any:
    """Return pixels, None too, set upright by the orientation in EXIF, 1 to 8; others change nothing."""
    turn = TURNS.get(orientation)
    return pixels if turn is None or pixels is None else turn(pixels)


def said(image: Image.Image) -> tuple[Image.Exif, int]:
    """Return the EXIF data of an image and its orientation; where they are damaged, none and 1.

    Pillow looks for the orientation in XMP where EXIF data has none.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of damage
            exif = image.getexif()
            return exif, int(exif.get(ExifTags.Base.Orientation, 1))
    except Exception:  # damaged EXIF data raises anything
        return Image.Exif(), 1


def to_8_bits(values: NDArray[Any]) -> NDArray[np.uint8]:
    """Return levels of 8 or 16 bits as levels of 8."""
    if values.dtype == np.uint8:
        return values
    return np.asarray(cv2.LUT(np.ascontiguousarray(values), _TO_8_BITS))


_TO_8_BITS = ((np.arange(65536) + 128) // 257).astype(np.uint8)

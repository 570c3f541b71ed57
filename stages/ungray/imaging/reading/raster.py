"""What a decoder returns: the pixels of a photo, and its metadata."""

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
"""Functions that set a photo upright, by its orientation in EXIF."""


@dataclass(frozen=True, kw_only=True)
class Raster:
    """A decoded photo, upright. Every pixel came out of the file: nothing was filled in.

    ``format`` is a key of :data:`ungray.imaging.reading.formats.FORMATS`; ``colors`` are uint8 or uint16,
    (height, width) in mode L or (height, width, channels) in mode RGB, CMYK or LAB, the last two with 8 bits;
    ``alpha`` is of the same type, (height, width); ``profile`` is the ICC profile of the colors; ``exif`` and
    ``xmp`` are as in the file, not yet checked; ``dpi`` is from the file's own header; ``turned`` is whether
    it was stored lying on its side; ``halved`` is whether it was a JPEG whose color has half the resolution;
    ``pages`` is the number of pages of the file, ``pictures`` that of an animation or a burst; of a
    JPEG XL 2 stands for any number of several, since only decoding all of them would count them.
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
    pictures: int = 1


def upright(pixels: Any, orientation: int) -> Any:
    """Return pixels, or None, set upright by the orientation in EXIF, 1 to 8; other numbers change
    nothing."""
    turn = TURNS.get(orientation)
    return pixels if turn is None or pixels is None else turn(pixels)


def exif_and_orientation(image: Image.Image) -> tuple[Image.Exif, int]:
    """Return the EXIF data of an image and its orientation; if they are damaged, empty data and 1.

    Pillow looks for the orientation in XMP if the EXIF data have none.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about damage
            exif = image.getexif()
            return exif, int(exif.get(ExifTags.Base.Orientation, 1))
    except Exception:  # damaged EXIF data raises anything
        return Image.Exif(), 1


def to_8_bits(values: NDArray[Any]) -> NDArray[np.uint8]:
    """Return 8-bit or 16-bit levels as 8-bit levels."""
    if values.dtype == np.uint8:
        return values
    return np.asarray(cv2.LUT(np.ascontiguousarray(values), _TO_8_BITS))


_TO_8_BITS = ((np.arange(65536) + 128) // 257).astype(np.uint8)

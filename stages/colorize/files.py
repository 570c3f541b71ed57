"""Photo files of any kind in, coloured photos out: lightness, transparency and what is said of it are kept.

>>> from pathlib import Path
>>> from stages.colorize import files
>>> from stages.colorize.api import Colorizer
>>> photo = files.read(Path("photo.jpg").read_bytes())
>>> coloured = Colorizer.load().predict(photo).render()
>>> files.encode(photo, coloured, format="png")[1:4]
b'PNG'
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import nanoarrow
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, JpegImagePlugin

from stages import photos
from stages.colorize import encoding, sixteen_bits
from stages.colorize import exif as exif_data
from stages.colorize.exif import About, Base
from stages.painting import Gray, gray_levels

BAND = 1 << 21
"""Pixels taken from Pillow at once."""


@dataclass(frozen=True)
class Photo:
    """A photo made gray.

    ``gray`` uint16 (height, width), levels of the sRGB curve (a photo of 8 bits has every 257th, or between
    them where it was coloured); ``alpha`` uint8 or uint16 (height, width); ``about``: EXIF data, XMP and
    resolution; ``bits`` 8 or 16; ``format`` an extension: jpg, png, webp, tif, bmp, gif; ``halved``: it was a
    JPEG whose colour has half the resolution (4:2:0), as most cameras write them.
    """

    gray: Gray
    alpha: NDArray[Any] | None
    about: About
    bits: int
    format: str
    halved: bool = False

    @property
    def width(self) -> int:
        """Pixels."""
        return self.gray.shape[1]

    @property
    def height(self) -> int:
        """Pixels."""
        return self.gray.shape[0]


def read(content: bytes) -> Photo:
    """Return the photo in a file.

    Of an animation or several pages the first is taken. Sixteen bits are kept of gray and RGB photos, with or
    without alpha, in PNG and TIFF; photos for print (CMYK) of 16 bits, and gray ones of 32, are taken at 8.
    Refused are TIFFs of gray and alpha at 16 bits, and those of 32 bits in colour.

    Raises:
        PhotoError: not an image of a known format, of a kind that is not read, damaged or truncated, or too
            many pixels.
    """
    try:
        with photos.open_image(content) as image:
            return from_image(image, content=content)
    except photos.PhotoError:
        raise
    except Exception as error:  # decoders of damaged and hostile files raise anything
        raise photos.damaged(error) from None


def from_image(image: Image.Image, *, content: bytes | None = None) -> Photo:
    """Return what is in a Pillow image of any mode.

    ``content`` is the file it came from, for RGB of 16 bits, which Pillow has at 8. Integers (mode I) are
    levels of 8 bits where none is above 255, else of 16.

    Raises:
        PhotoError: numbers that are no levels: integers beyond 0..65535, fractions (mode F) beyond 0..1.
    """
    stored = exif_data.orientation(image) if image.format == "TIFF" else 1
    image.load()  # sets a TIFF upright and forgets that it was not
    orientation = exif_data.orientation(image)
    about = exif_data.read(image, turned=max(stored, orientation) > 4)
    kind = photos.FORMATS.get(image.format or "", "png")
    halved = isinstance(image, JpegImagePlugin.JpegImageFile) and JpegImagePlugin.get_sampling(image) == 2
    if deep := sixteen_bits.read(image, content, orientation=max(stored, orientation)):
        return Photo(gray_levels(deep[0]), deep[1], about, 16, kind)
    if image.mode == "I" and not hasattr(image, "tag_v2"):
        image = image.convert("L")  # as its levels are; those of a TIFF have 32 bits
    profile = image.info.get("icc_profile")
    flat, transparency = photos.split_alpha(image)
    flat = _upright(flat, orientation)
    if flat.mode != "L" or profile:
        flat = photos.to_srgb_colours(flat, profile)
    return Photo(
        gray=_gray(flat),
        alpha=None if transparency is None else np.asarray(_upright(transparency, orientation)),
        about=about,
        bits=8,
        format=kind,
        halved=halved,
    )


def from_array(pixels: NDArray[Any]) -> Photo:
    """Return what is in an array, uint8 or uint16: (height, width), or 1 to 4 channels: gray or RGB, alpha.

    Raises:
        PhotoError: another shape or type.
    """
    pixels = pixels.astype(pixels.dtype.newbyteorder("="), copy=False)
    shape = pixels.shape
    known = len(shape) == 2 or (len(shape) == 3 and 1 <= shape[2] <= 4)
    if pixels.dtype not in (np.uint8, np.uint16) or not known or 0 in shape:
        raise photos.PhotoError(
            f"an array of {pixels.dtype} {shape} is no photo; give uint8 or uint16, (height, width) or "
            "(height, width, channels) with 1 to 4 channels: gray or RGB, and alpha"
        )
    alpha = None
    if len(shape) == 3 and shape[2] in (2, 4):
        pixels, alpha = pixels[..., :-1], pixels[..., -1]
    if pixels.ndim == 3 and pixels.shape[2] == 1:
        pixels = pixels[..., 0]
    return Photo(gray_levels(pixels), alpha, About(), 8 * pixels.dtype.itemsize, "png")


def encode(photo: Photo, rgb: NDArray[Any], *, format: str, quality: int = 95) -> bytes:
    """Return the coloured ``photo`` as a file: what is said of it and its alpha kept, tagged sRGB.

    Args:
        photo: what was coloured.
        rgb: its colours, sRGB, uint8 or uint16 (height, width, 3).
        format: jpg, png, webp or tif; png and tif keep 16 bits. A JPEG has no alpha: it is laid on white;
            it has colour at full resolution, or at half if the photo had.
        quality: of jpg and webp, 1 to 100.

    Raises:
        UngrayError: another format, or a photo too large for it.
    """
    return encoding.encode(
        rgb, format=format, alpha=photo.alpha, about=photo.about, quality=quality, halved=photo.halved
    )


def _upright(image: Image.Image, orientation: int) -> Image.Image:
    if orientation == 1:
        return image
    image.getexif()[Base.Orientation] = orientation
    return ImageOps.exif_transpose(image)


def _gray(colours: Image.Image) -> Gray:
    """Return the gray levels of a photo in mode L or RGB, in bands, whose pixels Pillow has in one piece."""
    width, height = colours.size
    gray = np.empty((height, width), np.uint16)
    band = max(1, BAND // width)
    for top in range(0, height, band):
        part = colours if band >= height else colours.crop((0, top, width, min(top + band, height)))
        gray[top : top + band] = gray_levels(_pixels(part))
    return gray


def _pixels(image: Image.Image) -> NDArray[np.uint8]:
    """Return the pixels of an image of mode L, or those of mode RGB with the fourth byte that Pillow adds."""
    if image.mode == "RGB":
        try:  # Arrow shows them where they are; Pillow's own way copies twice, while no other thread can run
            return np.asarray(nanoarrow.c_array(image).child(0).view().buffer(1)).reshape(
                *image.size[::-1], 4
            )
        except ValueError:  # not in one piece: PILLOW_BLOCK_SIZE can say so
            pass
    return np.asarray(image)

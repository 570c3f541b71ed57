"""Reads photo files of any kind, writes colored ones: lightness, transparency and metadata are kept.

>>> from pathlib import Path
>>> from ungray.imaging import photo_files as files
>>> from ungray.colorizer import Colorizer
>>> photo = files.read_photo(Path("photo.jpg").read_bytes())
>>> colored = Colorizer.load().predict(photo).render()
>>> files.encode(photo, colored, format="png")[1:4]
b'PNG'
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile

from ungray.errors import ArgumentError
from ungray.imaging import encoding, photos
from ungray.imaging import exif as exif_data
from ungray.imaging.exif import Metadata
from ungray.imaging.reading import profiles
from ungray.imaging.reading.decode import split_alpha
from ungray.imaging.reading.raster import Raster, exif_and_orientation, upright
from ungray.imaging.upsampling import Gray, gray_levels

BAND = 1 << 21
"""Pixels whose colors are converted at once."""


@dataclass(frozen=True)
class Photo:
    """A photo made gray.

    ``gray`` is uint16 (height, width), levels of the sRGB curve (multiples of 257 for an 8-bit gray photo,
    also between them for a color photo); ``alpha`` is uint8 or uint16 (height, width); ``metadata`` has EXIF
    data, XMP and resolution; ``bits`` is 8 or 16; ``format`` is a value of
    :data:`ungray.imaging.photos.FORMATS`; ``halved`` is whether it was a JPEG whose color has half the
    resolution (4:2:0), as most cameras write them; ``pages`` is the number of pages of its file,
    ``pictures`` that of an animation or a burst, of which this is the first.
    """

    gray: Gray
    alpha: NDArray[Any] | None
    metadata: Metadata
    bits: int
    format: str
    halved: bool = False
    pages: int = 1
    pictures: int = 1

    @property
    def width(self) -> int:
        """Width in pixels."""
        return self.gray.shape[1]

    @property
    def height(self) -> int:
        """Height in pixels."""
        return self.gray.shape[0]


def read_photo(content: bytes, page: int = 0) -> Photo:
    """Return the photo in a file.

    It is the first picture of an animation, and page ``page``, counted from 0, of a TIFF of several pages.
    Gray and RGB keep 16 bits, with or without alpha; photos for print (CMYK) are reduced to 8.

    Raises:
        PhotoError: it is not an image of a known format, is of an unsupported kind, is damaged or truncated,
            has too many pixels, or has no such page.
    """
    raster = photos.decode(content, page)
    try:
        return _from_raster(raster)
    except Exception as error:  # colors that cannot be converted, or a lack of memory
        raise photos.damaged(error) from None


def from_image(image: Image.Image) -> Photo:
    """Return the photo in a Pillow image of any mode.

    An image that was opened but not yet loaded is read from its file, as :func:`read_photo` does. Integers
    (mode I) are 8-bit levels if none is above 255, else 16-bit levels; floats (mode F) are in 0..1.

    Raises:
        PhotoError: its values are not valid levels, or its file is damaged.
    """
    if content := _file_of(image):
        return read_photo(content)
    image.load()
    exif, orientation = exif_and_orientation(image)
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        mode, colors, alpha = "L", _numbers(image), None
        if "transparency" in image.info:  # the one tone that is transparent
            alpha = np.where(colors == image.info["transparency"], 0, 65535).astype(np.uint16)
    else:
        flat, transparency = split_alpha(image)
        mode, colors = flat.mode, np.asarray(flat)
        alpha = None if transparency is None else np.asarray(transparency)
    raster = Raster(
        format=image.format if image.format in photos.FORMATS else "PNG",
        mode=mode,
        colors=upright(colors, orientation),
        alpha=upright(alpha, orientation),
        profile=image.info.get("icc_profile"),
        exif=exif,
        xmp=image.info.get("xmp"),
        dpi=image.info.get("dpi") if isinstance(image.info.get("dpi"), tuple) else None,
        turned=orientation > 4,
    )
    return _from_raster(raster)


def encode_pages(pages: Iterable[tuple[Photo, NDArray[Any]]]) -> bytes:
    """Return colored photos as the pages of one TIFF; see :func:`encode`.

    Raises:
        UngrayError: together they are larger than a TIFF can be.
    """
    return encoding.tiff((rgb, photo.alpha, photo.metadata) for photo, rgb in pages)


def _from_raster(raster: Raster) -> Photo:
    height, width = raster.colors.shape[:2]
    metadata = exif_data.for_copy(
        raster.exif, size=(width, height), turned=raster.turned, dpi=raster.dpi, xmp_packet=raster.xmp
    )
    deep = raster.colors.dtype == np.uint16
    return Photo(
        gray=gray_levels(profiles.to_srgb_deep(raster.colors, raster.profile)) if deep else _gray(raster),
        alpha=None if raster.alpha is None else np.ascontiguousarray(raster.alpha),
        metadata=metadata,
        bits=16 if deep else 8,
        format=photos.FORMATS[raster.format],
        halved=raster.halved,
        pages=raster.pages,
        pictures=raster.pictures,
    )


def _file_of(image: Image.Image) -> bytes | None:
    """Return the file of an image that was opened, at its first picture, but not yet loaded; else None."""
    if not isinstance(image, ImageFile.ImageFile) or image.format not in photos.FORMATS or not image.tile:
        return None
    first = 1 if image.format == "PSD" else 0
    if image.fp is None or image.fp.closed or image.tell() != first or image.decoderconfig:
        return None
    place = image.fp.tell()
    try:
        image.fp.seek(0)
        return image.fp.read()
    except OSError:  # a stream that cannot seek
        return None
    finally:
        image.fp.seek(place)


def _numbers(image: Image.Image) -> NDArray[Any]:
    """Return the gray levels of an image of integers or floats, uint8 or uint16."""
    values = np.asarray(image)
    if image.mode == "F":
        if np.isnan(values).any():
            raise photos.PhotoError("some of its values are NaN; save it with 8 or 16 bits")
        if not 0 <= np.min(values) <= np.max(values) <= 1:
            raise photos.PhotoError("floating-point values beyond 0..1; save it with 8 or 16 bits")
        return (values * 65535 + 0.5).astype(np.uint16)
    if values.min() < 0 or values.max() > 65535:
        raise photos.PhotoError(
            f"an image of integers in {values.min()}..{values.max()} is not a photo; give levels in 0..255 "
            "or 0..65535"
        )
    return values.astype(np.uint8 if image.mode == "I" and values.max() <= 255 else np.uint16)


def from_array(pixels: NDArray[Any]) -> Photo:
    """Return the photo in a uint8 or uint16 array: (height, width), or 1 to 4 channels: gray or RGB, alpha.

    Raises:
        ArgumentError: it has another shape or type.
    """
    pixels = pixels.astype(pixels.dtype.newbyteorder("="), copy=False)
    shape = pixels.shape
    known = len(shape) == 2 or (len(shape) == 3 and 1 <= shape[2] <= 4)
    if pixels.dtype not in (np.uint8, np.uint16) or not known or 0 in shape:
        raise ArgumentError(
            f"an array of {pixels.dtype} {shape} is not a photo; give uint8 or uint16, (height, width) or "
            "(height, width, channels) with 1 to 4 channels: gray or RGB, and alpha"
        )
    alpha = None
    if len(shape) == 3 and shape[2] in (2, 4):
        pixels, alpha = pixels[..., :-1], pixels[..., -1]
    if pixels.ndim == 3 and pixels.shape[2] == 1:
        pixels = pixels[..., 0]
    return Photo(gray_levels(pixels), alpha, Metadata(), 8 * pixels.dtype.itemsize, "png")


def encode(photo: Photo, rgb: NDArray[Any], *, format: str, quality: int = 95) -> bytes:
    """Return the colored ``photo`` as a file with its metadata and alpha, tagged sRGB.

    Args:
        photo: what was colored.
        rgb: its colors, sRGB, uint8 or uint16 (height, width, 3).
        format: jpg, png, webp or tif; png and tif keep 16 bits. A JPEG has no alpha: the photo is composited
            on white. Its color has full resolution, or half if the photo's had.
        quality: of jpg and webp, 1 to 100.

    Raises:
        UngrayError: the format is unknown, or the photo is too large for it.
    """
    return encoding.encode(
        rgb, format=format, alpha=photo.alpha, metadata=photo.metadata, quality=quality, halved=photo.halved
    )


def _gray(raster: Raster) -> Gray:
    """Return the gray levels of an 8-bit photo; its colors are converted in bands."""
    height, width = raster.colors.shape[:2]
    if raster.mode == "RGB" and not raster.profile:
        return gray_levels(raster.colors)
    if raster.mode == "L" and not raster.profile:
        return gray_levels(np.ascontiguousarray(raster.colors))
    gray = np.empty((height, width), np.uint16)
    band = max(1, BAND // width)
    for top in range(0, height, band):
        part = Image.fromarray(np.ascontiguousarray(raster.colors[top : top + band]), raster.mode)
        gray[top : top + band] = gray_levels(np.asarray(profiles.to_srgb_image(part, raster.profile)))
    return gray

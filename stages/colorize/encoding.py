"""Coloured photos as files: JPEG, PNG, WebP, TIFF."""

from __future__ import annotations

import io
import struct
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms, TiffImagePlugin

from stages import photos
from stages.colorize.exif import as_bytes
from stages.errors import UngrayError

FORMATS = ("jpg", "png", "webp", "tif")
LONGEST = {"jpg": 65_500, "webp": 16_383}
"""The most pixels a side may have."""

TO_8_BITS = ((np.arange(65536) + 128) // 257).astype(np.uint8)


def encode(
    rgb: NDArray[Any],
    *,
    format: str,
    alpha: NDArray[Any] | None,
    exif: bytes | None,
    quality: int,
    halved: bool = False,
) -> bytes:
    """Return a coloured photo as a file tagged sRGB; see :func:`stages.colorize.files.encode`.

    ``halved``: see :func:`stages.photos.codec_options`.
    """
    if format not in FORMATS:
        raise UngrayError(f"the format {format} cannot be written; use {', '.join(FORMATS)}")
    height, width = rgb.shape[:2]
    if max(width, height) > LONGEST.get(format, max(width, height)):
        raise UngrayError(
            f"a photo of {width}x{height} cannot be written as {format}, whose sides have at most "
            f"{LONGEST[format]} pixels; use png or tif"
        )
    if format in LONGEST:  # of 8 bits only
        rgb = with_bits(rgb, 8)
    if alpha is not None:
        alpha = with_bits(alpha, 8 * rgb.dtype.itemsize)
        rgb = _on_white(rgb, alpha) if format == "jpg" else np.dstack([rgb, alpha])
    if format == "tif":
        return _tiff(rgb, exif)
    about = {cv2.IMAGE_METADATA_ICCP: srgb_profile()}
    if exif:
        about[cv2.IMAGE_METADATA_EXIF] = exif.removeprefix(b"Exif\0\0")
    # Not Pillow's: it has no PNG of 16 bits, and while it writes a JPEG no other thread can use Python.
    done, content = cv2.imencodeWithMetadata(
        f".{format}",
        cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR if rgb.shape[2] == 3 else cv2.COLOR_RGBA2BGRA),
        list(about),
        [np.frombuffer(value, np.uint8) for value in about.values()],
        photos.codec_options(format, quality, halved=halved),
    )
    if not done:
        raise UngrayError(f"a photo of {width}x{height} could not be written as {format}")
    return content.tobytes()


@lru_cache(maxsize=1)
def srgb_profile() -> bytes:
    """Return an ICC profile of sRGB, the same bytes every time."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    profile[24:36] = struct.pack(">6H", 2000, 1, 1, 0, 0, 0)  # the date and time at which it was made
    return bytes(profile)


def with_bits(values: NDArray[Any], bits: int) -> NDArray[Any]:
    """Return levels, uint8 or uint16, as levels of ``bits``, 8 or 16."""
    if 8 * values.dtype.itemsize == bits:
        return values
    if bits == 16:
        return np.multiply(values, 257, dtype=np.uint16)
    return cv2.LUT(np.ascontiguousarray(values), TO_8_BITS)


def _on_white(rgb: NDArray[Any], alpha: NDArray[Any]) -> NDArray[Any]:
    image = Image.fromarray(rgb)
    image.paste("white", mask=Image.fromarray(255 - alpha))
    return np.asarray(image)


def _tiff(rgb: NDArray[Any], exif: bytes | None) -> bytes:
    """Return a TIFF, not compressed: Pillow writes its directory; of RGB of 16 bits it knows no more."""
    height, width, channels = rgb.shape
    ifd = TiffImagePlugin.ImageFileDirectory_v2(prefix=b"II")
    if exif:
        about = Image.Exif()
        about.load(exif)
        for tag in about:
            inner = tag in TiffImagePlugin.TiffTags.TAGS_V2_GROUPS
            ifd[tag] = about.get_ifd(tag) if inner else as_bytes(about[tag])
    if channels == 4:
        ifd[TiffImagePlugin.EXTRASAMPLES] = 2  # alpha, not multiplied into the colours
    pixels = rgb.astype(rgb.dtype.newbyteorder("<"), copy=False).tobytes()
    ifd[TiffImagePlugin.IMAGEWIDTH] = width
    ifd[TiffImagePlugin.IMAGELENGTH] = height
    ifd[TiffImagePlugin.BITSPERSAMPLE] = (8 * rgb.dtype.itemsize,) * channels
    ifd[TiffImagePlugin.COMPRESSION] = 1
    ifd[TiffImagePlugin.PHOTOMETRIC_INTERPRETATION] = 2
    ifd[TiffImagePlugin.SAMPLESPERPIXEL] = channels
    ifd[TiffImagePlugin.PLANAR_CONFIGURATION] = 1
    ifd[TiffImagePlugin.ROWSPERSTRIP] = height
    ifd[TiffImagePlugin.STRIPBYTECOUNTS] = len(pixels)
    ifd[TiffImagePlugin.STRIPOFFSETS] = 0  # from the end of the directory, whose writer adds that
    ifd[TiffImagePlugin.ICCPROFILE] = srgb_profile()
    stream = io.BytesIO()
    ifd.save(stream)
    return stream.getvalue() + pixels

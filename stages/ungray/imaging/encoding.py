"""Colored photos as files: JPEG, PNG, WebP, TIFF."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterable
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, TiffImagePlugin

from ungray.errors import UngrayError
from ungray.imaging import photos
from ungray.imaging.exif import Metadata, as_bytes, with_types
from ungray.imaging.reading.profiles import srgb_profile
from ungray.imaging.reading.raster import to_8_bits

FORMATS = ("jpg", "png", "webp", "tif")
LONGEST = {"jpg": 65_500, "webp": 16_383}
"""The largest number of pixels of a side."""

TIFF_BYTES = 2**32 - 2**20
"""The largest size of a TIFF, with some room for directories."""

XMP_IN_JPEG = b"http://ns.adobe.com/xap/1.0/\0"
"""What XMP begins with in a JPEG; OpenCV does not add it."""


def encode(
    rgb: NDArray[Any],
    *,
    format: str,
    alpha: NDArray[Any] | None,
    metadata: Metadata,
    quality: int,
    halved: bool = False,
) -> bytes:
    """Return a colored photo as a file tagged sRGB; see :func:`ungray.imaging.photo_files.encode`.

    ``halved``: see :func:`ungray.imaging.photos.codec_options`.
    """
    if format not in FORMATS:
        raise UngrayError(f"the format {format} cannot be written; use {', '.join(FORMATS)}")
    height, width = rgb.shape[:2]
    if max(width, height) > LONGEST.get(format, max(width, height)):
        raise UngrayError(
            f"a photo of {width}x{height} cannot be written as {format}, whose sides have at most "
            f"{LONGEST[format]} pixels; use png or tif"
        )
    if format in LONGEST:  # which have 8 bits only
        rgb = with_bits(rgb, 8)
    if format == "tif":
        return tiff([(rgb, alpha, metadata)])
    if alpha is not None:
        alpha = with_bits(alpha, 8 * rgb.dtype.itemsize)
        rgb = _on_white(rgb, alpha) if format == "jpg" else np.dstack([rgb, alpha])
    carried = {cv2.IMAGE_METADATA_ICCP: srgb_profile()}
    if metadata.exif:
        carried[cv2.IMAGE_METADATA_EXIF] = metadata.exif.removeprefix(b"Exif\0\0")
    if metadata.xmp and format != "png":
        carried[cv2.IMAGE_METADATA_XMP] = XMP_IN_JPEG * (format == "jpg") + metadata.xmp
    # Not by Pillow: it writes no 16-bit color PNG, and holds Python's lock while it writes a JPEG.
    done, content = cv2.imencodeWithMetadata(
        f".{format}",
        cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR if rgb.shape[2] == 3 else cv2.COLOR_RGBA2BGRA),
        list(carried),
        [np.frombuffer(value, np.uint8) for value in carried.values()],
        photos.codec_options(format, quality, halved=halved),
    )
    if not done:
        raise UngrayError(f"a photo of {width}x{height} could not be written as {format}")
    written = content.tobytes()
    if format == "jpg" and metadata.dpi:
        return _jfif(written, metadata.dpi)
    return _png(written, metadata) if format == "png" else written


def with_bits(values: NDArray[Any], bits: int) -> NDArray[Any]:
    """Return levels, uint8 or uint16, converted to ``bits``, 8 or 16."""
    if 8 * values.dtype.itemsize == bits:
        return values
    if bits == 16:
        return np.multiply(values, 257, dtype=np.uint16)
    return to_8_bits(values)


def _on_white(rgb: NDArray[Any], alpha: NDArray[Any]) -> NDArray[Any]:
    image = Image.fromarray(rgb)
    image.paste("white", mask=Image.fromarray(255 - alpha))
    return np.asarray(image)


def _jfif(jpeg: bytes, dpi: tuple[float, float]) -> bytes:
    """Return a JPEG by OpenCV with a resolution in its first segment, JFIF."""
    across, down = (max(1, round(value)) for value in dpi)
    return jpeg[:13] + struct.pack(">B2H", 1, across, down) + jpeg[18:]


def _png(png: bytes, metadata: Metadata) -> bytes:
    """Return a PNG with a resolution and XMP after its header (OpenCV writes XMP without its end)."""
    chunks = b""
    if metadata.dpi:
        across, down = (max(1, round(value / 0.0254)) for value in metadata.dpi)
        chunks += _chunk(b"pHYs", struct.pack(">2IB", across, down, 1))
    if metadata.xmp:
        chunks += _chunk(b"iTXt", b"XML:com.adobe.xmp" + bytes(5) + metadata.xmp)
    return png[:33] + chunks + png[33:]


def _chunk(name: bytes, content: bytes) -> bytes:
    check = zlib.crc32(name + content)
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", check)


def tiff(pages: Iterable[tuple[NDArray[Any], NDArray[Any] | None, Metadata]]) -> bytes:
    """Return a TIFF of pages (colors, alpha, metadata), not compressed, tagged sRGB.

    Pillow writes only the directories, since it does not support 16-bit RGB.

    Raises:
        UngrayError: together they are larger than a TIFF can be.
    """
    stream = io.BytesIO()
    pointer = 0
    for rgb, alpha, metadata in pages:
        if alpha is not None:
            rgb = np.dstack([rgb, with_bits(alpha, 8 * rgb.dtype.itemsize)])
        if stream.tell() + rgb.nbytes > TIFF_BYTES:
            raise UngrayError("its pages are larger together than the 4 GB of a TIFF; color fewer")
        start = max(8, stream.tell() + stream.tell() % 2)
        stream.seek(start if stream.tell() else 0)
        directory = _directory(rgb, metadata)
        directory.save(stream)
        typed = with_types(stream.getbuffer()[start:].tobytes(), start)
        stream.seek(start)
        stream.write(typed)
        stream.write(rgb.astype(rgb.dtype.newbyteorder("<"), copy=False).tobytes())
        if pointer:
            stream.seek(pointer)
            stream.write(struct.pack("<I", start))
            stream.seek(0, io.SEEK_END)
        pointer = start + 2 + 12 * struct.unpack_from("<H", typed)[0]
    return stream.getvalue()


def _directory(rgb: NDArray[Any], metadata: Metadata) -> TiffImagePlugin.ImageFileDirectory_v2:
    """Return the directory of a page whose pixels follow it in one strip."""
    height, width, channels = rgb.shape
    ifd = TiffImagePlugin.ImageFileDirectory_v2(prefix=b"II")
    if metadata.exif:
        exif = Image.Exif()
        exif.load(metadata.exif)
        for tag in exif:
            inner = tag in TiffImagePlugin.TiffTags.TAGS_V2_GROUPS
            ifd[tag] = exif.get_ifd(tag) if inner else as_bytes(exif[tag])
    if metadata.xmp:
        ifd[TiffImagePlugin.XMP] = metadata.xmp
    if channels == 4:
        ifd[TiffImagePlugin.EXTRASAMPLES] = 2  # alpha, not multiplied into the colors
    ifd[TiffImagePlugin.IMAGEWIDTH] = width
    ifd[TiffImagePlugin.IMAGELENGTH] = height
    ifd[TiffImagePlugin.BITSPERSAMPLE] = (8 * rgb.dtype.itemsize,) * channels
    ifd[TiffImagePlugin.COMPRESSION] = 1
    ifd[TiffImagePlugin.PHOTOMETRIC_INTERPRETATION] = 2
    ifd[TiffImagePlugin.SAMPLESPERPIXEL] = channels
    ifd[TiffImagePlugin.PLANAR_CONFIGURATION] = 1
    ifd[TiffImagePlugin.ROWSPERSTRIP] = height
    ifd[TiffImagePlugin.STRIPBYTECOUNTS] = rgb.nbytes
    ifd[TiffImagePlugin.STRIPOFFSETS] = 0  # counted from the end of the directory; Pillow adds that
    ifd[TiffImagePlugin.ICCPROFILE] = srgb_profile()
    return ifd

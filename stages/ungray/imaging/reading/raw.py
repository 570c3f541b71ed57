"""Camera files (raw) by LibRaw, if its Python package is installed: ``pip install ungray[raw]``."""

from __future__ import annotations

import io
from typing import Any

from PIL import Image

from ungray.imaging.reading.formats import PhotoError, check_pixels
from ungray.imaging.reading.raster import Raster


def dimensions(content: bytes) -> tuple[int, int]:
    """Return width and height in pixels of the upright photo.

    Raises:
        PhotoError: rawpy is not installed, or the file is damaged.
    """
    with _opened(content) as file:
        sizes = file.sizes
        return (sizes.height, sizes.width) if sizes.flip in (5, 6) else (sizes.width, sizes.height)


def decode(content: bytes) -> Raster:
    """Return the photo in a camera file, upright, in 16-bit sRGB, with the camera's white balance.

    Raises:
        PhotoError: rawpy is not installed, or the file is damaged or has too many pixels.
    """
    with _opened(content) as file:
        import rawpy

        check_pixels(file.sizes.width, file.sizes.height)
        try:
            colors = file.postprocess(
                output_bps=16, use_camera_wb=True, output_color=rawpy.ColorSpace.sRGB, no_auto_bright=False
            )
        except rawpy.LibRawError as error:
            raise PhotoError(f"damaged: {_line(error)}") from None
    return Raster(format="RAW", mode="RGB", colors=colors, exif=_exif(content))


def _exif(content: bytes) -> Image.Exif:
    """Return the EXIF data of a camera file that is a TIFF."""
    exif = Image.Exif()
    try:
        exif.load(content)
    except Exception:  # damaged EXIF data raises anything
        return Image.Exif()
    return exif


def _opened(content: bytes) -> Any:
    try:
        import rawpy
    except ModuleNotFoundError:
        raise PhotoError("a camera's raw file; `pip install ungray[raw]` reads it") from None
    try:
        return rawpy.imread(io.BytesIO(content))
    except rawpy.LibRawError as error:
        raise PhotoError(f"a camera's raw file that is damaged or not known: {_line(error)}") from None


def _line(error: Exception) -> str:
    words = error.args[0] if error.args else type(error).__name__
    return (words.decode(errors="replace") if isinstance(words, bytes) else str(words)).splitlines()[0]

"""What the page does with photos: check, colour small for showing, colour whole for downloading."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import PurePath

import cv2
import numpy as np
from numpy.typing import NDArray

from stages import photos
from stages.colorize import files
from stages.colorize.api import Colorizer, Prediction

SHOWN_SIDE = 1280
"""The long side in pixels of what is shown; a download has the photo's own size."""

LARGE = 12_000_000
"""Pixels; photos of more are worked on one at a time, since each takes some hundred MB."""

AS_IT_CAME = "as it came"
FORMATS = {AS_IT_CAME: "", "JPEG": "jpg", "PNG": "png", "WebP": "webp", "TIFF": "tif"}
"""What the page offers to download, and the format of :func:`stages.colorize.files.encode`."""

_large = threading.Lock()


def check(content: bytes, *, max_pixels: int) -> tuple[str, int, int]:
    """Return format, width and height of a photo, from its header.

    Raises:
        PhotoError: no photo, or one of more than ``max_pixels``.
    """
    if not content:
        raise photos.PhotoError("the file is empty")
    name, width, height = photos.probe(content)
    if width * height > max_pixels:
        raise photos.PhotoError(
            f"{width}x{height} pixels are too many; this page takes {max_pixels / 1e6:g} megapixels"
        )
    return name, width, height


def predict_shown(content: bytes, model: Colorizer) -> Prediction:
    """Return the colours of a copy of the photo small enough to show.

    Raises:
        PhotoError: it cannot be read.
    """
    with _room_for(content):
        rgb = photos.read_rgb(content)
        scale = SHOWN_SIDE / max(rgb.shape[:2])
        if scale < 1:
            rgb = cv2.resize(rgb, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA).astype(np.uint8)
    return model.predict(rgb)


def color_whole(
    content: bytes, model: Colorizer, *, format: str, saturation: float, vivid: bool
) -> tuple[bytes, str, NDArray[np.uint8]]:
    """Colour a photo at its own size.

    Args:
        content: the photo's file.
        model: what colours it.
        format: a key of :data:`FORMATS`.
        saturation: what the predicted colour is multiplied by.
        vivid: whether to take the vivid colours.

    Returns:
        The coloured photo's file with the metadata of ``content``, its extension, and a copy to show.

    Raises:
        PhotoError: the photo cannot be read, or is too large for the format.
    """
    with _room_for(content):
        photo = files.read(content)
        rgb = model.predict(photo).render(saturation=saturation, vivid=vivid)
        extension = FORMATS[format] or _own_format(content)
        encoded = files.encode(photo, rgb, format=extension)
        eight = (rgb >> 8).astype(np.uint8) if rgb.dtype == np.uint16 else rgb
        scale = min(1.0, SHOWN_SIDE / max(eight.shape[:2]))
        shown = cv2.resize(eight, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return encoded, extension, shown.astype(np.uint8)


def picture(rgb: NDArray[np.uint8] | NDArray[np.uint16]) -> bytes:
    """Return what is shown in the browser: WebP of 8-bit RGB (height, width, 3)."""
    eight = (rgb >> 8).astype(np.uint8) if rgb.dtype == np.uint16 else rgb
    return photos.encode_rgb(eight.astype(np.uint8), suffix=".webp", quality=90)


def coloured_name(name: str, extension: str) -> str:
    """Return the file name of a coloured photo, such as ``aunt-coloured.jpg``."""
    return f"{PurePath(name).stem or 'photo'}-coloured.{extension}"


def _own_format(content: bytes) -> str:
    own = photos.FORMATS[photos.probe(content)[0]]
    return own if own in FORMATS.values() else "png"


@contextmanager
def _room_for(content: bytes) -> Iterator[None]:
    _, width, height = photos.probe(content)
    if width * height <= LARGE:
        yield
        return
    with _large:
        yield

"""How the page colors photos: a small copy to display, the full size to download."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import PurePath
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ungray.colorizer import Colorizer, Prediction
from ungray.imaging import decoding, encoding, photo_files, photos

SHOWN_SIDE = 1280
"""The long side of the displayed copy in pixels; a download has the photo's own size."""

LARGE = 12_000_000
"""Photos of more pixels than this are processed one at a time, since each needs some hundred MB."""

AS_IT_CAME = "as it came"
FORMATS = {AS_IT_CAME: "", "JPEG": "jpg", "PNG": "png", "WebP": "webp", "TIFF": "tif"}
"""The formats to download, and their names in :func:`ungray.imaging.photo_files.encode`."""

_large = threading.Lock()


def check(content: bytes, *, max_pixels: int) -> tuple[str, int, int]:
    """Return format, width and height of a photo, from its header.

    Raises:
        PhotoError: it is no photo, or has more than ``max_pixels``.
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
    """Return the colors of a copy of the photo that is small enough to display.

    Raises:
        PhotoError: it cannot be read.
    """
    with _room_for(content):
        small = _small(decoding.limited(photo_files.read, content))
    return model.predict(small)


def color_whole(
    content: bytes, model: Colorizer, *, format: str, saturation: float, vivid: bool
) -> tuple[bytes, str, bytes]:
    """Color a photo at its own size.

    Args:
        content: the photo's file.
        model: the model.
        format: a key of :data:`FORMATS`.
        saturation: the factor of the predicted chroma.
        vivid: whether to use the vivid colors.

    Returns:
        The colored photo's file with the metadata of ``content``, its extension, and :func:`picture` of it.

    Raises:
        PhotoError: the photo cannot be read, or is too large for the format.
    """
    with _room_for(content):
        photo = decoding.limited(photo_files.read, content)
        rgb = model.predict(photo).render(saturation=saturation, vivid=vivid)
        extension = FORMATS[format] or _own_format(content)
        encoded = photo_files.encode(photo, rgb, format=extension)
        shown = picture(_small(photo), _shrunk(rgb))
    return encoded, extension, shown


def picture(photo: photo_files.Photo, rgb: NDArray[Any]) -> bytes:
    """Return the JPEG to display in the browser, encoded as a download would be: transparency becomes white.

    ``photo`` is small, as that of :func:`predict_shown`; ``rgb`` is uint8 or uint16 (height, width, 3).
    """
    return photo_files.encode(photo, rgb, format="jpg", quality=90)


def colored_name(name: str, extension: str) -> str:
    """Return the file name of a colored photo, such as ``aunt-colored.jpg``."""
    return f"{PurePath(name).stem or 'photo'}-colored.{extension}"


def _small(photo: photo_files.Photo) -> photo_files.Photo:
    """Return a copy small enough to display: gray levels and alpha, no metadata."""
    gray = _shrunk(photo.gray)
    if photo.alpha is None:
        return photo_files.from_array(gray)
    return photo_files.from_array(np.dstack([gray, _shrunk(encoding.with_bits(photo.alpha, 16))]))


def _shrunk(pixels: NDArray[Any]) -> NDArray[Any]:
    """Return pixels, (height, width) or with channels, with sides of 1 to :data:`SHOWN_SIDE`."""
    height, width = pixels.shape[:2]
    scale = SHOWN_SIDE / max(height, width)
    if scale >= 1:
        return pixels
    # Given a factor, OpenCV would round the short side of a very thin photo to 0 and fail.
    size = [max(1, round(side * scale)) for side in (width, height)]
    return cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)


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

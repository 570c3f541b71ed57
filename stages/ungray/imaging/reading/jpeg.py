"""JPEG by simplejpeg, which reports when libjpeg fills in gray for data that are missing or damaged."""

from __future__ import annotations

import numpy as np
import simplejpeg
from numpy.typing import NDArray

from ungray.imaging.reading.formats import PhotoError

END = b"\xff\xd9"
"""Its last two bytes, which some files lack although all of their pixels are present."""


def pixels(content: bytes, colors: str) -> NDArray[np.uint8]:
    """Return the pixels of a JPEG, ``colors`` RGB (height, width, 3) or GRAY (height, width).

    Raises:
        PhotoError: pixels are missing or damaged.
        ValueError: it is not a JPEG, or of a kind that libjpeg does not know.
    """
    found = _decoded(content, colors)
    return found[..., 0] if colors == "GRAY" else found


def check(content: bytes) -> None:
    """Decode a JPEG to its end, but at an eighth of its size, which takes less time and memory.

    Raises:
        PhotoError: pixels are missing or damaged.
    """
    try:
        _decoded(content, "GRAY", min_factor=8, min_height=1, min_width=1)
    except ValueError as error:
        raise PhotoError(f"damaged: {error}") from None


def _decoded(content: bytes, colors: str, **options: int) -> NDArray[np.uint8]:
    content += END
    try:
        return simplejpeg.decode_jpeg(content, colors, strict=True, **options)
    except ValueError as error:
        if is_damage(str(error)):
            raise PhotoError(f"damaged: {error}") from None
        # An irregular header, or extra bytes between the parts: all pixels are present.
        return simplejpeg.decode_jpeg(content, colors, strict=False, **options)


def is_damage(said: str) -> bool:
    """Return whether a warning of libjpeg (jerror.h), which has no code, means missing or wrong pixels."""
    return said.startswith("Premature end") or (
        said.startswith("Corrupt JPEG data") and "extraneous bytes" not in said
    )

"""JPEG by simplejpeg, which tells when libjpeg drew gray in the place of data that are missing or damaged."""

from __future__ import annotations

import numpy as np
import simplejpeg
from numpy.typing import NDArray

from ungray.imaging.reading.formats import PhotoError

END = b"\xff\xd9"
"""Its last two bytes, which some files lack though all of their pixels are there."""


def pixels(content: bytes, colors: str) -> NDArray[np.uint8]:
    """Return the pixels of a JPEG, ``colors`` RGB (height, width, 3) or GRAY (height, width).

    Raises:
        PhotoError: pixels are missing or damaged.
        ValueError: no JPEG, or of a kind that libjpeg does not know.
    """
    found = _decoded(content, colors)
    return found[..., 0] if colors == "GRAY" else found


def check(content: bytes) -> None:
    """Read a JPEG to its end, but draw it at an eighth of its size: quicker and smaller.

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
        # A header that is not as it should be, or bytes between the parts: all pixels are there.
        return simplejpeg.decode_jpeg(content, colors, strict=False, **options)


def is_damage(said: str) -> bool:
    """Say whether a warning of libjpeg (jerror.h) means that pixels are missing or wrong; it has no codes."""
    return said.startswith("Premature end") or (
        said.startswith("Corrupt JPEG data") and "extraneous bytes" not in said
    )

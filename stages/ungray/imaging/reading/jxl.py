"""JPEG XL: pixels of any depth by imagecodecs, profile and EXIF data by pillow-jxl."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from PIL import Image

from ungray.imaging.reading.boxes import boxes
from ungray.imaging.reading.formats import PhotoError, check_pixels
from ungray.imaging.reading.raster import Raster, exif_and_orientation, upright

MARK = b"\xff\x0a"

RATIOS = (None, (1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))
"""Width to height, by the number that a header may have instead of a width (ISO/IEC 18181-1)."""


def dimensions(content: bytes) -> tuple[int, int]:
    """Return width and height in pixels, from the first bytes of the code stream.

    Raises:
        PhotoError: the bytes do not have them.
    """
    return _size(_Bits(_stream(content)))


def is_animation(content: bytes) -> bool:
    """Return whether the header says that further pictures follow the first one.

    Raises:
        PhotoError: the bytes do not have a header.
    """
    bits = _Bits(_stream(content))
    _size(bits)
    if bits.take(1) or not bits.take(1):  # all as usual, or none of the rarer fields
        return False
    bits.take(3)  # orientation
    if bits.take(1):
        _size(bits)  # at which it shall be shown
    if bits.take(1):
        _preview_size(bits)
    return bool(bits.take(1))


def _size(bits: _Bits) -> tuple[int, int]:
    """Return width and height."""
    small = bits.take(1)

    def side() -> int:
        return 8 * (bits.take(5) + 1) if small else 1 + bits.take((9, 13, 18, 30)[bits.take(2)])

    height = side()
    ratio = RATIOS[bits.take(3)]
    return height * ratio[0] // ratio[1] if ratio else side(), height


def _preview_size(bits: _Bits) -> None:
    in_eights = bits.take(1)

    def side() -> None:
        kind = bits.take(2)
        bits.take((0, 0, 5, 9)[kind] if in_eights else (6, 8, 10, 12)[kind])

    side()
    if not bits.take(3):
        side()


def decode(content: bytes) -> Raster:
    """Return the photo in a file, the first picture of an animation.

    Raises:
        PhotoError: it has too many pixels, or is damaged.
        Exception: any kind of the decoders, for damaged data.
    """
    import imagecodecs
    import pillow_jxl  # noqa: F401 - it makes itself known to Pillow

    check_pixels(*dimensions(content))
    found = imagecodecs.jpegxl_decode(content, index=0)
    if found.dtype.kind == "f":
        found = (np.nan_to_num(found).clip(0, 1) * 65535 + 0.5).astype(np.uint16)
    found = found[..., None] if found.ndim == 2 else found
    channels = 3 if found.shape[2] > 2 else 1
    with Image.open(io.BytesIO(content), formats=["JXL"]) as image:
        exif, orientation = exif_and_orientation(image)
        profile = image.info.get("icc_profile")
        if not getattr(image, "jpeg", False):
            orientation = 1  # its decoder sets it upright
    colors: Any = found[..., :3] if channels == 3 else found[..., 0]
    alpha = found[..., channels] if found.shape[2] > channels else None
    return Raster(
        format="JXL",
        mode="RGB" if channels == 3 else "L",
        colors=upright(colors, orientation),
        alpha=upright(alpha, orientation),
        profile=profile,
        exif=exif,
        turned=orientation > 4,
        pictures=2 if is_animation(content) else 1,
    )


def _stream(content: bytes) -> bytes:
    """Return the beginning of the code stream, after its mark of two bytes."""
    start = content if content[:2] == MARK else b""
    for kind, inside in () if start else boxes(content):
        if kind in (b"jxlc", b"jxlp"):
            start = inside[4 if kind == b"jxlp" else 0 :]
            break
    if start[:2] != MARK:
        raise PhotoError("damaged: a JPEG XL without a code stream")
    return start[2:32]


class _Bits:
    """Reads numbers from bytes, the lowest bit first."""

    def __init__(self, content: bytes) -> None:
        self.left = int.from_bytes(content, "little")
        self.count = 8 * len(content)

    def take(self, count: int) -> int:
        """Return the number in the next ``count`` bits; raises PhotoError past the end."""
        self.count -= count
        if self.count < 0:
            raise PhotoError("damaged: a JPEG XL without a header")
        self.left, value = self.left >> count, self.left & ((1 << count) - 1)
        return value

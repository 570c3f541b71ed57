"""Converts colors of any ICC profile to sRGB, in 8 bits by Pillow's Little CMS, in 16 by imagecodecs'."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

from ungray.imaging.reading.raster import to_8_bits

BAND = 1 << 18
"""16-bit pixels processed at once."""

SRGB_PRIMARIES = (0.3127, 0.329, 0.64, 0.33, 0.3, 0.6, 0.15, 0.06)
"""x and y of white, red, green and blue."""


@lru_cache(maxsize=1)
def srgb_profile() -> bytes:
    """Return an ICC profile of sRGB, the same bytes every time."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    profile[24:36] = struct.pack(">6H", 2000, 1, 1, 0, 0, 0)  # the date and time at which it was made
    return bytes(profile)


@lru_cache(maxsize=8)
def of_gamma(gamma: float, primaries: tuple[float, ...] | None, *, gray: bool) -> bytes | None:
    """Return an ICC profile of a photo whose levels are its light to the power of ``gamma``.

    Args:
        gamma: as a PNG's gAMA chunk has it, such as 0.45455; 1 is linear light.
        primaries: as its cHRM chunk has them, see :data:`SRGB_PRIMARIES`; None: those of sRGB.
        gray: whether the photo has one channel.

    Returns:
        None if the levels are close to those of sRGB, or if no display could have these numbers.
    """
    import imagecodecs

    usual = primaries is None or np.allclose(primaries, SRGB_PRIMARIES, atol=0.005)
    if not 0.1 <= gamma <= 10 or (abs(gamma * 2.2 - 1) < 0.01 and (usual or gray)):
        return None
    try:
        if gray:
            return imagecodecs.cms_profile("gray", gamma=1 / gamma)
        white, *colors = np.reshape(SRGB_PRIMARIES if primaries is None else primaries, (4, 2)).tolist()
        return imagecodecs.cms_profile(
            "rgb",
            whitepoint=(*white, 1.0),
            primaries=[number for color in colors for number in (*color, 1.0)],
            gamma=1 / gamma,
        )
    except (imagecodecs.CmsError, ValueError):  # the numbers give no color space
        return None


def to_srgb_image(image: Image.Image, profile: bytes | None) -> Image.Image:
    """Return ``image`` (mode L, RGB, CMYK or LAB) in mode RGB, its colors converted to sRGB."""
    if profile and image.mode == "L":
        return image.point(_tones(profile)).convert("RGB")
    if profile and image.mode != "LAB":
        convert = _to_srgb_from(profile, image.mode)
        if convert is not None:
            return convert.apply(image)
    return image if image.mode == "RGB" else image.convert("RGB")


def to_srgb_deep(colors: NDArray[np.uint16], profile: bytes | None) -> NDArray[np.uint16]:
    """Return 16-bit gray (height, width) or RGB (height, width, 3) converted to sRGB.

    Colors stay as they are if the profile is damaged or for another kind of photo. Gray stays gray.
    """
    kind = {b"GRAY": "gray", b"RGB ": "rgb"}.get(profile[16:20]) if profile else None
    gray = colors.ndim == 2
    if profile is None or kind is None or (kind == "gray" and not gray):
        return colors
    import imagecodecs

    try:
        if gray:
            tones = np.arange(65536, dtype=np.uint16)[None]
            if kind == "rgb":  # that profile's tones, in three equal channels
                tones = np.repeat(tones[..., None], 3, axis=2)
            return _converted(tones, profile, kind)[0, :, 1][colors]
        with ThreadPoolExecutor(cv2.getNumThreads()) as pool:
            bands = (colors[rows] for rows in _bands(colors))
            return np.concatenate(list(pool.map(lambda band: _converted(band, profile, kind), bands)))
    except imagecodecs.CmsError:
        return colors


def lab_to_srgb(lab: NDArray[np.float32], *, dtype: Any) -> NDArray[Any]:
    """Return CIE Lab under D50 (height, width, 3), L in 0..100, as sRGB of ``dtype``, uint8 or uint16."""
    import imagecodecs

    def converted(rows: slice) -> NDArray[Any]:
        return imagecodecs.cms_transform(
            lab[rows], _lab_profile(), srgb_profile(), colorspace="lab", outcolorspace="rgb", outdtype=dtype
        )

    return np.concatenate([converted(rows) for rows in _bands(lab)])


@lru_cache(maxsize=8)
def _tones(profile: bytes) -> list[int]:
    """Return the sRGB levels of the 256 gray tones of a profile; the same tones if they are close enough."""
    tones = np.arange(256)
    found = to_8_bits(to_srgb_deep((tones * 257).astype(np.uint16)[None], profile))[0]
    return (found if np.abs(found - tones).max() > 1 else tones).tolist()


@lru_cache(maxsize=1)
def _lab_profile() -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()


def _converted(pixels: NDArray[np.uint16], profile: bytes, kind: str) -> NDArray[np.uint16]:
    """Return pixels, ``kind`` gray or rgb, in sRGB, by Little CMS; Pillow supports it for 8 bits only."""
    import imagecodecs

    return imagecodecs.cms_transform(
        np.ascontiguousarray(pixels),
        profile,
        srgb_profile(),
        colorspace=kind,
        outcolorspace="rgb",
        flags=imagecodecs.CMS.FLAGS.NOOPTIMIZE,  # its tables are off by ten 8-bit levels in shadows
    )


def _bands(pixels: NDArray[Any]) -> Iterator[slice]:
    rows = max(1, BAND // pixels.shape[1])
    return (slice(top, top + rows) for top in range(0, len(pixels), rows))


@lru_cache(maxsize=8)
def _to_srgb_from(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """Return the transform of photos of ``mode`` (L, RGB or CMYK) with this ICC profile to sRGB.

    None if nothing is to be converted: the profile is sRGB within one level (as most are; conversion costs
    four times as much as decoding), is damaged, or is for another kind of photo.
    """
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        srgb = ImageCms.createProfile("sRGB")
        convert = ImageCms.buildTransform(source, srgb, mode, "RGB")
        colors = Image.fromarray(_COLORS).convert(mode)
        change = np.asarray(convert.apply(colors)).astype(int) - np.asarray(colors.convert("RGB"))
    except (ImageCms.PyCMSError, OSError):
        return None
    return convert if np.abs(change).max() > 1 else None


_COLORS = np.stack(np.meshgrid(*[np.arange(0, 256, 15)] * 3), axis=-1).reshape(18, -1, 3).astype(np.uint8)
"""Colors from all over sRGB, by which a profile is recognized as sRGB."""

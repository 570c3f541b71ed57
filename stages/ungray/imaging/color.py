"""Color on arrays: sRGB <-> CIE Lab (D65), chroma, gray photos.

Lab has L in 0..100 and a, b in about -128..127. Conversions are OpenCV's in float32 (its 8-bit Lab is off by
up to 24 levels after a round trip, its float32 Lab by at most 1).
"""

from __future__ import annotations

from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

Rgb = NDArray[np.uint8]
"""A photo: sRGB, (height, width, 3)."""

Float = NDArray[np.float32]

OUTSIDE = 2.5
"""How much a color changes, in Lab units, when a color outside sRGB is clipped: more than by rounding."""

RGB_TO_XYZ = np.array(
    [[0.412453, 0.357580, 0.180423], [0.212671, 0.715160, 0.072169], [0.019334, 0.119193, 0.950227]]
)
XYZ_TO_RGB = np.linalg.inv(RGB_TO_XYZ)
WHITE = RGB_TO_XYZ.sum(axis=1)
"""The white point D65, 2 degrees."""


class PredictAb(Protocol):
    """A network: takes lightness (batch, 1, height, width), returns ab (batch, 2, height, width).

    All float32 and in Lab units. Hints, if any, are (batch, 3, height, width): a, b, and how much they are
    trusted, in 0..1.
    """

    def __call__(self, lightness: Float, hints: Float | None = None, /) -> Float:
        """Predict."""


class ExtractFeatures(Protocol):
    """The encoder of a network: lightness (batch, 1, height, width) in, features out.

    Those are (batch, channels, height / step, width / step); all float32.
    """

    def __call__(self, lightness: Float, /) -> Float:
        """Extract."""


def rgb_to_lab(rgb: Rgb) -> Float:
    """Convert uint8 sRGB of shape (height, width, 3) to float32 Lab of the same shape."""
    return _convert(np.divide(rgb, 255, dtype=np.float32), cv2.COLOR_RGB2Lab)


def lab_to_rgb(lab: Float) -> Rgb:
    """Convert float32 Lab of shape (height, width, 3) to uint8 sRGB; colors out of gamut are clipped."""
    return (_convert(lab, cv2.COLOR_Lab2RGB).clip(0, 1) * 255 + 0.5).astype(np.uint8)


def hex_color(lightness: float, ab: Float) -> str:
    """Return a color as "#rrggbb": where it is outside sRGB, its chroma is reduced, its lightness and hue
    kept.

    ``lightness`` is in 0..100, ``ab`` is float32 (2,), Lab units.
    """
    scales = np.linspace(1, 0, 51, dtype=np.float32)
    colors = np.stack([np.full_like(scales, lightness), *(np.outer(ab, scales))], axis=-1)[None]
    levels = lab_to_rgb(colors)
    within = np.abs(rgb_to_lab(levels) - colors).max(axis=-1)[0] < OUTSIDE
    return "#" + "".join(f"{level:02x}" for level in levels[0, int(within.argmax())])


def chroma(lab: Float) -> Float:
    """Return the distance from gray, sqrt(a^2 + b^2), of Lab (..., 3) as (...)."""
    return np.hypot(lab[..., 1], lab[..., 2])


def _convert(pixels: Float, code: int) -> Float:
    return np.asarray(cv2.cvtColor(pixels, code), dtype=np.float32)

"""Colour on arrays: sRGB <-> CIE Lab (D65), chroma, the sRGB gamut, and putting predicted colour on a photo.

Lab has L in 0..100 and a, b in about -128..127. Conversions are OpenCV's in float32 (its 8-bit Lab is off by
up to 24 levels after a round trip, its float32 Lab by at most 1).
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

Rgb = NDArray[np.uint8]
Float = NDArray[np.float32]

RGB_TO_XYZ = np.array(
    [[0.412453, 0.357580, 0.180423], [0.212671, 0.715160, 0.072169], [0.019334, 0.119193, 0.950227]]
)
XYZ_TO_RGB = np.linalg.inv(RGB_TO_XYZ)
WHITE = np.array([0.95047, 1.0, 1.08883])
"""The white point D65, 2 degrees."""

PredictAb = Callable[[Float], Float]
"""Takes lightness (height, width), returns ab (height, width, 2), both in Lab units."""


def rgb_to_lab(rgb: Rgb) -> Float:
    """Convert uint8 sRGB of shape (height, width, 3) to float32 Lab of the same shape."""
    return _convert(np.divide(rgb, 255, dtype=np.float32), cv2.COLOR_RGB2Lab)


def lab_to_rgb(lab: Float) -> Rgb:
    """Convert float32 Lab of shape (height, width, 3) to uint8 sRGB; outside the gamut it is clipped."""
    rgb = _convert(lab, cv2.COLOR_Lab2RGB)
    return (rgb.clip(0, 1) * 255 + 0.5).astype(np.uint8)


def chroma(lab: Float) -> Float:
    """Return the distance from gray, sqrt(a^2 + b^2), of Lab (..., 3) as (...)."""
    return np.hypot(lab[..., 1], lab[..., 2])


def gray_photo(lightness: Float) -> Rgb:
    """Return the gray photo, uint8 RGB, of a lightness (height, width) in 0..100."""
    return lab_to_rgb(np.dstack([lightness, np.zeros_like(lightness), np.zeros_like(lightness)]))


def reduce_to_gamut(lab: Float, *, steps: int = 8) -> Float:
    """Return ``lab`` with the chroma of pixels outside the sRGB gamut reduced until they fit.

    Clipping RGB would change the lightness; here lightness and hue angle stay, and chroma is found by
    bisection to 1/2^steps of its value.
    """
    # OpenCV clips on the way to RGB, which shows as another colour on the way back. So does its rounding, so
    # what differs is looked at closely.
    back = _convert(_convert(lab, cv2.COLOR_Lab2RGB), cv2.COLOR_RGB2Lab)
    suspect = (np.abs(back - lab) > (0.1, 0.3, 0.3)).any(axis=-1)
    if not suspect.any():
        return lab
    lightness, ab = np.split(lab[suspect].astype(np.float64), [1], axis=-1)
    low, high = np.zeros_like(lightness), np.ones_like(lightness)
    low[_in_gamut(lightness, ab)] = 1
    for _ in range(steps):
        middle = (low + high) / 2
        fits = _in_gamut(lightness, ab * middle)[:, None]
        low, high = np.where(fits, middle, low), np.where(fits, high, middle)
    reduced = lab.copy()
    reduced[suspect, 1:] = ab * low
    return reduced


def recolor(lightness: Float, predict_ab: PredictAb, *, short_side: int, multiple: int) -> Rgb:
    """Colour a photo: predict on a small copy, bring the colour up, keep the lightness at full resolution.

    Args:
        lightness: float32 (height, width) in 0..100.
        predict_ab: the network, called once on the small copy.
        short_side: short side in pixels of the small copy; a smaller photo is brought up to it.
        multiple: both sides of the small copy are made multiples of this.

    Returns:
        uint8 sRGB (height, width, 3).
    """
    height, width = lightness.shape
    small = cv2.resize(
        lightness,
        small_size(width, height, short_side=short_side, multiple=multiple),
        interpolation=cv2.INTER_AREA if min(height, width) > short_side else cv2.INTER_CUBIC,
    )
    small_ab = predict_ab(np.asarray(small, dtype=np.float32))
    ab = cv2.resize(small_ab, (width, height), interpolation=cv2.INTER_LINEAR)
    return lab_to_rgb(reduce_to_gamut(np.dstack([lightness, ab.astype(np.float32)])))


def small_size(width: int, height: int, *, short_side: int, multiple: int) -> tuple[int, int]:
    """Return width and height of the small copy: ``short_side`` scaled, long side at most four times that."""
    scale = short_side / min(width, height)
    sides = (min(side * scale, 4 * short_side) for side in (width, height))
    small_width, small_height = (max(multiple, round(side / multiple) * multiple) for side in sides)
    return small_width, small_height


def _convert(pixels: Float, code: int) -> Float:
    return np.asarray(cv2.cvtColor(pixels, code), dtype=np.float32)


def _in_gamut(lightness: NDArray[np.float64], ab: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Say which colours, lightness (pixels, 1) and ab (pixels, 2), sRGB shows to half an 8-bit level.

    Formulas and constants of CIE 15 and IEC 61966-2-1.
    """
    y = (lightness + 16) / 116
    scaled = np.hstack([y + ab[:, :1] / 500, y, y - ab[:, 1:] / 200])
    linear = np.where(scaled > 6 / 29, scaled**3, (scaled - 16 / 116) / 7.787) * WHITE @ XYZ_TO_RGB.T
    bright = 1.055 * np.maximum(linear, 0.0031308) ** (1 / 2.4) - 0.055
    rgb = np.where(linear > 0.0031308, bright, 12.92 * linear)
    return (np.abs(rgb - 0.5) <= 0.5 + 0.5 / 255).all(axis=-1)

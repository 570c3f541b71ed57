"""Colour on arrays: sRGB <-> CIE Lab (D65), chroma, the sRGB gamut, and putting predicted colour on a photo.

Lab has L in 0..100 and a, b in about -128..127. Conversions are OpenCV's in float32 (its 8-bit Lab is off by
up to 24 levels after a round trip, its float32 Lab by at most 1).
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Rgb = NDArray[np.uint8]
Float = NDArray[np.float32]
Gray = NDArray[np.uint16]
"""A gray photo: levels of the sRGB curve, 0..65535."""

RGB_TO_XYZ = np.array(
    [[0.412453, 0.357580, 0.180423], [0.212671, 0.715160, 0.072169], [0.019334, 0.119193, 0.950227]]
)
XYZ_TO_RGB = np.linalg.inv(RGB_TO_XYZ)
WHITE = RGB_TO_XYZ.sum(axis=1)
"""The white point D65, 2 degrees."""

KNEE = 6 / 29
"""Lab's f is the cube root above this, a line below."""

GRAY_AND_CHANGE = np.column_stack([np.ones(3), XYZ_TO_RGB[:, [0, 2]] * WHITE[[0, 2]]]).astype(np.float32)
"""Linear RGB of (Y, X/Xn - Y, Z/Zn - Y): what is no gray is added to it, so that gray is gray exactly."""

TOP = 65535
_levels = np.arange(TOP + 1) / TOP
LINEAR = np.where(_levels > 0.04045, ((_levels + 0.055) / 1.055) ** 2.4, _levels / 12.92).astype(np.float32)
"""Linear light in 0..1 of 16-bit levels (IEC 61966-2-1); every 257th is that of an 8-bit level."""

F_OF_GRAY = np.where(LINEAR > KNEE**3, np.cbrt(LINEAR), (LINEAR - KNEE**3) / (3 * KNEE**2) + KNEE)
"""Lab's f(Y), float32, of 16-bit gray levels."""

_roots = _levels**2
_encoded = np.where(_roots > 0.0031308, 1.055 * _roots ** (1 / 2.4) - 0.055, 12.92 * _roots)
ENCODED = {8: (255 * _encoded + 0.5).astype(np.uint8), 16: (TOP * _encoded + 0.5).astype(np.uint16)}
"""Levels by bits, each a table over the root of linear light; see :func:`_root`."""

STEPS = 8
STRIP = 1 << 15
"""Pixels worked on at once: what is held of them fits a core's cache."""

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


def reduce_to_gamut(lab: Float) -> Float:
    """Return ``lab`` with the chroma of pixels outside the sRGB gamut reduced until they fit.

    Clipping RGB would change the lightness; here lightness and hue angle stay.
    """
    fy = (lab[..., 0] + 16) / 116
    # Half a level of 8 bits beyond the gamut is rounding, of the colours and of OpenCV's Lab.
    low, high = -0.5 / 255 / 12.92, 1 + 0.5 / 255 * 2.4 / 1.055
    factor = _fitting(fy, fy + lab[..., 1] / 500, fy - lab[..., 2] / 200, low=low, high=high)
    return np.dstack([lab[..., 0], lab[..., 1:] * factor[..., None]])


def gray_levels(rgb: NDArray[np.uint8] | NDArray[np.uint16]) -> Gray:
    """Return the gray photo of the same lightness, as levels of the sRGB curve in 0..65535.

    Args:
        rgb: uint8 or uint16 sRGB (height, width, 3), or gray levels (height, width).

    Returns:
        uint16 (height, width). Eight bits are too few: lightness would be rounded twice.
    """
    if rgb.ndim == 2:
        return rgb if rgb.dtype == np.uint16 else np.multiply(rgb, 257, dtype=np.uint16)
    gray = np.empty(rgb.shape[:2], np.uint16)
    decoded = LINEAR[::257] if rgb.dtype == np.uint8 else LINEAR
    weights = RGB_TO_XYZ[1:2].astype(np.float32)

    def fill(rows: slice) -> None:
        linear = cv2.LUT(np.ascontiguousarray(rgb[rows]), decoded)
        gray[rows] = cv2.LUT(_root(cv2.transform(linear, weights)), ENCODED[16])

    _in_strips(fill, gray.shape[0], gray.shape[1])
    return gray


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
    f = (np.clip(lightness, 0, 100) + np.float32(16)) / np.float32(116)
    gray = cv2.LUT(_root(_cubed(f)), ENCODED[16])
    small = small_copy(gray, short_side=short_side, multiple=multiple)
    return paint(gray, along_edges(small, predict_ab(small)))


def small_copy(gray: Gray, *, short_side: int, multiple: int) -> Float:
    """Return the lightness, float32 in 0..100, of a small copy of ``gray``; see :func:`small_size`."""
    height, width = gray.shape
    small = cv2.resize(
        gray,
        small_size(width, height, short_side=short_side, multiple=multiple),
        interpolation=cv2.INTER_AREA if min(height, width) > short_side else cv2.INTER_CUBIC,
    )
    return 116 * cv2.LUT(small, F_OF_GRAY) - 16


def along_edges(lightness: Float, ab: Float, *, radius: int = 2, flat: float = 4) -> Float:
    """Return ab as a line in lightness around each pixel, so that it can be brought up along edges.

    A fast guided filter (He and Sun, 2015): in every window of 2 ``radius`` + 1 pixels ab is fitted as slope
    times lightness plus offset, and the fits that a pixel takes part in are averaged. Where the variance of
    lightness in a window is well below ``flat``, its ab is just averaged.

    Args:
        lightness: of the small copy, float32 (height, width) in 0..100.
        ab: the network's answer for it, float32 (height, width, 2), Lab units.

    Returns:
        float32 (height, width, 4): slopes of a and b, offsets of a and b.
    """

    def mean(values: Float) -> Float:
        return cv2.blur(values, (2 * radius + 1,) * 2, borderType=cv2.BORDER_REFLECT)  # type: ignore[return-value]

    ab = np.asarray(ab, np.float32)
    centred = lightness - np.float32(50)  # keeps the squares small, and with them their rounding
    mean_l, mean_ab = mean(centred), mean(ab)
    variance = mean(centred * centred) - mean_l * mean_l
    covariance = mean(centred[..., None] * ab) - mean_l[..., None] * mean_ab
    slope = covariance / (variance + np.float32(flat))[..., None]
    return np.dstack([mean(slope), mean(mean_ab - slope * (mean_l + 50)[..., None])])


def paint(gray: Gray, fits: Float, *, saturation: float = 1.0, bits: int = 8) -> NDArray[Any]:
    """Give a gray photo the colours that :func:`along_edges` found on its small copy.

    The lightness stays; where a colour is beyond sRGB, its chroma is reduced and its hue kept.

    Args:
        gray: the photo, uint16 (height, width); see :func:`gray_levels`.
        fits: float32 (small height, small width, 4).
        saturation: what ab is multiplied by, 0 or more.
        bits: of the result, 8 or 16.

    Returns:
        sRGB (height, width, 3), uint8 or uint16.
    """
    height, width = gray.shape
    # In Lab f(X) = f(Y) + a / 500 and f(Z) = f(Y) - b / 200 with f(Y) = (L + 16) / 116: all lines in f(Y).
    slope, offset = np.split(fits * (np.float32(saturation) / np.float32([500, -200] * 2)), 2, axis=-1)
    lines = np.dstack([1 + 116 * slope, offset - 16 * slope])
    across = cv2.resize(lines, (width, len(lines)), interpolation=cv2.INTER_LINEAR)
    across = np.ascontiguousarray(across.transpose(0, 2, 1)).reshape(len(lines), -1)
    rgb = np.empty((height, width, 3), np.uint8 if bits == 8 else np.uint16)

    def fill(rows: slice) -> None:
        first, weights = _between(rows, height, len(lines))
        here = (weights @ across[first : first + weights.shape[1]]).reshape(-1, 4, width)
        fy = cv2.LUT(np.ascontiguousarray(gray[rows]), F_OF_GRAY)
        fx, fz = here[:, 0] * fy + here[:, 2], here[:, 1] * fy + here[:, 3]
        rgb[rows] = cv2.LUT(_root(_linear_rgb(fy, fx, fz)), ENCODED[bits])

    _in_strips(fill, height, width)
    return rgb


def small_size(width: int, height: int, *, short_side: int, multiple: int) -> tuple[int, int]:
    """Return width and height of the small copy: ``short_side`` scaled, long side at most four times that."""
    scale = short_side / min(width, height)
    sides = (min(side * scale, 4 * short_side) for side in (width, height))
    small_width, small_height = (max(multiple, round(side / multiple) * multiple) for side in sides)
    return small_width, small_height


def _convert(pixels: Float, code: int) -> Float:
    return np.asarray(cv2.cvtColor(pixels, code), dtype=np.float32)


def _linear_rgb(fy: Float, fx: Float, fz: Float) -> Float:
    """Return linear RGB (height, width, 3) in 0..1, all in the gamut, of Lab's f(Y), f(X), f(Z)."""
    y = _cubed(fy)
    rgb = cv2.transform(cv2.merge([y, _cubed(fx) - y, _cubed(fz) - y]), GRAY_AND_CHANGE)
    outside = cv2.inRange(rgb, (0, 0, 0), (1, 1, 1)) == 0
    if outside.any():
        fy, fx, fz = (values[outside] for values in (fy, fx, fz))
        factor = _fitting(fy, fx, fz)
        rgb[outside] = (_cubed(fy) + _change(fy, factor * (fx - fy), factor * (fz - fy))).T
    return rgb  # type: ignore[return-value]


def _fitting(fy: Float, fx: Float, fz: Float, *, low: float = 0, high: float = 1) -> Float:
    """Return what a and b are to be multiplied by, 0..1, for linear RGB to lie in ``low``..``high``.

    Found by bisection to 1/2^:data:`STEPS`.
    """
    y, factor = _cubed(fy), np.zeros_like(fy)
    least, most = low - y, high - y
    for step in range(STEPS + 1):
        more = np.minimum(factor + np.float32(0.5**step), 1)
        change = _change(fy, more * (fx - fy), more * (fz - fy))
        factor = np.where(((change >= least) & (change <= most)).all(axis=0), more, factor)
    return factor


def _change(fy: Float, x_more: Float, z_more: Float) -> Float:
    """Return how linear RGB (3, ...) differs from gray where f(X) and f(Z) are so much more than f(Y)."""
    y = _cubed(fy)
    x, z = _cubed(fy + x_more) - y, _cubed(fy + z_more) - y
    return np.stack([by_x * x + by_z * z for _, by_x, by_z in GRAY_AND_CHANGE])


def _cubed(f: Float) -> Float:
    """Return what Lab's f was of: its cube, and below 6/29 the tangent there."""
    above = np.maximum(f, np.float32(KNEE))
    return above * above * above + (f - above) * np.float32(3 * KNEE**2)


def _root(linear: Float) -> NDArray[np.uint16]:
    """Return the index into a table of :data:`ENCODED`: a root, so that the darks are as fine."""
    return (np.sqrt(np.clip(linear, 0, 1)) * np.float32(TOP) + np.float32(0.5)).astype(np.uint16)


def _between(rows: slice, height: int, small_height: int) -> tuple[int, Float]:
    """Return the first small row that ``rows`` lie between, and weights (rows, small rows from there)."""
    at = (np.arange(rows.start, rows.stop) + 0.5) * (small_height / height) - 0.5
    at = at.clip(0, small_height - 1)
    first, last = int(at[0]), min(int(at[-1]) + 1, small_height - 1)
    return first, np.maximum(1 - np.abs(at[:, None] - np.arange(first, last + 1)), 0).astype(np.float32)


def _in_strips(fill: Callable[[slice], None], height: int, width: int) -> None:
    """Call ``fill`` for strips of rows that fit a core's cache, in as many threads as OpenCV uses."""
    rows = max(1, STRIP // width)
    strips = [slice(top, min(top + rows, height)) for top in range(0, height, rows)]
    threads = min(cv2.getNumThreads(), len(strips))
    if threads < 2:
        for strip in strips:
            fill(strip)
        return
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(fill, strips))

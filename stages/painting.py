"""Predicted colour on gray photos: it is predicted small, brought up along edges, and lightness stays."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from stages.color import RGB_TO_XYZ, WHITE, XYZ_TO_RGB, Float, PredictAb, Rgb

Gray = NDArray[np.uint16]
"""A gray photo: levels of the sRGB curve, 0..65535."""

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

_light = (np.arange(TOP + 1) + 0.5).clip(1, TOP - 1) ** 2 / TOP**2
_encoded = np.where(_light > 0.0031308, 1.055 * _light ** (1 / 2.4) - 0.055, 12.92 * _light)
ENCODED: dict[int, NDArray[Any]] = {
    8: (255 * _encoded + 0.5).astype(np.uint8),
    16: (TOP * _encoded + 0.5).astype(np.uint16),
}
"""Levels by bits, each a table by TOP times the root of linear light, cut: a root, so that darks are fine."""

NOISE = np.float32(1)
"""Variance of lightness, or of ab, that says nothing."""

STRIP = 1 << 18
"""Pixels worked on at once: few enough to stay in the caches, and enough that threads which each colour
photos seldom wait for Python's lock, which every call of NumPy takes."""


def gray_levels(rgb: NDArray[np.uint8] | NDArray[np.uint16]) -> Gray:
    """Return the gray photo of the same lightness, as levels of the sRGB curve in 0..65535.

    ``rgb`` is uint8 or uint16 sRGB (height, width, 3), or gray levels (height, width); the result is uint16
    (height, width), since with eight bits lightness would be rounded twice.
    """
    if rgb.ndim == 2:
        return np.multiply(rgb, 257 if rgb.dtype == np.uint8 else 1, dtype=np.uint16)
    gray = np.empty(rgb.shape[:2], np.uint16)
    decoded = LINEAR[::257] if rgb.dtype == np.uint8 else LINEAR
    weights = (TOP**2 * RGB_TO_XYZ[1:2]).astype(np.float32)

    def fill(rows: slice) -> None:
        linear = _look_up(np.ascontiguousarray(rgb[rows]), decoded)
        _look_up(_root(cv2.transform(linear, weights)), ENCODED[16], gray[rows])

    _in_strips(fill, *rgb.shape[:2])
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
    gray = _look_up(_root(_cubed(f) * np.float32(TOP**2)), ENCODED[16])
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
    return 116 * _look_up(small, F_OF_GRAY) - 16


def along_edges(lightness: Float, ab: Float, *, radius: int = 3) -> Float:
    """Return ab as a line in lightness around each pixel, so that it can be brought up along edges.

    A fast guided filter (He and Sun, 2015): in every window of 2 ``radius`` + 1 pixels ab is fitted as slope
    times lightness plus offset, and the fits that a pixel takes part in are averaged, weighted by their
    contrast (so that those of windows with an edge count at it). A filter alone would blur the prediction:
    what the lines leave of it comes back in the share of ab's variance that lightness does not explain.

    Args:
        lightness: of the small copy, float32 (height, width) in 0..100.
        ab: the network's answer for it, float32 (height, width, 2), Lab units.

    Returns float32 (height, width, 4): slopes of a and b, offsets of a and b.
    """

    def mean(values: Any) -> Any:
        return cv2.blur(values, (2 * radius + 1,) * 2, borderType=cv2.BORDER_REFLECT)

    centred: Float = lightness - np.float32(50)  # keeps the squares small, and with them their rounding
    mean_l = mean(centred)
    contrast = mean(centred * centred) - mean_l * mean_l + NOISE
    weights = mean(contrast)
    variance = explained = np.float32(0)
    fits = []
    for plane in cv2.split(ab):  # each for itself: NumPy is slow along an axis of two
        mean_plane = mean(plane)
        covariance = mean(centred * plane) - mean_l * mean_plane
        slope = covariance / contrast
        offset = mean_plane - slope * (mean_l + 50)
        variance = variance + (mean(plane * plane) - mean_plane * mean_plane)
        explained = explained + slope * covariance
        fits.append((plane, mean(slope * contrast) / weights, mean(offset * contrast) / weights))
    left = mean(variance - explained).clip(0) / (mean(variance).clip(0) + NOISE)
    slopes = [slope for _, slope, _ in fits]
    offsets = [offset + left * (plane - slope * lightness - offset) for plane, slope, offset in fits]
    return np.dstack([*slopes, *offsets])


def paint(gray: Gray, fits: Float, *, saturation: float = 1.0, bits: int = 8) -> NDArray[Any]:
    """Give a gray photo the colours that :func:`along_edges` found on its small copy.

    The lightness stays; where a colour is beyond sRGB, its chroma is reduced and its hue kept.

    ``gray`` is of :func:`gray_levels`, ``fits`` float32 (small height, small width, 4); ab is multiplied by
    ``saturation``, 0 or more. Returned is sRGB (height, width, 3), uint8 or uint16 as ``bits`` say.
    """
    height, width = gray.shape
    # In Lab f(X) = f(Y) + a / 500 and f(Z) = f(Y) - b / 200 with f(Y) = (L + 16) / 116: all lines in f(Y).
    slope, offset = np.split(
        fits * np.array([saturation / 500, saturation / -200] * 2, np.float32), 2, axis=-1
    )
    lines = np.dstack([1 + 116 * slope, offset - 16 * slope])
    across = cv2.resize(lines, (width, len(lines)), interpolation=cv2.INTER_LINEAR)
    across = np.ascontiguousarray(across.transpose(0, 2, 1))
    rgb = np.empty((height, width, 3), np.uint8 if bits == 8 else np.uint16)

    def fill(rows: slice) -> None:
        linear = _linear_rgb(np.ascontiguousarray(gray[rows]), _rows_between(across, rows, height))
        _look_up(_root(linear), ENCODED[bits], rgb[rows])

    _in_strips(fill, height, width)
    return rgb


def small_size(width: int, height: int, *, short_side: int, multiple: int) -> tuple[int, int]:
    """Return width and height of the small copy: ``short_side`` scaled, long side at most four times that."""
    scale = short_side / min(width, height)
    sides = (min(side * scale, 4 * short_side) for side in (width, height))
    small_width, small_height = (max(multiple, round(side / multiple) * multiple) for side in sides)
    return small_width, small_height


def _linear_rgb(gray: Gray, lines: Float) -> Float:
    """Return linear RGB (rows, width, 3), 0..TOP^2, in the gamut, of gray and of lines (rows, 4, width)."""
    fy, y = _look_up(gray, F_OF_GRAY), _look_up(gray, LINEAR)
    fx, fz = lines[:, 0] * fy + lines[:, 2], lines[:, 1] * fy + lines[:, 3]
    rgb = cv2.transform(cv2.merge([y, _cubed(fx) - y, _cubed(fz) - y]), GRAY_AND_CHANGE * np.float32(TOP**2))
    outside = np.flatnonzero(cv2.inRange(rgb.reshape(len(rgb), -1), 0, TOP**2) == 0) // 3
    if outside.size:
        outside = outside[np.diff(outside, prepend=-1) > 0]  # of its three values one or two may be
        gray = gray.take(outside)
        fy, y, fx, fz = (values.take(outside) for values in (fy, y, fx, fz))
        room = _room(y, _change(fy, fx - fy, fz - fy))
        factor = np.where(room > 0.98, 1, _looked_up(gray, fx - fy, fz - fy))
        change = _change(fy, factor * (fx - fy), factor * (fz - fy))
        # A step straight to gray keeps Y exactly; the hue turns on a long one, so only the last is such.
        inside = y + np.minimum(_room(y, change), 1) * change
        rgb.reshape(-1, 3)[outside] = inside.T * np.float32(TOP**2)
    return rgb  # type: ignore[return-value]


def _looked_up(gray: Gray, dx: Float, dz: Float) -> Float:
    """Return by what the chroma of colours (pixels,) is to be multiplied to be in the gamut, about."""
    table, most = _gamut(), 30_000  # OpenCV's remap takes no more in a row
    radius, angle = (polar.reshape(1, -1) for polar in cv2.cartToPolar(dx, dz))
    columns = angle * np.float32((table.shape[1] - 1) / (2 * np.pi))
    lines = gray.reshape(1, -1) * np.float32((len(table) - 1) / TOP)
    limits = [
        cv2.remap(table, columns[:, part : part + most], lines[:, part : part + most], cv2.INTER_LINEAR)
        for part in range(0, gray.size, most)
    ]
    return np.minimum(np.hstack(limits) / np.maximum(radius, np.float32(1e-6)), 1)[0]


@lru_cache(maxsize=1)
def _gamut() -> Float:
    """Return how far from gray the sRGB gamut reaches by gray level and hue.

    The distance is that of f(X) and f(Z) from f(Y), the hue its angle: 256 levels, 512 hues, the first again.
    """
    angle = np.linspace(0, 2 * np.pi, 513, dtype=np.float32)
    fy = np.repeat(F_OF_GRAY[::257, None], len(angle), axis=1)
    reach = np.zeros_like(fy)
    for step in range(15):  # bisection
        further = reach + np.float32(0.5**step)
        rgb = _cubed(fy) + _change(fy, further * np.cos(angle), further * np.sin(angle))
        # A little more is let in, since on the way to yellow red is over 1 by as much.
        reach = np.where(((rgb > -0.0002) & (rgb < 1.005)).all(axis=0), further, reach)
    return reach


def _change(fy: Float, x_more: Float, z_more: Float) -> Float:
    """Return how linear RGB (3, ...) differs from gray where f(X) and f(Z) are so much more than f(Y)."""
    y = _cubed(fy)
    x, z = _cubed(fy + x_more) - y, _cubed(fy + z_more) - y
    return np.stack([by_x * x + by_z * z for _, by_x, by_z in GRAY_AND_CHANGE])


def _room(y: Float, change: Float) -> Float:
    """Return how many times ``change``, linear RGB (3, ...), can be added to gray ``y`` within 0..1."""
    limit = np.where(change > 0, np.maximum(1 - y, 0), y)
    return (limit / np.maximum(np.abs(change), np.float32(1e-12))).min(axis=0)


def _look_up(levels: NDArray[Any], table: NDArray[Any], out: NDArray[Any] | None = None) -> Any:
    return cv2.LUT(levels, table, dst=out)


def _cubed(f: Float) -> Float:
    """Return what Lab's f was of: its cube, and below 6/29 the tangent there."""
    above = np.clip(f, np.float32(KNEE), np.float32(np.inf))  # quicker than np.maximum
    return above * above * above + (f - above) * np.float32(3 * KNEE**2)


def _root(linear: Any) -> NDArray[np.uint16]:
    """Return the index into a table of :data:`ENCODED`, see there, of linear light in 0..TOP^2."""
    inside = np.clip(linear, 0, np.float32(TOP**2))
    return cv2.sqrt(inside, inside).astype(np.uint16)


def _rows_between(small: Any, rows: slice, height: int) -> Float:
    """Return ``rows`` of ``small`` (small rows, ...) brought up to ``height`` rows, linearly."""
    at = (np.arange(rows.start, rows.stop) + 0.5) * (len(small) / height) - 0.5
    at = at.clip(0, len(small) - 1)
    above = np.minimum(at.astype(int), max(len(small) - 2, 0))
    share = (at - above).astype(np.float32).reshape(-1, *[1] * (small.ndim - 1))
    # Few large steps, since each of NumPy waits for Python's lock where several photos are coloured.
    brought_up = np.take(small, above, axis=0)
    below = np.take(small, np.minimum(above + 1, len(small) - 1), axis=0)
    brought_up *= 1 - share
    below *= share
    brought_up += below
    return brought_up


def _in_strips(fill: Callable[[slice], None], height: int, width: int) -> None:
    """Call ``fill`` for strips of rows that fit a core's cache, in as many threads as OpenCV uses."""
    rows = max(1, STRIP // width)
    strips = [slice(top, min(top + rows, height)) for top in range(0, height, rows)]
    threads = min(cv2.getNumThreads(), len(strips))
    if threads < 2:
        list(map(fill, strips))
    else:
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(fill, strips))

"""Predicted color on gray photos: it is predicted on a small copy and upsampled along edges; lightness
stays."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from ungray.errors import UngrayError
from ungray.imaging import borders, kernels
from ungray.imaging.color import Float, Rgb

Gray = NDArray[np.uint16]
"""A gray photo: levels of the sRGB curve, 0..65535."""

NOISE = np.float32(1)
"""Variance of lightness, or of ab, that counts as noise."""

STRIP = 1 << 18
"""Pixels that a thread processes at once."""


def gray_levels(rgb: NDArray[np.uint8] | NDArray[np.uint16]) -> Gray:
    """Return the gray photo of the same lightness, as levels of the sRGB curve in 0..65535.

    ``rgb`` is uint8 or uint16 sRGB (height, width, 3), or with a fourth channel that is ignored, or gray
    levels (height, width). The result is uint16 (height, width), since with 8 bits lightness would be rounded
    twice.
    """
    if rgb.ndim == 2:
        return np.multiply(rgb, 257 if rgb.dtype == np.uint8 else 1, dtype=np.uint16)
    gray = np.empty(rgb.shape[:2], np.uint16)

    def fill(rows: slice) -> None:
        kernels.gray_of_rgb(np.ascontiguousarray(rgb[rows]).reshape(-1), gray[rows].reshape(-1))

    _in_strips(fill, *rgb.shape[:2])
    return gray


def gray_photo(rgb: Rgb) -> Rgb:
    """Return the gray photo of the same lightness, uint8 sRGB (height, width, 3), three equal channels.

    Models are judged on it: they are given it instead of the true photo ``rgb``, uint8 sRGB of the same
    shape.
    """
    return cv2.merge([cv2.convertScaleAbs(gray_levels(rgb), alpha=1 / 257)] * 3)  # type: ignore[return-value]


def small_copy(gray: Gray, *, short_side: int, multiple: int) -> Float:
    """Return the lightness, float32 in 0..100, of a small copy of ``gray``; see :func:`small_size`."""
    height, width = gray.shape
    size = small_size(width, height, short_side=short_side, multiple=multiple)
    if min(height, width) > short_side:
        rows = np.empty((size[1], width), np.float32)
        kernels.shrink_rows(np.ascontiguousarray(gray), rows)  # OpenCV is slow if both sides shrink
        levels: Any = cv2.resize(rows, size, interpolation=cv2.INTER_AREA)
    else:
        levels = cv2.resize(gray, size, interpolation=cv2.INTER_CUBIC).astype(np.float32)
    lightness = np.empty(levels.shape, np.float32)
    kernels.lightness_of_gray(levels.reshape(-1), lightness.reshape(-1))
    return lightness


def guided_fit(lightness: Float, ab: Float, *, radius: int = 3) -> Float:
    """Return ab as a line in lightness around each pixel, so that it can be upsampled along edges.

    A fast guided filter (He and Sun, 2015): in every window of 2 ``radius`` + 1 pixels ab is fitted as slope
    times lightness plus offset, and the fits of all windows with a pixel are averaged, weighted by their
    contrast (so that at an edge the windows across it count most). The filter alone would blur the
    prediction, so its residual is added back in proportion to the share of ab's variance that lightness does
    not explain.

    Args:
        lightness: of the small copy, float32 (height, width) in 0..100.
        ab: the network's prediction for it, float32 (height, width, 2), Lab units.

    Returns float32 (height, width, 4): slopes of a and b, offsets of a and b.
    """

    def mean(values: Any) -> Any:
        return cv2.blur(values, (2 * radius + 1,) * 2, borderType=cv2.BORDER_REFLECT)

    centered: Float = lightness - np.float32(50)  # keeps the squares small, and so their rounding errors
    mean_l = mean(centered)
    contrast = mean(centered * centered) - mean_l * mean_l + NOISE
    weights = mean(contrast)
    variance = explained = np.float32(0)
    fits = []
    for plane in np.ascontiguousarray(np.moveaxis(ab, -1, 0)):  # NumPy is slow along an axis of two
        mean_plane = mean(plane)
        covariance = mean(centered * plane) - mean_l * mean_plane
        slope = covariance / contrast
        variance = variance + (mean(plane * plane) - mean_plane * mean_plane)
        explained = explained + slope * covariance
        offset = mean_plane - slope * (mean_l + 50)
        fits.append((plane, mean(covariance) / weights, mean(offset * contrast) / weights))
    left = mean(variance - explained).clip(0) / (mean(variance).clip(0) + NOISE)
    slopes = [slope for _, slope, _ in fits]
    offsets = [offset + left * (plane - slope * lightness - offset) for plane, slope, offset in fits]
    return cv2.merge([*slopes, *offsets])


def apply_color(
    gray: Gray,
    fits: Float,
    *,
    saturation: float = 1.0,
    bits: int = 8,
    known: Iterable[tuple[float, float]] = (),
    border: borders.Border | Literal["find"] | None = "find",
) -> NDArray[Any]:
    """Give a gray photo the colors that :func:`guided_fit` found on its small copy.

    The lightness stays; if a color is outside sRGB, its chroma is reduced and its hue kept. A mount or frame
    around the photo stays gray, see :mod:`ungray.imaging.borders`, unless it contains one of the points x, y
    that are ``known`` to have a color. It is looked for, unless ``border`` is what was found before, as in
    another frame of a film.

    ``gray`` is from :func:`gray_levels`, ``fits`` is float32 (small height, small width, 4); ab is multiplied
    by ``saturation``, 0 or more. The result is sRGB (height, width, 3), uint8 or uint16 according to
    ``bits``.
    """
    height, width = gray.shape
    if not np.isfinite(fits).all():
        raise UngrayError("the model predicts no numbers (NaN or infinite): it is damaged or badly trained")
    # In Lab f(X) = f(Y) + a / 500 and f(Z) = f(Y) - b / 200 with f(Y) = (L + 16) / 116: all lines in f(Y).
    factors = np.array([saturation / 500, saturation / -200] * 2).clip(-1e30, 1e30).astype(np.float32)
    slope, slope_z, offset, offset_z = cv2.split((fits * factors).clip(-10, 10))  # no color is beyond 1
    planes = [116 * slope, 116 * slope_z, offset - 16 * slope, offset_z - 16 * slope_z]
    rgb = np.empty((height, 3 * width), np.uint8 if bits == 8 else np.uint16)
    colored = rgb.reshape(height, width, 3)
    scale = len(fits) / height
    if border == "find":
        border = borders.find(gray)
    if border is not None and any(border.holds(x, y) for x, y in known):
        border = None

    def fill(rows: slice) -> None:
        first, last = int(max(0, (rows.start + 0.5) * scale - 0.5)), int((rows.stop - 0.5) * scale + 0.5) + 1
        blocks = _in_blocks([plane[first:last] for plane in planes], width)
        part = np.ascontiguousarray(gray[rows])
        kernels.apply_color(part, blocks, first, rows.start, scale, _gamut(), rgb[rows])
        if border is not None:
            for some, which in border.pixels(rows):
                if (levels := gray[some, which]).size:
                    plain = levels if bits == 16 else cv2.convertScaleAbs(levels, alpha=1 / 257)
                    colored[some, which] = cv2.cvtColor(plain, cv2.COLOR_GRAY2RGB)

    _in_strips(fill, height, width)
    return colored


def small_size(width: int, height: int, *, short_side: int, multiple: int) -> tuple[int, int]:
    """Return width and height of the small copy: the short side ``short_side``, the long one at most 4 times
    that.

    A smaller photo keeps its size, but is enlarged to half of ``short_side`` if it is smaller than that: a
    network works best at the scale of its training photos, but enlarging blurs.
    """
    short_side = min(short_side, max(min(width, height), short_side // 2))
    scale = short_side / min(width, height)
    sides = (min(side * scale, 4 * short_side) for side in (width, height))
    small_width, small_height = (max(multiple, round(side / multiple) * multiple) for side in sides)
    return small_width, small_height


@lru_cache(maxsize=1)
def _gamut() -> Float:
    return kernels.gamut(np.linspace(0, 1, 256, dtype=np.float32))


def _in_blocks(planes: Sequence[Any], width: int) -> Float:
    """Return planes upsampled to ``width`` as (rows, blocks, planes * BLOCK); see
    :func:`kernels.apply_color`."""
    rows, count = len(planes[0]), -(-width // kernels.BLOCK)
    blocks = np.empty((rows, count, len(planes), kernels.BLOCK), np.float32)
    across = np.zeros((rows, count * kernels.BLOCK), np.float32)
    for number, plane in enumerate(planes):
        across[:, :width] = cv2.resize(plane, (width, rows), interpolation=cv2.INTER_LINEAR)
        blocks[:, :, number] = across.reshape(rows, count, kernels.BLOCK)
    return blocks.reshape(rows, count, -1)


def _in_strips(fill: Callable[[slice], None], height: int, width: int) -> None:
    """Call ``fill`` for strips of rows, in as many threads as OpenCV uses."""
    rows = max(1, STRIP // width)
    strips = [slice(top, min(top + rows, height)) for top in range(0, height, rows)]
    threads = min(cv2.getNumThreads(), len(strips))
    if threads < 2:
        list(map(fill, strips))
    else:
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(fill, strips))

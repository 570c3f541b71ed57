"""Loops over the pixels of photos, compiled by Numba: one pass, where arrays would need forty.

All of them are in this file, because Numba keeps compiled code until its file changes. Constants of other
files, here those of the sRGB standard, must not change unless this file changes, too.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numba
import numpy as np

from ungray.imaging.color import RGB_TO_XYZ, WHITE, XYZ_TO_RGB, Float

OPTIONS: dict[str, Any] = {"fastmath": True, "error_model": "numpy"}
"""Sums in any order, and no checks for division by zero: otherwise there are no vector instructions."""

inlined = numba.njit(inline="always", **OPTIONS)
"""For functions that only compiled functions call."""


def compiled(function: Callable[..., Any]) -> Any:
    """Compile a function when it is first called, and keep the compiled code for later processes.

    It runs without Python's lock, so that threads can run in parallel. The code is kept in the
    ``__pycache__`` next to this file, or in the user's cache if that can't be written; if neither can, a
    warning says so.
    """
    try:
        return numba.njit(nogil=True, cache=True, **OPTIONS)(function)
    except RuntimeError:  # no folder can be written
        warnings.warn(
            "compiled loops can't be cached, so every start compiles them again, which takes seconds: "
            "neither their folder nor the user's cache can be written; NUMBA_CACHE_DIR can name another",
            stacklevel=1,
        )
        return numba.njit(nogil=True, **OPTIONS)(function)


ZERO, HALF, ONE, TWO, TINY, TOP = map(np.float32, (0, 0.5, 1, 2, 1e-12, 65535))

RED_Y, GREEN_Y, BLUE_Y = map(np.float32, RGB_TO_XYZ[1])
RED_X, RED_Z, GREEN_X, GREEN_Z, BLUE_X, BLUE_Z = map(np.float32, (XYZ_TO_RGB[:, [0, 2]] * WHITE[[0, 2]]).flat)
"""What X/Xn - Y and Z/Zn - Y add to linear RGB, which for gray is Y three times."""

KNEE, SLOPE = np.float32(6 / 29), np.float32(3 * (6 / 29) ** 2)
"""Lab's f is a cube root if it is above ``KNEE``, else a line of slope 1 / ``SLOPE`` (CIE 15)."""


def _polynomial(function: Callable[[Any], Any], degree: int, start: Any, end: Any) -> tuple[Any, ...]:
    """Return the coefficients, highest power first, of a polynomial near ``function`` from start to end."""
    near = np.polynomial.Chebyshev.interpolate(function, degree, domain=[start, end])
    return tuple(near.convert(kind=np.polynomial.Polynomial).coef[::-1].astype(np.float32))


# The sRGB curve (IEC 61966-2-1) as polynomials, which vector instructions can compute, unlike tables. After a
# round trip, a level in 0..65535 is off by at most one.
LINE = np.float32(12.92)
DARK, DIM = np.float32(0.04045), np.float32(1.055 * (6 / 29) ** (3 / 2.4) - 0.055)
"""Levels in 0..1 are ``LINE`` times linear light up to ``DARK``; grays are below Lab's knee up to ``DIM``."""

LINEAR = _polynomial(lambda level: ((level + 0.055) / 1.055) ** 2.4, 8, DARK, 1)
"""Linear light of levels above ``DARK``."""

F_OF_DIM = _polynomial(lambda level: ((level + 0.055) / 1.055) ** 2.4 / SLOPE + 4 / 29, 3, DARK, DIM)
F_OF_BRIGHT = _polynomial(lambda level: ((level + 0.055) / 1.055) ** 0.8, 8, DIM, 1)
"""Lab's f(Y) of gray levels below the knee and above it."""

BEND = np.float32(0.0031308)
LEVEL_OF_ROOT = _polynomial(lambda root: 1.055 * root ** (4 / 2.4) - 0.055, 6, BEND**0.25, 1)
"""Levels of the fourth root of linear light, for light above ``BEND``."""

HUES = 512
"""Columns of :func:`gamut`; it has one more, which repeats the first."""

BLOCK = 512
"""Pixels processed at once. A constant, so that the compiler knows the distance between the planes of a
block; only then does it use vector instructions."""

RED, GREEN, BLUE, BEYOND, LEVEL, FY, X_MORE, Z_MORE = range(0, 8 * BLOCK, BLOCK)
"""Offsets of the planes of a block: linear RGB, by how much it is out of 0..1, the gray level, Lab's f(Y),
f(X) - f(Y) and f(Z) - f(Y)."""
FACTOR = LEVEL  # in the same plane, for pixels out of 0..1: the factor of their chroma


@inlined
def _value(polynomial: Any, at: Any) -> Any:
    value = polynomial[0]
    for power in range(1, len(polynomial)):
        value = value * at + polynomial[power]
    return value


@inlined
def _linear(level: Any) -> Any:
    """Return linear light of a level, both in 0..1."""
    return _value(LINEAR, level) if level > DARK else level / LINE


@inlined
def _level(linear: Any) -> Any:
    """Return the level of linear light, both in 0..1; what is out of it is clipped."""
    inside = min(max(linear, ZERO), ONE)
    return min(_value(LEVEL_OF_ROOT, np.sqrt(np.sqrt(inside))), ONE) if inside > BEND else LINE * inside


@inlined
def _f_of_gray(level: Any) -> Any:
    """Return Lab's f(Y) of a gray level in 0..1."""
    dark = _value(F_OF_DIM, level) if level > DARK else level / (LINE * SLOPE) + np.float32(4 / 29)
    return _value(F_OF_BRIGHT, level) if level > DIM else dark


@inlined
def _cubed(f: Any) -> Any:
    """Return the argument of Lab's f, given its value."""
    above = max(f, KNEE)
    return above * above * above + (f - above) * SLOPE


@inlined
def _change(fy: Any, x_more: Any, z_more: Any) -> Any:
    """Return how linear red, green and blue differ from gray, given f(X) - f(Y) and f(Z) - f(Y)."""
    y = _cubed(fy)
    x, z = _cubed(fy + x_more) - y, _cubed(fy + z_more) - y
    return RED_X * x + RED_Z * z, GREEN_X * x + GREEN_Z * z, BLUE_X * x + BLUE_Z * z


@inlined
def _room(y: Any, change: Any) -> Any:
    """Return by how much a change can be multiplied so that its sum with gray stays in 0..1."""
    red, green, blue = change
    lighter, darker = max(ONE - y, ZERO), max(y, ZERO)
    room = (lighter if red > ZERO else darker) / max(abs(red), TINY)
    room = min(room, (lighter if green > ZERO else darker) / max(abs(green), TINY))
    return min(room, (lighter if blue > ZERO else darker) / max(abs(blue), TINY))


@inlined
def _gray_of(rgb: Any, at: Any, scale: Any) -> Any:
    """Return the gray level, 0..65535, of the pixel whose red has the index ``at``; a gray stays itself."""
    own, neutral = np.float32(rgb[at]) * scale, (rgb[at] == rgb[at + 1]) & (rgb[at] == rgb[at + 2])
    red, green = _linear(own), _linear(np.float32(rgb[at + 1]) * scale)
    blue = _linear(np.float32(rgb[at + 2]) * scale)
    level = _level(RED_Y * red + GREEN_Y * green + BLUE_Y * blue)
    return np.uint16(TOP * (own if neutral else level) + HALF)


@compiled
def gray_of_rgb(rgb: Any, gray: Any) -> None:
    """Fill in the gray of the same lightness, uint16 (pixels,), of uint8 or uint16 sRGB, 3 or 4 per pixel."""
    scale = ONE / np.float32(255 if rgb.itemsize == 1 else 65535)
    if len(rgb) == 3 * len(gray):  # constants, for vector instructions
        for at in range(len(gray)):
            gray[at] = _gray_of(rgb, 3 * at, scale)
    else:
        for at in range(len(gray)):
            gray[at] = _gray_of(rgb, 4 * at, scale)


@compiled
def lightness_of_gray(levels: Any, lightness: Any) -> None:
    """Fill in lightness, float32 (pixels,), in 0..100, of gray levels, float32 (pixels,), in 0..65535."""
    for at in range(len(levels)):
        level = min(max(levels[at] * (ONE / TOP), ZERO), ONE)
        lightness[at] = np.float32(116) * _f_of_gray(level) - np.float32(16)


@compiled
def shrink_rows(gray: Any, shrunk: Any) -> None:
    """Fill in means of rows, float32 (fewer rows, width), of uint16 (rows, width), weighted by overlap."""
    height = len(gray) / len(shrunk)
    for row in range(len(shrunk)):
        start, end = row * height, (row + 1) * height
        shrunk[row] = ZERO
        for taken in range(int(start), min(int(np.ceil(end)), len(gray))):
            share = np.float32((min(taken + 1, end) - max(taken, start)) / height)
            for at in range(shrunk.shape[1]):
                shrunk[row, at] += share * np.float32(gray[taken, at])


@compiled
def gamut(levels: Any) -> Float:
    """Return how far from gray the sRGB gamut reaches, float32 (levels, HUES + 1), by gray level and hue.

    The distance from gray is abs(f(X) - f(Y)) + abs(f(Z) - f(Y)); the hue is a position on the square of
    equal distance. ``levels`` are float32 in 0..1.
    """
    reach = np.empty((len(levels), HUES + 1), np.float32)
    for row in range(len(levels)):
        fy = _f_of_gray(levels[row])
        y = _cubed(fy)
        for column in range(HUES + 1):
            hue = np.float32(column) * np.float32(4 / HUES)
            across = ONE - hue if hue < TWO else hue - np.float32(3)
            along = (ONE - abs(across)) * (ONE if hue < TWO else -ONE)
            found = ZERO
            for bit in range(16):  # bisection
                further = found + HALF**bit
                red, green, blue = _change(fy, further * across, further * along)
                # With some tolerance, since on the way to yellow red is over 1 by as much.
                least, most = y + min(red, min(green, blue)), y + max(red, max(green, blue))
                if least > np.float32(-0.0002) and most < np.float32(1.005):
                    found = further
            reach[row, column] = found
    return reach


@compiled
def _color(gray: Any, above: Any, below: Any, share: Any, block: Any) -> Any:
    """Fill in a block; return whether any of its colors are out of 0..1."""
    for at in range(len(gray)):
        level = np.float32(gray[at]) * (ONE / TOP)
        fy = _f_of_gray(level)
        slope, slope_z = above[at], above[BLOCK + at]
        offset, offset_z = above[2 * BLOCK + at], above[3 * BLOCK + at]
        slope += share * (below[at] - slope)
        slope_z += share * (below[BLOCK + at] - slope_z)
        offset += share * (below[2 * BLOCK + at] - offset)
        offset_z += share * (below[3 * BLOCK + at] - offset_z)
        x_more, z_more = slope * fy + offset, slope_z * fy + offset_z
        y = _cubed(fy)
        # As in _change, but gray is added in the same sum: another rounding would change a few pixels.
        x, z = _cubed(fy + x_more) - y, _cubed(fy + z_more) - y
        red = y + RED_X * x + RED_Z * z
        green = y + GREEN_X * x + GREEN_Z * z
        blue = y + BLUE_X * x + BLUE_Z * z
        block[RED + at], block[GREEN + at], block[BLUE + at] = red, green, blue
        block[BEYOND + at] = max(-min(min(red, green), blue), max(max(red, green), blue) - ONE)
        block[LEVEL + at], block[FY + at] = level, fy
        block[X_MORE + at], block[Z_MORE + at] = x_more, z_more
    beyond = 0
    for at in range(len(gray)):
        beyond += block[BEYOND + at] > ZERO
    return beyond > 0


@compiled
def _take_beyond(block: Any, count: int, reach: Any, taken: Any, places: Any) -> Any:
    """Collect the pixels out of 0..1 and the factors of their chroma; return the number of these pixels."""
    beyond, rows = 0, len(reach)
    for at in range(count):
        if block[BEYOND + at] > ZERO:
            x_more, z_more = block[X_MORE + at], block[Z_MORE + at]
            distance = max(abs(x_more) + abs(z_more), TINY)
            across = x_more / distance
            right = (ONE - across if z_more >= ZERO else across + np.float32(3)) * np.float32(HUES / 4)
            down = block[LEVEL + at] * np.float32(rows - 1)
            row, column = min(int(down), rows - 2), min(int(right), HUES - 1)
            down, right = down - np.float32(row), right - np.float32(column)
            upper = reach[row, column] + right * (reach[row, column + 1] - reach[row, column])
            lower = reach[row + 1, column] + right * (reach[row + 1, column + 1] - reach[row + 1, column])
            taken[FACTOR + beyond] = min((upper + down * (lower - upper)) / distance, ONE)
            taken[FY + beyond] = block[FY + at]
            taken[X_MORE + beyond], taken[Z_MORE + beyond] = x_more, z_more
            places[beyond] = at
            beyond += 1
    return beyond


@compiled
def _into_gamut(taken: Any, count: int) -> None:
    """Reduce the chroma of pixels out of 0..1; hue and Y are kept."""
    for at in range(count):
        fy, x_more, z_more = taken[FY + at], taken[X_MORE + at], taken[Z_MORE + at]
        y = _cubed(fy)
        # A step straight to gray keeps Y exactly but, if long, shifts the hue; so only the last step is one.
        short = _room(y, _change(fy, x_more, z_more)) > np.float32(0.98)
        factor = ONE if short else taken[FACTOR + at]
        red, green, blue = _change(fy, factor * x_more, factor * z_more)
        room = min(_room(y, (red, green, blue)), ONE)
        taken[RED + at] = y + room * red
        taken[GREEN + at] = y + room * green
        taken[BLUE + at] = y + room * blue


@compiled
def _to_levels(block: Any, top: Any, rgb: Any) -> None:
    """Fill in sRGB levels, 0..``top``, 3 per pixel, of a block."""
    for at in range(len(rgb) // 3):
        rgb[3 * at] = top * _level(block[RED + at]) + HALF
        rgb[3 * at + 1] = top * _level(block[GREEN + at]) + HALF
        rgb[3 * at + 2] = top * _level(block[BLUE + at]) + HALF


@compiled
def apply_color(
    gray: Any, lines: Any, first_small: int, first: int, scale: float, reach: Any, rgb: Any
) -> None:
    """Fill in the colors of a photo's rows from ``first`` on.

    Args:
        gray: those rows, uint16 (rows, width), levels of the sRGB curve.
        lines: f(X) - f(Y) and f(Z) - f(Y) as lines in f(Y): both slopes, both offsets; float32 (small rows,
            blocks of the width, 4 * BLOCK), finite, interpolated linearly between the small rows.
        first_small: the number of the first of the small rows.
        first: the number of the first row.
        scale: number of small rows over rows of the whole photo.
        reach: from :func:`gamut`.
        rgb: sRGB, uint8 or uint16 (rows, 3 * width).
    """
    width, small_rows = gray.shape[1], len(lines)
    top = np.float32(255 if rgb.itemsize == 1 else 65535)
    block, taken = np.empty(8 * BLOCK, np.float32), np.empty(8 * BLOCK, np.float32)
    places = np.empty(BLOCK, np.int64)
    for row in range(len(gray)):
        small_row = min(max((first + row + 0.5) * scale - 0.5 - first_small, 0.0), small_rows - 1.0)
        upper = min(int(small_row), max(small_rows - 2, 0))
        share = np.float32(small_row - upper)
        for number in range(lines.shape[1]):
            left, right = number * BLOCK, min((number + 1) * BLOCK, width)
            above, below = lines[upper, number], lines[min(upper + 1, small_rows - 1), number]
            if _color(gray[row, left:right], above, below, share, block):
                beyond = _take_beyond(block, right - left, reach, taken, places)
                _into_gamut(taken, beyond)
                for at in range(beyond):
                    for plane in (RED, GREEN, BLUE):
                        block[plane + places[at]] = taken[plane + at]
            _to_levels(block, top, rgb[row, 3 * left : 3 * right])

"""Resizing photos to one size, upright or rotated, with no black corners."""

from __future__ import annotations

import math
from typing import Literal

import cv2
import numpy as np

from ungray.imaging.color import Rgb
from ungray.system.files import sha256

Fit = Literal["crop", "squash", "pad"]
Border = Literal["inner", "reflect"]


def fit(rgb: Rgb, *, size: int, how: Fit) -> Rgb:
    """Return ``rgb`` (height, width, 3) as a square of ``size`` pixels.

    crop: the short side is resized to ``size``, the center is kept. squash: both sides are resized. pad: the
    long side is resized, the rest is filled by reflection.
    """
    height, width = rgb.shape[:2]
    if how == "squash":
        return _resize(rgb, width=size, height=size)
    scale = size / (min if how == "crop" else max)(height, width)
    resized = _resize(rgb, width=max(1, round(width * scale)), height=max(1, round(height * scale)))
    height, width = resized.shape[:2]
    if how == "crop":
        top, left = (height - size) // 2, (width - size) // 2
        return resized[top : top + size, left : left + size]
    top, left = (size - height) // 2, (size - width) // 2
    return np.pad(
        resized, ((top, size - height - top), (left, size - width - left), (0, 0)), mode="symmetric"
    )


def output_size(rgb: Rgb, *, size: int, how: Fit, enlarge: bool) -> int:
    """Return the ``size`` for :func:`fit`; unless ``enlarge``, at most the photo's own."""
    return size if enlarge else min(size, (max if how == "pad" else min)(rgb.shape[:2]))


def shrink(rgb: Rgb, *, size: int) -> Rgb:
    """Return ``rgb`` downsampled to a short side of at most 2 * ``size``: rotating it is then cheaper.

    No detail is lost: the rotated photo is resized to ``size`` afterwards.
    """
    scale = 2 * size / min(rgb.shape[:2])
    if scale >= 1:
        return rgb
    return _resize(rgb, width=round(rgb.shape[1] * scale), height=round(rgb.shape[0] * scale))


def rotate(rgb: Rgb, *, degrees: float, border: Border) -> Rgb:
    """Return ``rgb`` rotated counterclockwise by ``degrees``, with no black corners.

    inner: cropped to the largest upright rectangle inside the rotated photo. reflect: the frame keeps its
    size, and the corners are filled by reflection.
    """
    height, width = rgb.shape[:2]
    matrix = cv2.getRotationMatrix2D((width / 2 - 0.5, height / 2 - 0.5), degrees, 1)
    rotated = cv2.warpAffine(
        rgb,
        matrix,
        (width, height),
        flags=cv2.INTER_CUBIC,
        # For inner as well: its crop is rounded, so a border pixel may lie outside of the photo.
        borderMode=cv2.BORDER_REFLECT_101,
    )
    if border == "reflect":
        return rotated  # type: ignore[return-value]
    inner_width, inner_height = _inner_rectangle(width, height, degrees=degrees)
    left, right = int(width / 2 - inner_width / 2), int(width / 2 + inner_width / 2)
    top, bottom = int(height / 2 - inner_height / 2), int(height / 2 + inner_height / 2)
    return rotated[top:bottom, left:right]  # type: ignore[return-value]


def angles(photo: str, *, copies: int, max_degrees: float) -> list[float]:
    """Return the angles of a photo's rotated copies in degrees, derived from its checksum ``photo``.

    They are uniformly distributed over -``max_degrees``..``max_degrees`` and rounded to a tenth of a degree.
    """
    draws = (int(sha256(f"{photo}/{number}".encode())[:13], 16) / 16**13 for number in range(copies))
    return [round((2 * draw - 1) * max_degrees, 1) for draw in draws]


def _inner_rectangle(width: int, height: int, *, degrees: float) -> tuple[float, float]:
    """Return width and height of the largest upright rectangle inside a photo rotated by ``degrees``.

    The solution is from https://stackoverflow.com/a/16778797; albumentations uses it too.
    """
    sin, cos = abs(math.sin(math.radians(degrees))), abs(math.cos(math.radians(degrees)))
    long, short = max(width, height), min(width, height)
    if short <= 2 * sin * cos * long or abs(sin - cos) < 1e-10:
        # Two corners touch the long sides; the other two lie on the line halfway between them.
        inner_long, inner_short = short / 2 / sin, short / 2 / cos
        return (inner_long, inner_short) if width >= height else (inner_short, inner_long)
    double = cos**2 - sin**2
    return (width * cos - height * sin) / double, (height * cos - width * sin) / double


def _resize(rgb: Rgb, *, width: int, height: int) -> Rgb:
    shrinks = width * height < rgb.shape[0] * rgb.shape[1]
    return cv2.resize(rgb, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC)  # type: ignore[return-value]

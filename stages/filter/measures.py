"""What is measured on one photo: size, color, light, sharpness, strips at its edges, and its likeness hash.

All but the size is measured on a copy with a short side of 256 pixels at most, so that it means the same
for every size and costs little beside decoding.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from ungray.imaging import decoding, photos
from ungray.imaging.color import Float, chroma, rgb_to_lab
from ungray.imaging.duplicates import CORNER, Corners, Look, look, small_copy

WHITE = 251
"""A pixel whose three channels are at least this is blown out: it shows white and no color."""


@dataclass(frozen=True)
class Measures:
    """What was measured on a photo; ``damage`` says why nothing could be.

    ``bytes`` is the size of the file, ``width`` and ``height`` are in pixels after EXIF orientation,
    ``chroma_p95`` is the 95th percentile of Lab chroma (0 gray, under 6 almost surely gray, 6 to 10 muted),
    ``lightness_p99`` the 99th percentile of L (0..100), ``white`` the share of blown-out pixels (0..1),
    ``tint_spread`` and ``tint_hue`` are those of :func:`tone`, ``phash`` and ``corners`` are those of
    :mod:`ungray.imaging.duplicates`, ``sharpness`` and ``strip`` those of the functions of their names.
    """

    bytes: int = 0
    width: int = 0
    height: int = 0
    chroma_p95: float = 0.0
    tint_spread: float = 0.0
    tint_hue: float = 0.0
    lightness_p99: float = 0.0
    white: float = 0.0
    sharpness: float = 0.0
    strip: float = 0.0
    phash: str = ""
    damage: str = ""
    corners: Corners = field(default_factory=lambda: np.empty(0, CORNER), compare=False, repr=False)

    @property
    def look(self) -> Look:
        """What the photo is known by."""
        return Look(self.phash, self.corners)

    def figures(self) -> dict[str, int | float | str]:
        """Return all by name but the corners."""
        return {one.name: getattr(self, one.name) for one in fields(self) if one.name != "corners"}

    @property
    def aspect(self) -> float:
        """Long side over short side."""
        return max(self.width, self.height) / max(1, min(self.width, self.height))


def measure(path: Path) -> Measures:
    """Decode the photo at ``path`` fully and measure it, within the limits of
    :mod:`ungray.imaging.decoding`."""
    content = path.read_bytes()
    try:
        return decoding.limited(measured, content)
    except photos.PhotoError as error:
        return Measures(bytes=len(content), damage=str(error))


def measured(content: bytes) -> Measures:
    """Return the measures of the photo in a file; raises a PhotoError if it cannot be read."""
    rgb = photos.read_rgb(content)
    height, width = rgb.shape[:2]
    known = look(rgb)
    rgb = small_copy(rgb)
    lab = rgb_to_lab(rgb)
    lightness = np.ascontiguousarray(lab[..., 0])
    spread, hue = tone(lab)
    return Measures(
        bytes=len(content),
        width=width,
        height=height,
        chroma_p95=round(float(np.percentile(chroma(lab), 95)), 2),
        tint_spread=round(spread, 3),
        tint_hue=round(hue, 1),
        lightness_p99=round(float(np.percentile(lightness, 99)), 2),
        white=round(float(cv2.inRange(rgb, (WHITE,) * 3, (255,) * 3).mean()) / 255, 4),
        sharpness=round(sharpness(lightness), 3),
        strip=round(strip(rgb), 3),
        phash=known.phash,
        corners=known.corners,
    )


TONE_SIDE = 128
"""Pixels: tone is measured on a copy with this short side at most, which is a quarter of the work."""
TONE_LEVELS = 256
"""Steps of lightness; fine ones, since near white a clipped print's color changes fast."""


def tone(lab: Float) -> tuple[float, float]:
    """Return how far the colors of Lab (height, width, 3) are from one tone, and the hue of their mean.

    In a sepia or otherwise toned print ab follows from L. So the mean ab of each lightness is taken away;
    what is left is averaged over a 32nd of the short side, in which the errors of JPEG's half-size color
    cancel. Its 99.7th percentile, in Lab units, is divided by the root of the chroma, since those errors grow
    with the color: 0 or more, under 1 in toned prints. The hue is in degrees, 0 to 360: 90 yellow, 270 blue.
    """
    small = _shrunk(lab, TONE_SIDE)
    lightness, a, b = (np.ascontiguousarray(small[..., channel]) for channel in range(3))
    level = (lightness * (TONE_LEVELS / 100)).astype(np.intp).clip(0, TONE_LEVELS - 1).ravel()
    count = np.maximum(np.bincount(level, minlength=TONE_LEVELS), 1)
    left_a, left_b = (_shrunk(values - _means(values, level, count), 32) for values in (a, b))
    spread = np.percentile(np.hypot(left_a, left_b), 99.7)
    hue = np.degrees(np.arctan2(b.mean(), a.mean())) % 360
    return float(spread / max(1.0, np.percentile(np.hypot(a, b), 95)) ** 0.5), float(hue)


def _means(values: Float, level: NDArray[np.intp], count: NDArray[np.intp]) -> Float:
    """Return for each pixel the mean of ``values`` over all pixels of its ``level``."""
    means = np.bincount(level, values.ravel(), TONE_LEVELS) / count
    return means.astype(np.float32)[level].reshape(values.shape)


def _shrunk(pixels: Float, short_side: int) -> Float:
    scale = short_side / min(pixels.shape[:2])
    if scale >= 1:
        return pixels
    return np.asarray(cv2.resize(pixels, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA))


def sharpness(lightness: Float) -> float:
    """Return how much a further slight blur takes from the sharpest edges of L (height, width); 1 is nothing.

    The mean squared gradient of the steepest thousandth, over the same after a Gaussian blur of 1.5
    pixels. Only the steepest edges count, so fog and shallow focus are no fault; a ratio, so contrast is
    none. A photo blurred by sigma 2 has about 1.5, by sigma 4 about 1.2, a sharp one 3 or more. After
    Crete et al., "The blur effect" (2007), who compare a photo with a blurred copy of itself too.
    """
    blurred = np.asarray(cv2.GaussianBlur(lightness, (0, 0), 1.5), dtype=np.float32)
    return _steepest(lightness) / max(_steepest(blurred), 1e-6)


def _steepest(lightness: Float) -> float:
    energy = cv2.Sobel(lightness, cv2.CV_32F, 1, 0) ** 2 + cv2.Sobel(lightness, cv2.CV_32F, 0, 1) ** 2
    values = energy[2:-2, 2:-2].ravel()
    if not values.size:
        return 0.0
    count = max(1, values.size // 1000)
    return float(np.partition(values, -count)[-count:].mean())


STRIP_SHARE = 0.3
"""A strip takes at most this share of the side."""
STRIP_TONES = 6
"""Levels of 255 by which a strip's plain pixels differ from its color."""
STRIP_EDGE = 12
"""Levels of 255 by which the photo differs from a strip at the edge between them."""
STRIP_PLAIN, STRIP_ROW_PLAIN = 0.8, 0.85
"""Shares of plain pixels, in a whole strip and in the rows next to its edge, that leave room for a
caption."""


def strip(rgb: photos.Rgb) -> float:
    """Return how sure it is that a bar or a caption strip runs along an edge of uint8 RGB: 0..1.

    A strip is of one color but for its caption and ends in a sharp edge from one side of the photo to the
    other: the result is the share of that edge which is sharp, less where the strip is not plain. A moon
    on black or an object on white has no such edge.
    """
    return max(_strip_above(np.ascontiguousarray(rows)) for rows in _from_each_edge(rgb))


def _from_each_edge(rgb: photos.Rgb) -> Iterator[photos.Rgb]:
    for side in (rgb, rgb.transpose(1, 0, 2)):
        for rows in (side, side[::-1]):
            yield rows[: int(len(rows) * STRIP_SHARE) + 2]


def _strip_above(rows: photos.Rgb) -> float:
    """Return :func:`strip` for these rows only, the outermost first."""
    if len(rows) < 6 or _plain(rows[1:2]).mean() < 0.5:
        return 0.0
    # An edge may be blended over one row: the rows on both sides of it are compared.
    level = cv2.inRange(cv2.absdiff(rows[4:], rows[2:-2]), (0,) * 3, (STRIP_EDGE,) * 3)
    edges = (level == 0).mean(axis=1)
    surest = 0.0
    for at in np.flatnonzero(edges > 0.6):
        plain = _plain(rows[: at + 3])
        near_edge = plain[-2:].mean(axis=1).min()
        surest = max(surest, min(edges[at], plain.mean() / STRIP_PLAIN, near_edge / STRIP_ROW_PLAIN))
    return float(surest)


def _plain(rows: photos.Rgb) -> NDArray[np.bool_]:
    """Say which pixels of ``rows`` have the median color of all of them."""
    # NumPy is slow along an axis of three.
    color = np.array([np.median(channel) for channel in cv2.split(rows)])
    lowest, highest = np.ceil(color - STRIP_TONES).clip(0), np.floor(color + STRIP_TONES)
    return cv2.inRange(rows, lowest, highest) > 0

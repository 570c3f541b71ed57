"""The measures of a photo: size, color, exposure, sharpness, strips at its edges, and perceptual hashes.

All except the size are measured on a copy with a short side of at most 256 pixels, so that their values are
comparable across sizes and cost little compared with decoding.
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
from ungray.imaging.duplicates import CORNER, Corners, Signature, signature, small_copy

WHITE = 251
"""A pixel whose three channels all have at least this value is blown out: it is white without any color."""


@dataclass(frozen=True)
class Measures:
    """The measures of a photo.

    Attributes:
        bytes: the size of the file.
        width: in pixels, after EXIF orientation.
        height: in pixels, after EXIF orientation.
        chroma_p95: the 95th percentile of Lab chroma (0 gray, under 6 almost surely gray, 6 to 10 muted).
        tint_spread: see :func:`tone`.
        tint_hue: see :func:`tone`.
        lightness_p99: the 99th percentile of L, 0..100.
        white: the share of blown-out pixels, 0..1.
        sharpness: see :func:`sharpness`.
        strip: see :func:`strip`.
        phash: see :mod:`ungray.imaging.duplicates`.
        damage: why the photo could not be measured; empty if it could.
        corners: see :mod:`ungray.imaging.duplicates`.
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
    def signature(self) -> Signature:
        """The hashes by which copies of the photo are found."""
        return Signature(self.phash, self.corners)

    def figures(self) -> dict[str, int | float | str]:
        """Return all measures by name, without the corners."""
        return {one.name: getattr(self, one.name) for one in fields(self) if one.name != "corners"}

    @property
    def aspect(self) -> float:
        """Long side over short side."""
        return max(self.width, self.height) / max(1, min(self.width, self.height))


def measure(path: Path) -> Measures:
    """Decode the photo at ``path`` completely and measure it, within the limits of
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
    hashes = signature(rgb)
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
        phash=hashes.phash,
        corners=hashes.corners,
    )


TONE_SIDE = 128
"""The short side in pixels, at most, on which tone is measured: a quarter of the work of 256."""
TONE_LEVELS = 256
"""The number of lightness levels; many, since near white the color of a clipped print changes quickly."""


def tone(lab: Float) -> tuple[float, float]:
    """Return how much the colors of Lab (height, width, 3) differ from a single tone, and their mean hue.

    In a sepia or otherwise toned print, ab is a function of L. So the mean ab of each lightness level is
    subtracted. The rest is downsampled to a short side of 32 pixels, which averages out the errors of JPEG's
    chroma subsampling. Its 99.7th percentile, in Lab units, is divided by the square root of the chroma,
    since those errors grow with the chroma. The result is 0 or more, and under 1 in toned prints. The hue is
    in degrees, 0 to 360: 90 is yellow, 270 blue.
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
    """Return for each pixel the mean of ``values`` over all pixels with the same ``level``."""
    means = np.bincount(level, values.ravel(), TONE_LEVELS) / count
    return means.astype(np.float32)[level].reshape(values.shape)


def _shrunk(pixels: Float, short_side: int) -> Float:
    scale = short_side / min(pixels.shape[:2])
    if scale >= 1:
        return pixels
    return np.asarray(cv2.resize(pixels, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA))


def sharpness(lightness: Float) -> float:
    """Return how much a slight blur weakens the sharpest edges of L (height, width); 1 means not at all.

    The result is the mean squared gradient of the steepest 0.1 % of the pixels, divided by the same after a
    Gaussian blur of 1.5 pixels. Only the steepest edges count, so fog and shallow focus don't matter; it is a
    ratio, so contrast doesn't matter. A photo blurred by sigma 2 has about 1.5, by sigma 4 about 1.2, a sharp
    one 3 or more. The idea of comparing a photo with a blurred copy of itself is from Crete et al., "The blur
    effect" (2007).
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
"""The largest share of the photo's side that a strip takes."""
STRIP_TONES = 6
"""The largest difference, of 255, between the plain pixels of a strip and its color."""
STRIP_EDGE = 12
"""The least difference, of 255, between the photo and a strip at the edge between them."""
STRIP_PLAIN, STRIP_ROW_PLAIN = 0.8, 0.85
"""The least shares of plain pixels in a whole strip, and in the rows next to its edge; the rest may be a
caption."""


def strip(rgb: photos.Rgb) -> float:
    """Return the confidence that a bar or a caption strip runs along an edge of the photo, uint8 RGB: 0..1.

    A strip has one color, except for its caption, and ends in a sharp edge that crosses the whole photo. The
    result is the sharp share of that edge, or less if the strip is not plain. A moon on black or an object on
    white has no such edge.
    """
    return max(_strip_above(np.ascontiguousarray(rows)) for rows in _from_each_edge(rgb))


def _from_each_edge(rgb: photos.Rgb) -> Iterator[photos.Rgb]:
    for upright in (rgb, rgb.transpose(1, 0, 2)):
        for rows in (upright, upright[::-1]):
            yield rows[: int(len(rows) * STRIP_SHARE) + 2]


def _strip_above(rows: photos.Rgb) -> float:
    """Return :func:`strip` for these rows only, which start at the photo's edge."""
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
    """Return which pixels of ``rows`` have the median color of all their pixels."""
    # Channel by channel: NumPy is slow along an axis of length three.
    color = np.array([np.median(channel) for channel in cv2.split(rows)])
    lowest, highest = np.ceil(color - STRIP_TONES).clip(0), np.floor(color + STRIP_TONES)
    return cv2.inRange(rows, lowest, highest) > 0

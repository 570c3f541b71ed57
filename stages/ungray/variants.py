"""Plausible colorings to choose from, and likely colors at a place.

A network that was trained with L1 gives one answer, not a distribution. How unsure it is of a place shows
when it is asked again with a weak hint of another color everywhere: where the color is certain to it, as of a
face or the sky, it keeps its answer, and where it is not, it follows (on 120 photographs the error of a
segment correlates with this by 0.28). In which direction the truth lies does not show. But the errors of a
photo's places have much in common: the whole is too pale or too strong, too warm or too cool. So variants
differ in tone everywhere, more so where the network is less sure, and most at the object that it is least
sure of.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ungray.colorizer import Colorizer, NetworkInput
from ungray.errors import ArgumentError
from ungray.hints import Hint
from ungray.imaging.color import Float, hex_color
from ungray.imaging.photo_files import Photo

PALETTE = np.array(
    [
        (0, 0, 0.402), (-4, -17, 0.149), (7, 18, 0.094), (-2, -30, 0.059), (12, -16, 0.046), (-12, 17, 0.046),
        (22, 33, 0.036), (-6, 34, 0.031), (37, 53, 0.025), (23, 7, 0.025), (9, -45, 0.022), (-20, -7, 0.021),
        (-31, 38, 0.014), (37, -37, 0.013), (-6, 64, 0.011), (33, -73, 0.004),
    ],
    np.float32,
)  # fmt: skip
"""a and b of the colors of photographs, and the share of pixels that are nearest to each.

Gray, and the centers of 15 clusters (k-means) of what has a chroma over 12 among 53,000 pixels of photographs
from Bing, of all kinds.
"""

RARE = 5.0
"""How many Lab units farther a color may be to count as likely, if it is e times as frequent."""

NEW = 12.0
"""The smallest distance of a likely color from the network's own answer, in Lab units."""

PROBE, TRUST = 30.0, 0.3
"""Chroma, in Lab units, and weight of the weak hints that find what the network is unsure of."""

TONES: tuple[tuple[float, tuple[float, float], tuple[float, float]], ...] = (
    (1.5, (4, 8), (14, 8)),  # warm
    (1.0, (-1, -10), (4, -16)),  # cool
    (0.6, (1, 2), (0, 0)),  # pale
    (1.0, (-5, 5), (-8, 12)),  # green
    (2.0, (0, 0), (16, 10)),
    (1.0, (9, 2), (18, -4)),
    (0.8, (0, 6), (0, 18)),
    (1.2, (-6, -4), (-16, -2)),
    (1.3, (3, -6), (16, -16)),
    (0.4, (2, 6), (6, 4)),
    (1.6, (-2, 12), (4, 24)),
    (1.6, (0, -14), (8, -30)),
)
"""How variants differ from the network's answer, one each: a factor of a and b, what is added to them, and
what is added besides at the object that the network is least sure of, in Lab units.

The second is multiplied by the doubt of a place relative to that of the photo, to the power of 1.5. The first
four were chosen on 120 photographs of kinds that the base model was trained on, for the best of four.
"""

MOST_DOUBT = 2.0
"""The largest relative doubt."""

GRID = 3
"""A photo has this number of segments squared: about as many hints as a person still overlooks."""

EVEN, ALIKE, NEAR = 14.0, 6.0, 5.0
"""What makes a segment: Lab units of lightness, Lab units of predicted a and b, and a fifth of the short side
count the same."""

SMALLEST, OBJECT = 0.01, (0.02, 0.4)
"""The share of a photo from which a segment has a hint, and the shares that an object has."""

DARKEST, LIGHTEST = 25.0, 90.0
"""Between these a hint's color is chosen: nearer to black or white, colors as hex have hardly any chroma."""


def variants(
    colorizer: Colorizer,
    photo: Image.Image | NDArray[Any] | Photo,
    *,
    number: int = 4,
    hints: Sequence[Hint] = (),
) -> list[list[Hint]]:
    """Return ``number`` plausible colorings, each as hints that :meth:`Colorizer.colorize` takes.

    They differ in tone, more so where the model is less sure, and most at the object that it is least sure
    of. None is the coloring without further hints. The same photo and hints give the same variants.

    Args:
        colorizer: a model that takes hints.
        photo: see :meth:`Colorizer.colorize`.
        number: 1 to 12.
        hints: what is known; all variants begin with these, and keep clear of the segments that have them.

    Raises:
        ArgumentError: the number is out of range, the model takes no hints, or see
            :meth:`Colorizer.colorize`.
        PhotoError: see there.
    """
    if not (isinstance(number, int) and 1 <= number <= 12):
        raise ArgumentError(f"number is {number!r:.40}; it must be 1 to 12 variants")
    seen = _seen(colorizer, photo, hints)
    (answer,) = colorizer.network_output(seen.lightness, seen.hints[None])
    doubt = _doubt(colorizer, seen, answer)
    segments = _segments(seen.lightness, answer)
    found: list[list[Hint]] = [list(hints) for _ in range(number)]
    places = _places(segments, doubt, known=seen.hints[2] > 0)
    for place in places:
        here = _mean_around(answer, place.row, place.column)
        lightness = float(_mean_around(seen.lightness, place.row, place.column).clip(DARKEST, LIGHTEST))
        relative = min(place.doubt / max(float(doubt.mean()), 1e-6), MOST_DOUBT) ** 1.5
        for variant, (factor, tone, accent) in zip(found, TONES, strict=False):
            ab = factor * here + relative * np.array(tone, np.float32)
            if place is places[0]:
                ab = ab + np.array(accent, np.float32)
            variant.append(_hint(seen, place.row, place.column, hex_color(lightness, ab)))
    return found


def likely_colors(
    colorizer: Colorizer,
    photo: Image.Image | NDArray[Any] | Photo,
    x: float,
    y: float,
    *,
    number: int = 6,
    hints: Sequence[Hint] = (),
) -> list[str]:
    """Return colors that are likely at a place, as "#rrggbb" of the place's lightness, likeliest first.

    The first is the model's answer there; the others are colors of photographs, frequent ones near this
    answer first. There are fewer than ``number`` where the lightness allows fewer distinct ones.

    Args:
        colorizer: any model.
        photo: see :meth:`Colorizer.colorize`.
        x: pixels from the left of the upright photo.
        y: pixels from its top.
        number: 1 or more.
        hints: what is known.

    Raises:
        ArgumentError: the place is outside the photo, the number is not 1 or more, or see
            :meth:`Colorizer.colorize`.
        PhotoError: see there.
    """
    if not (isinstance(number, int) and number >= 1):
        raise ArgumentError(f"number is {number!r:.40}; it must be 1 or more colors")
    seen = colorizer.network_input(photo, hints=hints)
    Hint(x, y, "#000000")
    if not (0 <= x < seen.width and 0 <= y < seen.height):
        raise ArgumentError(f"{x:g}, {y:g} lies beside the photo of {seen.width}x{seen.height} pixels")
    height, width = seen.lightness.shape
    row, column = int(y * height / seen.height), int(x * width / seen.width)
    (answer,) = colorizer.network_output(seen.lightness, seen.hints[None])
    here = _mean_around(answer, row, column)
    lightness = float(_mean_around(seen.lightness, row, column))
    colors = [here, *_likely(here, len(PALETTE), new=NEW)]
    return list(dict.fromkeys(hex_color(lightness, color) for color in colors))[:number]


def _seen(
    colorizer: Colorizer, photo: Image.Image | NDArray[Any] | Photo, hints: Sequence[Hint]
) -> NetworkInput:
    """Return what the network sees of a photo.

    Raises:
        ArgumentError: the model takes no hints.
    """
    colorizer.require_hints()
    return colorizer.network_input(photo, hints=hints)


@dataclass(frozen=True)
class _Place:
    """A place of a hint on the small copy, and how far weak hints move the answer in its segment."""

    row: int
    column: int
    doubt: float


def _doubt(colorizer: Colorizer, seen: NetworkInput, answer: Float) -> Float:
    """Return how far weak hints everywhere move the answer, (height, width), Lab units."""
    probes = np.repeat(seen.hints[None], 4, axis=0)
    for probe, ab in zip(probes, ((PROBE, 0), (0, PROBE), (-PROBE, 0), (0, -PROBE)), strict=True):
        unknown = probe[2] == 0
        probe[:, unknown] = np.array([[*ab, TRUST]], np.float32).T
    moved = np.linalg.norm(colorizer.network_output(seen.lightness, probes) - answer, axis=-1)
    return moved.mean(axis=0)


def _segments(lightness: Float, answer: Float) -> NDArray[np.int32]:
    """Return the number of each pixel's segment: what lies together and has one lightness and color.

    k-means of lightness, smoothed with its edges kept, a, b and place, beginning with a grid.
    """
    height, width = lightness.shape
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    even = cv2.bilateralFilter(np.ascontiguousarray(lightness), 7, 12, 4)
    across = np.dstack([rows, columns]) * (NEAR / min(height, width))
    points = np.dstack([even / EVEN, answer / ALIKE, across]).reshape(-1, 5).astype(np.float32)
    grid = (rows * GRID / height).astype(np.int32) * GRID + (columns * GRID / width).astype(np.int32)
    criteria = (cv2.TERM_CRITERIA_MAX_ITER, 12, 0)
    start = np.ascontiguousarray(grid.reshape(-1, 1))
    found = cv2.kmeans(points, GRID**2, start, criteria, 1, cv2.KMEANS_USE_INITIAL_LABELS)[1]
    return np.asarray(found, np.int32).reshape(height, width)


def _places(segments: NDArray[np.int32], doubt: Float, *, known: NDArray[np.bool_]) -> list[_Place]:
    """Return the deepest place of each segment without a known color.

    The first is that of the most doubtful object: a segment that is neither tiny nor most of the photo, and
    ends before the photo's edge; the expected error is its doubt, and a person sees the larger one first.
    """
    found: list[tuple[float, _Place]] = []
    edge = np.ones(segments.shape, bool)
    edge[2:-2, 2:-2] = False
    for number in range(GRID**2):
        inside = segments == number
        share = inside.mean()
        if share < SMALLEST or (inside & known).any():
            continue
        padded = cv2.copyMakeBorder(inside.astype(np.uint8), 1, 1, 1, 1, cv2.BORDER_CONSTANT)
        depth = np.asarray(cv2.distanceTransform(padded, cv2.DIST_L2, 5))[1:-1, 1:-1]
        row, column = divmod(int(depth.argmax()), segments.shape[1])
        mean = float(doubt[inside].mean())
        at_edge = (inside & edge).sum() / edge.sum()
        is_object = OBJECT[0] < share < OBJECT[1]
        score = mean * share**0.5 * (1 - at_edge) ** 2 if is_object else 0.0
        found.append((score, _Place(row, column, mean)))
    return [place for _, place in sorted(found, key=lambda one: -one[0])]


def _likely(here: Float, number: int, *, new: float) -> list[Float]:
    """Return a and b of the ``number`` likeliest colors where the network's answer is ``here``, Lab units.

    They are at least ``new`` from it.
    """
    colors, shares = PALETTE[:, :2], PALETTE[:, 2]
    distance = np.linalg.norm(colors - here, axis=1)
    order = np.argsort(distance - RARE * np.log(shares), kind="stable")
    return list(colors[order[distance[order] >= new]][:number])


def _mean_around(values: Float, row: int, column: int) -> Any:
    """Return the mean of (height, width, …) over a square of five pixels a side."""
    return values[max(0, row - 2) : row + 3, max(0, column - 2) : column + 3].mean(axis=(0, 1))


def _hint(seen: NetworkInput, row: int, column: int, color: str) -> Hint:
    """Return a hint at the middle of a pixel of the small copy."""
    height, width = seen.lightness.shape
    x, y = (column + 0.5) * seen.width / width, (row + 0.5) * seen.height / height
    return Hint(round(min(x, seen.width - 0.1), 1), round(min(y, seen.height - 0.1), 1), color)

"""Hints: known colors at points of a photo, and the form in which a network takes them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ungray.errors import ArgumentError, is_number
from ungray.imaging.color import Float, rgb_to_lab

PATCH = 3
"""Side of the patch that a hint becomes, in pixels of the small copy."""

HEX = re.compile(r"#[0-9a-fA-F]{6}")


@dataclass(frozen=True)
class Hint:
    """A known color at a point of a photo.

    Attributes:
        x: pixels from the left of the upright photo, 0 at the left edge of the first pixel.
        y: pixels from its top.
        color: sRGB as "#rrggbb"; its hue and chroma are used, the lightness stays the photo's.
        weight: how much the color is trusted, over 0 and at most 1.

    Raises:
        ArgumentError: one of them has another type or is out of range.
    """

    x: float
    y: float
    color: str
    weight: float = 1.0

    def __post_init__(self) -> None:
        if not (is_number(self.x) and is_number(self.y)):
            raise ArgumentError(f"a hint's place is {self.x}, {self.y}; both must be numbers of pixels")
        if not (isinstance(self.color, str) and HEX.fullmatch(self.color)):
            raise ArgumentError(f"a hint's color is {self.color!r:.40}; it must be sRGB such as #aa3322")
        if not (is_number(self.weight) and 0 < self.weight <= 1):
            raise ArgumentError(f"a hint's weight is {self.weight}; it must be over 0 and at most 1")

    def ab(self) -> Float:
        """Return a and b of the color, float32 (2,), Lab units."""
        levels = np.array([[[int(self.color[n : n + 2], 16) for n in (1, 3, 5)]]], np.uint8)
        return rgb_to_lab(levels)[0, 0, 1:]


def drawn(hints: Sequence[Hint], *, photo: tuple[int, int], small: tuple[int, int]) -> Float:
    """Return ``hints`` in a network's input format: float32 (3, small height, small width).

    Channels: a and b in Lab units and the weight, 0 where nothing is known. Each hint is a square of
        :data:`PATCH` pixels a side; where two overlap, the later one counts.

    Args:
        hints: those of one photo.
        photo: its height and width in pixels.
        small: height and width of the small copy that the network sees.

    Raises:
        ArgumentError: an item is not a :class:`Hint`, or lies outside the photo.
    """
    channels = np.zeros((3, *small), np.float32)
    for hint in hints:
        if not isinstance(hint, Hint):
            raise ArgumentError(
                f"{hint!r:.40} is no hint; give Hint(x, y, color), as Hint(120, 80, '#aa3322')"
            )
        if not (0 <= hint.x < photo[1] and 0 <= hint.y < photo[0]):
            raise ArgumentError(
                f"a hint lies at {hint.x:g}, {hint.y:g}, beside the photo of {photo[1]}x{photo[0]} pixels"
            )
        row, column = (
            min(int(place * size / full), size - 1)
            for place, size, full in ((hint.y, small[0], photo[0]), (hint.x, small[1], photo[1]))
        )
        rows, columns = (slice(max(0, at - PATCH // 2), at + PATCH // 2 + 1) for at in (row, column))
        channels[:2, rows, columns] = hint.ab()[:, None, None]
        channels[2, rows, columns] = hint.weight
    return channels

"""Hints: known colors at points of a photo, their files, and the form in which a network takes them."""

from __future__ import annotations

import json
import re
import stat
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ungray.errors import ArgumentError, UngrayError, is_number
from ungray.imaging.color import Float, rgb_to_lab
from ungray.system.files import whole_file
from ungray.system.limits import MAX_FILM_SECONDS

PATCH = 3
"""Side of the patch that a hint becomes, in pixels of the small copy."""

HEX = re.compile(r"#[0-9a-fA-F]{6}")

SUFFIX = ".hints.json"
"""What the name of a photo's hints file ends in: a.hints.json for a.jpg."""

MAX_HINTS = 10_000
"""The largest number of hints that a file may contain."""

MAX_FILE = 4_000_000
"""The largest size of a hints file, in bytes."""

OTHER_SHAPE = 0.02
"""By how much the ratio of width to height may differ between a hints file's photo and the photo colored:
sides are rounded when a photo is scaled."""


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
        patch(channels, row, column, hint.ab(), weight=hint.weight)
    return channels


def patch(channels: Float, row: int, column: int, ab: Float, *, weight: float) -> None:
    """Draw one hint at a pixel of the small copy into ``channels``, float32 (3, height, width)."""
    rows, columns = (slice(max(0, at - PATCH // 2), at + PATCH // 2 + 1) for at in (row, column))
    channels[:2, rows, columns] = ab[:, None, None]
    channels[2, rows, columns] = weight


def read_hints(path: Path | str, *, width: int | None = None, height: int | None = None) -> list[Hint]:
    """Return the hints of a file that :func:`write_hints` wrote, or another program in the same format.

    Args:
        path: the file.
        width: width in pixels of the upright photo to be colored; with ``height`` the hints are scaled to it.
        height: its height. Without both, the hints are for a photo of the size that the file states.

    Raises:
        UngrayError: the file cannot be read, is not a hints file, or is for a photo of another shape.
    """
    try:
        kind = stat.S_IFMT(Path(path).stat().st_mode)
        if kind not in (stat.S_IFREG, stat.S_IFDIR):  # nobody may ever write to a pipe
            raise UngrayError(f"{path} is a pipe or device; name a hints file")
        with Path(path).open("rb") as file:
            content = file.read(MAX_FILE + 1)
    except OSError as error:
        raise UngrayError(f"{path} cannot be read: {error.strerror}; name a hints file") from None
    return parse_hints(content, name=str(path), width=width, height=height)


def parse_hints(
    content: bytes | str, *, name: str = "the hints", width: int | None = None, height: int | None = None
) -> list[Hint]:
    """Return the hints in the content of a hints file; see :func:`read_hints`.

    ``name`` is what error messages call it.

    Raises:
        UngrayError: it is too large, not in the format of hints, or for a photo of another shape.
    """
    if len(content) > MAX_FILE:
        raise UngrayError(f"{name}: no hints file: it is larger than {MAX_FILE / 1e6:g} MB")
    try:
        found = json.loads(content)
    except (ValueError, RecursionError):
        raise UngrayError(f"{name}: damaged, or no hints file: it is not JSON") from None
    about: dict[str, Any] = found if isinstance(found, dict) else {}
    own_width, own_height = about.get("width", 0), about.get("height", 0)
    if not (_is_side(own_width) and _is_side(own_height)):
        raise UngrayError(f"{name}: no hints file: it states no width and height of a photo")
    rows = about.get("hints")
    if not isinstance(rows, list) or len(rows) > MAX_HINTS:
        raise UngrayError(f"{name}: no hints file: it has no list of at most {MAX_HINTS:,} hints")
    hints = [
        _of_row(row, f"{name}: hint {number}", own_width, own_height) for number, row in enumerate(rows, 1)
    ]
    if width is None or height is None:
        return hints
    if abs(width * own_height / own_width - height) > max(1, OTHER_SHAPE * height):
        raise UngrayError(
            f"{name}: for a photo of {own_width}x{own_height} pixels, and this one has {width}x{height}, "
            "another shape; give the hints of this photo"
        )
    return scaled_hints(hints, across=width / own_width, down=height / own_height)


def hint_times(content: bytes | str, *, name: str = "the hints") -> list[float]:
    """Return the seconds from the beginning of a film at which each hint of a hints file begins to hold, its
    "time", 0 where it has none. :func:`parse_hints` has accepted the content.

    Raises:
        UngrayError: a time is no number of seconds, or too large.
    """
    times = [row.get("time", 0.0) for row in json.loads(content)["hints"]]
    for number, time in enumerate(times, 1):
        if not (is_number(time) and 0 <= time <= MAX_FILM_SECONDS):
            raise UngrayError(
                f"{name}: hint {number}: its time is {time!r:.40}; it must be seconds, 0 or more"
            )
    return times


def write_hints(path: Path | str, hints: Sequence[Hint], *, width: int, height: int) -> None:
    """Write the hints of an upright photo of ``width`` x ``height`` pixels; the file appears whole or not at
    all. See :func:`hints_json`.

    Raises:
        OSError: it cannot be written.
    """
    with whole_file(Path(path)) as partial:
        partial.write_text(hints_json(hints, width=width, height=height), encoding="utf-8", newline="\n")


def hints_json(hints: Sequence[Hint], *, width: int, height: int) -> str:
    """Return the content of the hints file of an upright photo of ``width`` x ``height`` pixels.

    It is JSON: {"width": 640, "height": 480, "hints": [{"x": 120.5, "y": 80, "color": "#aa3322", "weight":
    1.0}]}, with the hints in the order given.
    """
    rows = ",\n    ".join(json.dumps(asdict(hint)) for hint in hints)
    listed = f"[\n    {rows}\n  ]" if rows else "[]"
    return f'{{\n  "width": {width},\n  "height": {height},\n  "hints": {listed}\n}}\n'


def scaled_hints(hints: Sequence[Hint], *, across: float, down: float) -> list[Hint]:
    """Return hints for the same photo at another size: ``across`` times as wide, ``down`` times as high."""
    if (across, down) == (1, 1):
        return list(hints)
    return [Hint(hint.x * across, hint.y * down, hint.color, hint.weight) for hint in hints]


def _is_side(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value < 1 << 31


def _of_row(row: Any, name: str, width: int, height: int) -> Hint:
    """Return the hint of a row of a hints file."""
    if not isinstance(row, dict) or not {"x", "y", "color"} <= row.keys():
        raise UngrayError(f'{name}: no hint, which is such as {{"x": 120, "y": 80, "color": "#aa3322"}}')
    try:
        hint = Hint(row["x"], row["y"], row["color"], row.get("weight", 1.0))
    except ArgumentError as error:
        raise UngrayError(f"{name}: {error}") from None
    if not (0 <= hint.x < width and 0 <= hint.y < height):
        raise UngrayError(
            f"{name}: it lies at {hint.x:g}, {hint.y:g}, beside the photo of {width}x{height} pixels"
        )
    return hint

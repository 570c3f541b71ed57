"""The prepared files of one photo: the photo itself and, in train, its rotated copies and other sizes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

from stages.prepare.geometry import angles, fit, output_size, rotate, shrink
from stages.prepare.params import Params
from ungray.imaging import photos


@dataclass(frozen=True)
class View:
    """One prepared file of a photo.

    Attributes:
        name: the file's name, without folder.
        size: its side in pixels; a smaller photo keeps its size unless ``prepare.enlarge`` is set.
        turned: 0 for upright, 1, 2 ... for the rotated copies.
        rotation: the angle in degrees, counterclockwise.
    """

    name: str
    size: int
    turned: int
    rotation: float


def views(photo: str, *, split: str, params: Params) -> list[View]:
    """Return the views of ``photo`` (16 digits of its checksum): itself first, then, in train, its copies."""
    sizes, rotations = [params.photo_size], [0.0]
    if split == "train":
        sizes += params.extra_sizes
        rotations += angles(photo, copies=params.rotated_copies, max_degrees=params.rotation_degrees)
    return [
        View(
            f"{photo}{f'_{size}' if size != params.photo_size else ''}{f'_r{turned}' if turned else ''}.jpg",
            size=size,
            turned=turned,
            rotation=rotation,
        )
        for size, (turned, rotation) in product(sizes, enumerate(rotations))
    ]


def make(content: bytes, views: Sequence[View], params: Params) -> list[bytes]:
    """Return the JPEG files of ``views``, made from ``content``, the bytes of a photo's file.

    Raises:
        PhotoError: ``content`` cannot be read.
    """
    rgb = photos.read_rgb(content)
    shrunk = {size: shrink(rgb, size=size) for size in {view.size for view in views if view.turned}}
    made = []
    for view in views:
        upright = rgb
        if view.turned:
            upright = rotate(shrunk[view.size], degrees=view.rotation, border=params.rotation_border)
        size = output_size(rgb, size=view.size, how=params.fit, enlarge=params.enlarge)
        square = fit(upright, size=size, how=params.fit)
        made.append(photos.encode_rgb(square, suffix=".jpg", quality=params.jpeg_quality))
    return made

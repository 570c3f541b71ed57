"""Colors from a reference photo: places that look alike lend theirs, as weighted hints.

What looks alike is decided by the features of the network's own encoder, which knows objects rather than
tones. A place of the photo is matched with the place of the reference whose features have the nearest
direction, and the match counts if the way back leads to where it began (mutual nearest neighbors, as in
Aberman and others, "Neural best-buddies", 2018; colors by matched features: He and others, "Deep
exemplar-based colorization", 2018).

Single places of two photos of different things look alike, too, and their colors differ: no similarity of a
place alone tells the two cases apart. The photos as wholes do, so they are compared first.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ungray.colorizer import Colorizer
from ungray.errors import ArgumentError
from ungray.hints import Hint
from ungray.imaging.color import Float, Rgb, hex_color, rgb_to_lab
from ungray.imaging.photo_files import Photo
from ungray.imaging.upsampling import gray_levels, small_copy

ENLARGED = 2
"""The photos are looked at so many times larger than the network colors them: places become smaller."""

BACK = 1.5
"""How far from its beginning the way there and back may end, in places."""

ALIKE = 0.5
"""The smallest cosine of the features of two places that look alike, after the mean was subtracted."""

SAME_KIND = 0.83
"""The smallest cosine of the mean features of two photos from which colors are taken.

This and the next were chosen with 66 photos of kinds that the base model was trained on: of pairs of halves
of one photo 75 % reach both, of pairs of different photos 3 %.
"""

COMMON = 0.48
"""The smallest mean, over the places of both photos, of the cosine to the most similar place of the other."""

SHARP = 0.05
"""A place takes the mean color of all places of the reference, each weighted with exp(cosine / this)."""

TRUST, SURE = 0.9, 0.8
"""A hint's weight is the cosine divided by the second, at most the first: a person's own weighs more."""

DARKEST, LIGHTEST = 25.0, 90.0
"""Between these a hint's color is chosen: nearer to black or white, colors as hex have hardly any chroma."""

MOST = 400
"""The largest number of hints; those of the highest weights are kept."""


def hints_from_reference(
    colorizer: Colorizer,
    photo: Image.Image | NDArray[Any] | Photo,
    reference: Image.Image | Rgb,
    *,
    most: int = MOST,
) -> list[Hint]:
    """Return hints for ``photo`` with the colors that places of ``reference`` have which look like its own.

    There may be none: then the two photos have too little in common, and colors taken from one would more
    often be wrong than right in the other. The same photos give the same hints, ordered from top to bottom.

    Args:
        colorizer: a model that takes hints, whose file has features.
        photo: see :meth:`Colorizer.colorize`.
        reference: a photo in color, a Pillow image or uint8 sRGB (height, width, 3).
        most: the largest number of hints.

    Raises:
        ArgumentError: the model takes no hints, or one of the photos is none.
        UngrayError: the model's file has no features.
        PhotoError: see :meth:`Colorizer.colorize`.
    """
    colorizer.require_hints()
    seen = colorizer.network_input(photo)
    lightness = _enlarged(seen.lightness)
    (rows, columns), ours = _features(colorizer, lightness)
    colors = _rgb(reference)
    their_lightness = small_copy(gray_levels(colors), short_side=min(seen.lightness.shape), multiple=32)
    their_shape, theirs = _features(colorizer, _enlarged(their_lightness))
    ab = _places(rgb_to_lab(_shrunk(colors, their_lightness.shape))[..., 1:], their_shape)
    cosine = _cosine(ours, theirs)
    if not _belong_together(ours, theirs, cosine):
        return []
    there = cosine.argmax(axis=1)
    back = cosine.argmax(axis=0)[there]
    here = np.arange(len(ours))
    astray = np.hypot(back // columns - here // columns, back % columns - here % columns)
    best = cosine[here, there]
    shares = np.exp((cosine - best[:, None]) / SHARP)
    lent = (shares @ ab) / shares.sum(axis=1, keepdims=True)
    weights = (best / SURE).clip(0, TRUST)
    good = np.flatnonzero((astray <= BACK) & (best >= ALIKE))
    good = np.sort(good[np.argsort(-best[good], kind="stable")[:most]])
    levels = _places(seen.lightness[..., None], (rows, columns))[:, 0].clip(DARKEST, LIGHTEST)
    return [
        Hint(
            x=round((place % columns + 0.5) * seen.width / columns, 1),
            y=round((place // columns + 0.5) * seen.height / rows, 1),
            color=hex_color(float(levels[place]), lent[place].astype(np.float32)),
            weight=round(float(weights[place]), 3),
        )
        for place in good
    ]


def palette(reference: Image.Image | Rgb, *, number: int = 8) -> list[str]:
    """Return at most ``number`` colors of a photo as "#rrggbb", the most frequent first.

    They are at least 12 Lab units apart in a and b: the most frequent ones of a grid of that size, each the
    mean of its pixels.

    Raises:
        ArgumentError: ``reference`` is no photo in color.
    """
    lab = rgb_to_lab(_shrunk(_rgb(reference), (96, 96))).reshape(-1, 3)
    _, which, counts = np.unique((lab[:, 1:] / 12).round(), axis=0, return_inverse=True, return_counts=True)
    which = which.reshape(-1)
    means = np.stack([np.bincount(which, lab[:, channel]) / counts for channel in range(3)], axis=1)
    chosen: list[Any] = []
    for cell in np.argsort(-counts, kind="stable"):
        if len(chosen) < number and all(np.hypot(*(means[cell] - one)[1:]) >= 12 for one in chosen):
            chosen.append(means[cell])
    return [hex_color(float(color[0]), color[1:].astype(np.float32)) for color in chosen]


def _rgb(reference: Image.Image | Rgb) -> Rgb:
    """Return a photo in color as uint8 sRGB (height, width, 3)."""
    if isinstance(reference, Image.Image):
        return np.asarray(reference.convert("RGB"))
    shape: tuple[int, ...] = getattr(reference, "shape", ())
    if not (isinstance(reference, np.ndarray) and reference.dtype == np.uint8):
        raise ArgumentError(f"{reference!r:.40} is no photo in color; give a Pillow image or uint8 sRGB")
    if len(shape) != 3 or shape[2] != 3 or 0 in shape:
        raise ArgumentError(f"a reference of the shape {shape} is no photo in color: (height, width, 3)")
    return reference


def _enlarged(lightness: Float) -> Float:
    height, width = lightness.shape
    size = (ENLARGED * width, ENLARGED * height)
    return np.asarray(cv2.resize(lightness, size, interpolation=cv2.INTER_CUBIC)).clip(0, 100)


def _shrunk(rgb: Rgb, shape: tuple[int, ...]) -> Rgb:
    return np.asarray(cv2.resize(rgb, shape[::-1], interpolation=cv2.INTER_AREA), np.uint8)


def _features(colorizer: Colorizer, lightness: Float) -> tuple[tuple[int, int], Float]:
    """Return the shape of the map of features, and those of each place, row by row: (places, channels)."""
    found = colorizer.features(lightness)
    return (found.shape[1], found.shape[2]), found.reshape(len(found), -1).T


def _places(values: Float, shape: tuple[int, int]) -> Float:
    """Return the means of (height, width, channels) over each place, row by row: (places, channels)."""
    small = np.asarray(cv2.resize(values, shape[::-1], interpolation=cv2.INTER_AREA), np.float32)
    return small.reshape(shape[0] * shape[1], -1)


def _belong_together(ours: Float, theirs: Float, cosine: Float) -> bool:
    """Return whether two photos show the same kind of thing, and have most places in common."""
    one, other = ours.mean(axis=0), theirs.mean(axis=0)
    same_kind = one @ other / max(float(np.linalg.norm(one)) * float(np.linalg.norm(other)), 1e-30)
    common = (cosine.max(axis=1).mean() + cosine.max(axis=0).mean()) / 2
    return bool(same_kind >= SAME_KIND and common >= COMMON)


def _cosine(ours: Float, theirs: Float) -> Float:
    """Return the cosine between all features of two photos, after their common mean was subtracted."""
    mean = np.concatenate([ours, theirs]).mean(axis=0)
    one, other = (some - mean for some in (ours, theirs))
    one, other = (some / np.linalg.norm(some, axis=1, keepdims=True).clip(1e-6) for some in (one, other))
    return one @ other.T

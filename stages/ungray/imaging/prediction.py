"""From gray photos to colors: every colored pixel of the command, the page and all stages is made here.

A photo is made small, the network says its colors at that size, and they are brought up along edges while the
lightness stays; see :mod:`ungray.imaging.upsampling`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ungray.errors import ArgumentError, is_number
from ungray.imaging.color import Float, PredictAb
from ungray.imaging.photo_files import Photo
from ungray.imaging.spreading import corrected
from ungray.imaging.upsampling import apply_color, guided_fit, small_copy

BATCH = 16
"""Small copies that go through the network at once."""

SURE = 10.0
"""Chroma of a prediction, Lab units, at which vivid colors are it times their saturation alone."""

MOST_GAIN = 3.0
"""What vivid colors multiply a and b by at most."""


@dataclass(frozen=True)
class Vivid:
    """How vivid colors follow from predicted ones, place by place.

    What learns by L1 or L2 predicts the median or mean of the colors that it holds possible, which is the
    paler the less it can tell them apart: the chroma of a prediction says how sure the network is. So a and b
    are multiplied by ``saturation`` times (chroma / 10) to the power of ``exponent``, at most 3: where it is
    sure colors become strong, and what may well be gray stays so. With ``exponent`` 0 all are multiplied
    alike.
    """

    saturation: float = 1.0
    exponent: float = 0.0

    @property
    def changes_colors(self) -> bool:
        """Whether vivid colors are others than those predicted."""
        return self.exponent != 0 or round(self.saturation, 2) != 1

    def gain(self, chroma: Float) -> Float:
        """Return what a and b are multiplied by, given the predicted chroma in Lab units, (height, width)."""
        relative = np.maximum(cv2.blur(chroma, (3, 3)), np.float32(0.01)) / np.float32(SURE)
        return np.minimum(np.float32(self.saturation) * relative**self.exponent, np.float32(MOST_GAIN))


@dataclass(frozen=True)
class Prediction:
    """What the network said of one photo: the colors, to be rendered at any saturation."""

    photo: Photo
    fits: Float
    """See :func:`ungray.imaging.upsampling.guided_fit`."""

    chroma: Float
    """Of the prediction on the small copy, float32 (small height, small width), Lab units."""

    vivid: Vivid = Vivid()
    """What ``vivid=True`` makes of it."""

    known: tuple[tuple[float, float], ...] = ()
    """Places x, y that are known to have a color."""

    def render(self, *, saturation: float = 1.0, vivid: bool = False) -> NDArray[Any]:
        """Return the colored photo, sRGB (height, width, 3): uint8, or uint16 for a photo of 16 bits.

        The lightness is the photo's own. The network is not asked again.

        Args:
            saturation: what the predicted colors are multiplied by; 0 gives the gray photo.
            vivid: stronger colors, as strong as the model's maker found right; ``saturation`` counts on top.

        Raises:
            ArgumentError: ``saturation`` is negative or no number.
            UngrayError: the network has predicted no numbers.
        """
        if not (is_number(saturation) and saturation >= 0):
            raise ArgumentError(f"saturation is {saturation}; it must be 0 (gray) or more, 1 is as predicted")
        fits = self.fits
        if vivid:
            fits = fits * self.vivid.gain(self.chroma)[..., None]
        return apply_color(
            self.photo.gray, fits, saturation=saturation, bits=self.photo.bits, known=self.known
        )


def predict(
    photos: Sequence[Photo],
    predict_ab: PredictAb,
    *,
    working_size: int,
    multiple: int,
    hints: Sequence[Float] | None = None,
) -> list[Prediction]:
    """Ask a network for the colors of photos; those of one shape are asked for together.

    Args:
        photos: of any size.
        predict_ab: the network.
        working_size: short side in pixels of what it is shown; see
            :func:`~ungray.imaging.upsampling.small_size`.
        multiple: both sides of that are multiples of this.
        hints: of each photo, float32 (3, small height, small width), see :func:`ungray.hints.drawn`; None:
            nothing is known of any.
    """
    copies = [small_copy(photo.gray, short_side=working_size, multiple=multiple) for photo in photos]
    shapes: dict[tuple[int, ...], list[int]] = {}
    for number, copy in enumerate(copies):
        shapes.setdefault(copy.shape, []).append(number)
    fits: dict[int, tuple[Float, Float]] = {}
    for numbers in shapes.values():
        for start in range(0, len(numbers), BATCH):
            some = numbers[start : start + BATCH]
            lightness = np.stack([copies[number][None] for number in some])
            known = None if hints is None else np.stack([hints[number] for number in some])
            for number, answer in zip(some, predict_ab(lightness, known), strict=True):
                ab = answer.transpose(1, 2, 0)
                if hints is not None and hints[number][2].any():
                    ab = corrected(copies[number], ab, hints[number])
                fits[number] = guided_fit(copies[number], ab), np.hypot(ab[..., 0], ab[..., 1])
    return [Prediction(photo, *fits[number]) for number, photo in enumerate(photos)]

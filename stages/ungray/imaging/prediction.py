"""From gray photos to colors: every colored pixel of the command, the page and all stages is made here.

A photo is made small, the network says its colors at that size, and they are brought up along edges while the
lightness stays; see :mod:`ungray.imaging.upsampling`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ungray.errors import ArgumentError, is_number
from ungray.imaging.color import Float, PredictAb
from ungray.imaging.photo_files import Photo
from ungray.imaging.spreading import corrected
from ungray.imaging.upsampling import apply_color, guided_fit, small_copy

BATCH = 16
"""Small copies that go through the network at once."""


@dataclass(frozen=True)
class Prediction:
    """What the network said of one photo: the colors, to be rendered at any saturation."""

    photo: Photo
    fits: Float
    """See :func:`ungray.imaging.upsampling.guided_fit`."""

    vivid: float = 1.0
    """What ``vivid=True`` multiplies the saturation by."""

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
        factor = saturation * (self.vivid if vivid else 1)
        return apply_color(
            self.photo.gray, self.fits, saturation=factor, bits=self.photo.bits, known=self.known
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
    fits: dict[int, Float] = {}
    for numbers in shapes.values():
        for start in range(0, len(numbers), BATCH):
            some = numbers[start : start + BATCH]
            lightness = np.stack([copies[number][None] for number in some])
            known = None if hints is None else np.stack([hints[number] for number in some])
            for number, answer in zip(some, predict_ab(lightness, known), strict=True):
                ab = answer.transpose(1, 2, 0)
                if hints is not None and hints[number][2].any():
                    ab = corrected(copies[number], ab, hints[number])
                fits[number] = guided_fit(copies[number], ab)
    return [Prediction(photo, fits[number]) for number, photo in enumerate(photos)]

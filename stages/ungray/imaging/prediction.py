"""From gray photos to colors: every colored pixel of the command, the page and all stages is made here.

A photo is scaled down, the network predicts its colors at that size, and they are upsampled along edges while
the lightness stays; see :mod:`ungray.imaging.upsampling`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from ungray.errors import ArgumentError, is_number
from ungray.imaging.borders import Border
from ungray.imaging.color import Float, PredictAb
from ungray.imaging.photo_files import Photo
from ungray.imaging.restoration import restored, restoring
from ungray.imaging.spreading import corrected, doubtful
from ungray.imaging.upsampling import apply_color, guided_fit, small_copy

BATCH = 16
"""Number of small copies per run of the network."""

SURE = 10.0
"""Chroma of a prediction, Lab units, at which vivid colors multiply it by their saturation alone."""

MOST_GAIN = 3.0
"""The largest factor by which vivid colors multiply a and b."""


@dataclass(frozen=True)
class Vivid:
    """How vivid colors follow from predicted ones, pixel by pixel.

    A network trained with L1 or L2 predicts the median or mean of the colors that it considers possible, and
    this is paler the less certain it is: the chroma of a prediction shows how certain the network is. So a
    and b are multiplied by ``saturation`` times (chroma / 10) to the power of ``exponent``, at most 3:
    certain colors become strong, and what may well be gray stays gray. With ``exponent`` 0 the factor is the
    same for all.
    """

    saturation: float = 1.0
    exponent: float = 0.0

    @property
    def changes_colors(self) -> bool:
        """Whether vivid colors differ from those predicted."""
        return self.exponent != 0 or round(self.saturation, 2) != 1

    def gain(self, chroma: Float) -> Float:
        """Return the factor of a and b, given the predicted chroma in Lab units, both (height, width)."""
        relative = np.maximum(cv2.blur(chroma, (3, 3)), np.float32(0.01)) / np.float32(SURE)
        return np.minimum(np.float32(self.saturation) * relative**self.exponent, np.float32(MOST_GAIN))


@dataclass(frozen=True)
class Prediction:
    """The predicted colors of one photo, which can be rendered at any saturation."""

    photo: Photo
    fits: Float
    """See :func:`ungray.imaging.upsampling.guided_fit`."""

    chroma: Float
    """Chroma of the prediction on the small copy, float32 (small height, small width), Lab units."""

    vivid: Vivid = Vivid()
    """How ``vivid=True`` changes the colors."""

    known: tuple[tuple[float, float], ...] = ()
    """Points x, y that are known to have a color."""

    border: Border | Literal["find"] | None = "find"
    """The mount or frame around the photo, which stays gray; "find" looks for it in this photo."""

    def render(self, *, saturation: float = 1.0, vivid: bool = False) -> NDArray[Any]:
        """Return the colored photo, sRGB (height, width, 3): uint8, or uint16 for a photo of 16 bits.

        The lightness is the photo's own. The network is not run again.

        Args:
            saturation: the factor of the predicted colors; 0 gives the gray photo.
            vivid: stronger colors, as calibrated for the model; ``saturation`` multiplies them further.

        Raises:
            ArgumentError: ``saturation`` is negative or not a number.
            UngrayError: the network predicted NaN or infinite values.
        """
        if not (is_number(saturation) and saturation >= 0):
            raise ArgumentError(f"saturation is {saturation}; it must be 0 (gray) or more, 1 is as predicted")
        fits = self.fits
        if vivid:
            fits = fits * self.vivid.gain(self.chroma)[..., None]
        return apply_color(
            self.photo.gray,
            fits,
            saturation=saturation,
            bits=self.photo.bits,
            known=self.known,
            border=self.border,
        )


@dataclass
class Memory:
    """What need not be found again when one photo is colored again and again with other hints.

    That is the photo :func:`~ungray.imaging.restoration.restored`, and the network's last answer without
    hints of weight 1, which is half of what :func:`with_hints` asks for. Answers are the same to the last
    bit as without it. It takes about 1 MB for a working size of 128 pixels.
    """

    _lightness: Float | None = field(default=None, init=False)
    _restored: Float = field(init=False)
    _answers: list[tuple[Float, Float]] = field(default_factory=list, init=False)
    """At most one, with its hints."""

    def remembering(self, predict_ab: PredictAb) -> PredictAb:
        """Return ``predict_ab`` with the photos that it sees restored, which is not asked the same again."""

        def asked(lightness: Float, hints: Float | None = None, /) -> Float:
            if len(lightness) != 1:
                return restoring(predict_ab)(lightness, hints)
            if self._lightness is None or not np.array_equal(lightness, self._lightness):
                self._lightness, self._restored = lightness.copy(), restored(lightness[0, 0])[None, None]
                self._answers.clear()
            if hints is not None and (doubtful(hints[0]) != hints[0]).any():
                return predict_ab(self._restored, hints)
            _, _, height, width = lightness.shape
            known = np.zeros((1, 3, height, width), np.float32) if hints is None else hints
            for before, answer in self._answers:
                if np.array_equal(known, before):
                    return answer
            answer = predict_ab(self._restored, hints)
            self._answers[:] = [(known.copy(), answer)]
            return answer

        return asked


def predict(
    photos: Sequence[Photo],
    predict_ab: PredictAb,
    *,
    working_size: int,
    multiple: int,
    hints: Sequence[Float] | None = None,
    memory: Memory | None = None,
) -> list[Prediction]:
    """Predict the colors of photos; photos of one shape share runs of the network.

    Args:
        photos: of any size.
        predict_ab: the network; it sees the photos :func:`~ungray.imaging.restoration.restored`.
        working_size: short side in pixels of the network's input; see
            :func:`~ungray.imaging.upsampling.small_size`.
        multiple: both sides of the input are multiples of this.
        hints: one array per photo, float32 (3, small height, small width), see :func:`ungray.hints.drawn`;
            None if nothing is known of any.
        memory: of the photo, if there is one only and it will be asked about again.
    """
    copies = [small_copy(photo.gray, short_side=working_size, multiple=multiple) for photo in photos]
    shapes: dict[tuple[int, ...], list[int]] = {}
    for number, copy in enumerate(copies):
        shapes.setdefault(copy.shape, []).append(number)
    asked = restoring(predict_ab) if memory is None else memory.remembering(predict_ab)
    found: dict[int, Prediction] = {}
    for numbers in shapes.values():
        for start in range(0, len(numbers), BATCH):
            some = numbers[start : start + BATCH]
            lightness = np.stack([copies[number][None] for number in some])
            if hints is None:
                answers = asked(lightness, None)
            else:
                answers = with_hints(lightness, np.stack([hints[number] for number in some]), asked)
            for number, answer in zip(some, answers, strict=True):
                found[number] = finished(photos[number], copies[number], answer.transpose(1, 2, 0))
    return [found[number] for number in range(len(photos))]


def with_hints(lightness: Float, hints: Float, predict_ab: PredictAb) -> Float:
    """Return ab, (batch, 2, height, width), of small copies that have hints.

    The network is asked with all hints, and without those of weight 1. Alone, it spreads a color that it did
    not expect over too much of the photo. The mean of both answers is what :func:`corrected` begins with:
    with few hints at random places the first one is better, with many, or where the network errs most, the
    second; the mean is nearly as good as the better one.

    Args:
        lightness: float32 (batch, 1, height, width), 0..100.
        hints: see :func:`ungray.hints.drawn`, float32 (batch, 3, height, width).
        predict_ab: the network.
    """
    unsure = np.stack([doubtful(known) for known in hints])
    answers = predict_ab(lightness, hints)
    if (unsure != hints).any():
        answers = np.float32(0.5) * (answers + predict_ab(lightness, unsure))
    return np.stack(
        [
            corrected(copy[0], answer.transpose(1, 2, 0), known).transpose(2, 0, 1)
            for copy, answer, known in zip(lightness, answers, hints, strict=True)
        ]
    )


def finished(photo: Photo, lightness: Float, ab: Float) -> Prediction:
    """Return the prediction of a photo whose colors were found on its small copy.

    Args:
        photo: of any size.
        lightness: its small copy, float32 (small height, small width), 0..100; see
            :func:`~ungray.imaging.upsampling.small_copy`.
        ab: the colors of that, float32 (small height, small width, 2), Lab units.
    """
    return Prediction(photo, guided_fit(lightness, ab), np.hypot(ab[..., 0], ab[..., 1]))

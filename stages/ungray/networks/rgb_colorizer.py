"""What networks from the gray photo to RGB have in common."""

from __future__ import annotations

import torch
from torch import Tensor

from ungray.networks.base import Colorizer
from ungray.networks.lab import gray_photo, lab_to_rgb, rgb_to_lab


class RgbColorizer(Colorizer):
    """Gray photo in, RGB out, both in 0..1.

    The gray photo is the one with the true photo's lightness (L of Lab), the same that a user hands over and
    that it is judged on. Only ab of the RGB it predicts is used on a photo; lightness is the photo's own.
    """

    def pairs(self, rgb: Tensor) -> tuple[Tensor, Tensor]:
        """Return the gray photo (batch, 1, height, width) and RGB, both in 0..1; see :class:`Colorizer`."""
        return gray_photo(rgb), rgb

    def gray_target(self, inputs: Tensor, targets: Tensor) -> Tensor:
        """Return the gray photo as RGB; see :class:`Colorizer`."""
        return inputs.expand_as(targets)

    def predict_ab(self, lightness: Tensor, hints: Tensor | None = None) -> Tensor:
        """Return ab of the predicted RGB; see :class:`Colorizer`."""
        return rgb_to_lab(self(self.with_hints(_gray(lightness), hints)))[:, 1:]

    def raw_rgb(self, rgb: Tensor) -> Tensor:
        """Return RGB as the network predicts it; see :class:`Colorizer`."""
        return self(gray_photo(rgb))


def _gray(lightness: Tensor) -> Tensor:
    zeros = torch.zeros_like(lightness)
    return lab_to_rgb(torch.cat([lightness, zeros, zeros], dim=1))[:, :1]

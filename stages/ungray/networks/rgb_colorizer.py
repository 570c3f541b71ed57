"""The base class of networks from the gray photo to RGB."""

from __future__ import annotations

import torch
from torch import Tensor

from ungray.networks.base import Network
from ungray.networks.lab import gray_photo, lab_to_rgb, rgb_to_lab


class RgbColorizer(Network):
    """Gray photo in, RGB out, both in 0..1.

    The gray photo has the lightness (L of Lab) of the color photo, in training as in evaluation and use. Of
    the predicted RGB only ab is used; the lightness is the photo's own.
    """

    def pairs(self, rgb: Tensor) -> tuple[Tensor, Tensor]:
        """Return the gray photo (batch, 1, height, width) and RGB, both in 0..1; see :class:`Network`."""
        return gray_photo(rgb), rgb

    def gray_target(self, inputs: Tensor, targets: Tensor) -> Tensor:
        """Return the gray photo as RGB; see :class:`Network`."""
        return inputs.expand_as(targets)

    def predict_ab(self, lightness: Tensor, hints: Tensor | None = None) -> Tensor:
        """Return ab of the predicted RGB; see :class:`Network`."""
        return rgb_to_lab(self(self.with_hints(_gray(lightness), hints)))[:, 1:]

    def raw_rgb(self, rgb: Tensor) -> Tensor:
        """Return the predicted RGB; see :class:`Network`."""
        return self(gray_photo(rgb))


def _gray(lightness: Tensor) -> Tensor:
    zeros = torch.zeros_like(lightness)
    return lab_to_rgb(torch.cat([lightness, zeros, zeros], dim=1))[:, :1]

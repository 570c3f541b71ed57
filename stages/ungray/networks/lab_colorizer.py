"""The base class of networks from lightness to ab."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional

from ungray.networks.base import AB_SCALE, Network
from ungray.networks.lab import lab_to_rgb, rgb_to_lab
from ungray.system.terminal import tell

RANDOM = "random"
"""The origin of an encoder's weights if it is not pretrained."""


class LabColorizer(Network):
    """Lightness in -1..1 in, ab / 110 out."""

    shrink = 1
    """The downsampling factor of the output, relative to the photo."""

    def pairs(self, rgb: Tensor) -> tuple[Tensor, Tensor]:
        """Return lightness in -1..1 and ab / 110 at the size of the output; see :class:`Network`."""
        lab = rgb_to_lab(rgb)
        return lab[:, :1] / 50 - 1, functional.avg_pool2d(lab[:, 1:], self.shrink) / AB_SCALE

    def gray_target(self, inputs: Tensor, targets: Tensor) -> Tensor:
        """Return zero ab; see :class:`Network`."""
        return torch.zeros_like(targets)

    def predict_ab(self, lightness: Tensor, hints: Tensor | None = None) -> Tensor:
        """Return ab at the size of ``lightness``; see :class:`Network`."""
        return self.full_size_ab(self(self.with_hints(lightness / 50 - 1, hints)))

    def full_size_ab(self, values: Tensor) -> Tensor:
        """Return ab, Lab units, of outputs of the network, upsampled to the size of its input."""
        ab = self.ab_of(values)
        if self.shrink == 1:
            return ab
        return functional.interpolate(ab, scale_factor=self.shrink, mode="bilinear", align_corners=False)

    def raw_rgb(self, rgb: Tensor) -> Tensor:
        """Return the lightness of ``rgb`` with the predicted ab, clamped; see :class:`Network`."""
        lightness = rgb_to_lab(rgb)[:, :1]
        return lab_to_rgb(torch.cat([lightness, self.predict_ab(lightness)], dim=1))


def report_origin(architecture: str, weights: Mapping[str, Tensor] | str, *, name: str) -> str:
    """Print and return the origin of an encoder's weights, ``name`` if they are pretrained.

    ``weights`` may be a text instead: the reason why pretrained weights are not available.
    """
    if isinstance(weights, str):
        tell(f"train: {architecture} starts from random weights; ImageNet's are not available: {weights}")
        return RANDOM
    tell(f"train: {architecture} starts from {name}")
    return name

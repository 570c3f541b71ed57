"""A U-Net from lightness to ab, which works on a small copy of the photo."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from stages.networks.base import Colorizer
from stages.networks.lab import lab_to_rgb, rgb_to_lab

AB_SCALE = 110.0
"""ab is divided by this, so that the network's figures are about -1..1."""


class UNet(Colorizer):
    """Lightness in, ab out at half its size, then brought up.

    An encoder-decoder with skip connections (Ronneberger, Fischer, Brox 2015), each level two 3x3
    convolutions with batch-norm and ReLU. The first step folds 2x2 pixels into four channels: colour is
    coarse, and work at full resolution is what costs most.
    """

    ARCHITECTURE = "unet"
    MULTIPLE = 16

    def __init__(self, *, working_size: int, channels: Sequence[int]) -> None:
        super().__init__(working_size=working_size, channels=list(channels))
        if len(channels) != 4:
            raise ValueError(f"a U-Net of four levels needs four channel numbers, not {list(channels)}")
        self.down = nn.ModuleList(_block(i, o) for i, o in zip([4, *channels], channels, strict=False))
        pairs = list(zip(channels[:0:-1], channels[-2::-1], strict=True))
        self.up = nn.ModuleList(nn.ConvTranspose2d(i, o, 2, stride=2) for i, o in pairs)
        self.merge = nn.ModuleList(_block(2 * o, o) for _, o in pairs)
        self.head = nn.Conv2d(channels[0], 2, 1)

    def pairs(self, rgb: Tensor) -> tuple[Tensor, Tensor]:
        """Return lightness in -1..1 and ab / 110 at half its size; see :class:`Colorizer`."""
        lab = rgb_to_lab(rgb)
        return lab[:, :1] / 50 - 1, functional.avg_pool2d(lab[:, 1:], 2) / AB_SCALE

    def gray_target(self, inputs: Tensor, targets: Tensor) -> Tensor:
        """Return no colour; see :class:`Colorizer`."""
        return torch.zeros_like(targets)

    def forward(self, lightness: Tensor) -> Tensor:
        """Return ab / 110 at half the size of ``lightness``, (batch, 1, height, width) in -1..1."""
        x = functional.pixel_unshuffle(lightness, 2)
        skips: list[Tensor] = []
        for level, block in enumerate(self.down):
            x = block(functional.max_pool2d(x, 2) if level else x)
            skips.append(x)
        for up, merge, skip in zip(self.up, self.merge, skips[-2::-1], strict=True):
            x = merge(torch.cat([up(x), skip], dim=1))
        return self.head(x)

    def predict_ab(self, lightness: Tensor) -> Tensor:
        """Return ab at the size of ``lightness``; see :class:`Colorizer`."""
        ab = self(lightness / 50 - 1) * AB_SCALE
        return functional.interpolate(ab, scale_factor=2, mode="bilinear", align_corners=False)

    def raw_rgb(self, rgb: Tensor) -> Tensor:
        """Return the lightness of ``rgb`` with the predicted ab, clamped; see :class:`Colorizer`."""
        lightness = rgb_to_lab(rgb)[:, :1]
        return lab_to_rgb(torch.cat([lightness, self.predict_ab(lightness)], dim=1))


def _block(channels_in: int, channels_out: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for channels in (channels_in, channels_out):
        layers += [
            nn.Conv2d(channels, channels_out, 3, padding=1, bias=False),
            nn.BatchNorm2d(channels_out),
            nn.ReLU(inplace=True),
        ]
    return nn.Sequential(*layers)

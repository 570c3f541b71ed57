"""The ancestor: an encoder-decoder CNN from the gray photo to RGB."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from stages.networks.base import Colorizer
from stages.networks.lab import lab_to_rgb, rgb_to_lab


class Cnn(Colorizer):
    """Gray in, RGB out: 1-12-24-48-64-128 channels, batch-norm and ReLU, around two poolings, and back.

    The gray photo is the one with the true photo's lightness (L of Lab), the same that a user hands over and
    that it is judged on. Only ab of the RGB it predicts is used on a photo; lightness is the photo's own.
    """

    ARCHITECTURE = "cnn"
    MULTIPLE = 4

    def __init__(self, *, working_size: int) -> None:
        super().__init__(working_size=working_size)
        self.encoder = nn.Sequential(
            *_convolution(1, 12), *_convolution(12, 24), nn.MaxPool2d(2),
            *_convolution(24, 48), *_convolution(48, 64), nn.MaxPool2d(2),
            *_convolution(64, 128),
        )  # fmt: skip
        self.decoder = nn.Sequential(*_upward(128, 64), *_upward(64, 24), nn.Conv2d(24, 3, 3, padding=1))

    def pairs(self, rgb: Tensor) -> tuple[Tensor, Tensor]:
        """Return the gray photo (batch, 1, height, width) and RGB, both in 0..1; see :class:`Colorizer`."""
        return _gray(rgb_to_lab(rgb)[:, :1]), rgb

    def gray_target(self, inputs: Tensor, targets: Tensor) -> Tensor:
        """Return the gray photo as RGB; see :class:`Colorizer`."""
        return inputs.expand_as(targets)

    def forward(self, gray: Tensor) -> Tensor:
        """Return RGB (batch, 3, height, width) for the gray photo (batch, 1, height, width), both in 0..1."""
        return torch.sigmoid(self.decoder(self.encoder(gray)))

    def predict_ab(self, lightness: Tensor) -> Tensor:
        """Return ab of the predicted RGB; see :class:`Colorizer`."""
        return rgb_to_lab(self(_gray(lightness)))[:, 1:]

    def raw_rgb(self, rgb: Tensor) -> Tensor:
        """Return RGB as the network predicts it; see :class:`Colorizer`."""
        return self(_gray(rgb_to_lab(rgb)[:, :1]))


def _gray(lightness: Tensor) -> Tensor:
    zeros = torch.zeros_like(lightness)
    return lab_to_rgb(torch.cat([lightness, zeros, zeros], dim=1))[:, :1]


def _convolution(channels_in: int, channels_out: int) -> list[nn.Module]:
    return [
        nn.Conv2d(channels_in, channels_out, 3, padding=1, bias=False),
        nn.BatchNorm2d(channels_out),
        nn.ReLU(inplace=True),
    ]


def _upward(channels_in: int, channels_out: int) -> list[nn.Module]:
    return [
        nn.ConvTranspose2d(channels_in, channels_out, 2, stride=2, bias=False),
        nn.BatchNorm2d(channels_out),
        nn.ReLU(inplace=True),
    ]

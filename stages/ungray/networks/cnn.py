"""The ancestor trained on 41 queries: an encoder-decoder CNN from the gray photo to RGB."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ungray.networks.rgb_colorizer import RgbColorizer


class Cnn(RgbColorizer):
    """Gray in, RGB out: an encoder of 1-12-24-48-64-128 channels with two poolings, and a decoder.

    Batch-norm and ReLU follow every convolution but the last, which ends in a sigmoid. The original was
    trained with L1 on photos from Bing at 256x256.
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

    def forward(self, gray: Tensor) -> Tensor:
        """Return RGB (batch, 3, height, width) for the gray photo (batch, 1, height, width), both in 0..1."""
        return torch.sigmoid(self.decoder(self.encoder(gray)))


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

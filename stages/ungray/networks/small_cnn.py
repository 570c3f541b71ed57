"""The CIFAR-10 ancestor: a small CNN from the gray photo to RGB, for photos of 32x32."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ungray.networks.rgb_colorizer import RgbColorizer


class SmallCnn(RgbColorizer):
    """Gray in, RGB out: 3x3 convolutions with ReLU, most of them at half the size, and a sigmoid at the end.

    The last convolution also gets the gray photo. Without it, the network spends its training on
    reconstructing the photo's detail, since MSE on RGB counts lost detail like wrong color.

    The original was trained with MSE on RGB in 0..1. As with every network here, a larger photo is colored
    through a copy of the size that the network was trained on.
    """

    ARCHITECTURE = "small_cnn"
    MULTIPLE = 2

    def __init__(self, *, working_size: int) -> None:
        super().__init__(working_size=working_size)
        self.layers = nn.Sequential(
            nn.Conv2d(1, 32, 3, padding=1), nn.ReLU(inplace=True),
            nn.Conv2d(32, 64, 3, stride=2, padding=1), nn.ReLU(inplace=True),
            nn.Conv2d(64, 64, 3, padding=1), nn.ReLU(inplace=True),
            nn.Conv2d(64, 64, 3, padding=1), nn.ReLU(inplace=True),
            nn.ConvTranspose2d(64, 32, 2, stride=2), nn.ReLU(inplace=True),
        )  # fmt: skip
        self.head = nn.Conv2d(32 + 1, 3, 3, padding=1)

    def forward(self, gray: Tensor) -> Tensor:
        """Return RGB (batch, 3, height, width) for the gray photo (batch, 1, height, width), both in 0..1."""
        return torch.sigmoid(self.head(torch.cat([self.layers(gray), gray], dim=1)))

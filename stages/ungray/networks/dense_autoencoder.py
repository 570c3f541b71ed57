"""The generator of the flowers ancestor: an autoencoder with dense skips, trained with a discriminator."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from ungray.networks.lab_colorizer import LabColorizer

SHRUNK = 8
"""Downsampling factor of the embedding: 16x16 for a photo of 128x128."""

Pooling = Literal["average", "max"]


class DenseAutoencoder(LabColorizer):
    """Lightness in, ab out; the embedding has an eighth of the size: 16x16x512 for a 128x128 photo.

    Each downsampling step concatenates a strided convolution and a pooling, so that every layer's features
    reach all later ones (dense skips; Huang et al. 2017). Each upsampling step is a transposed convolution,
    merged with the encoder's features of that size. Batch-norm and ReLU follow every convolution but the
    last.
    """

    ARCHITECTURE = "dense_autoencoder"
    MULTIPLE = SHRUNK

    def __init__(self, *, working_size: int, embedding: int, pooling: Pooling, downsampling: int) -> None:
        """Create it with random weights.

        Args:
            working_size: pixels; see :class:`Network`.
            embedding: channels in the middle, a multiple of 16.
            pooling: ``average`` or ``max``.
            downsampling: the downsampling factor of one step: 2, 4 or 8.
        """
        super().__init__(
            working_size=working_size, embedding=embedding, pooling=pooling, downsampling=downsampling
        )
        rates = {2: [2, 2, 2], 4: [4, 2], 8: [8]}[downsampling]
        # At 1/n of the size, there are n/8 of the embedding's channels.
        widths = [embedding // SHRUNK]
        for rate in rates:
            widths.append(widths[-1] * rate)
        pool = {"average": nn.AvgPool2d, "max": nn.MaxPool2d}[pooling]
        self.stem = _block(nn.Conv2d(1, widths[0], 3, padding=1, bias=False))
        self.pools = nn.ModuleList(pool(rate) for rate in rates)
        self.down = nn.ModuleList(
            _block(nn.Conv2d(w, wider - w, rate + 1, stride=rate, padding=rate // 2, bias=False))
            for rate, w, wider in zip(rates, widths, widths[1:], strict=False)
        )
        up, merge, width = [], [], widths[-1]
        for rate, skip in zip(rates[::-1], widths[-2::-1], strict=True):
            up.append(_block(nn.ConvTranspose2d(width, skip // 2, rate, stride=rate, bias=False)))
            merge.append(_block(nn.Conv2d(skip // 2 + skip, skip // 2, 3, padding=1, bias=False)))
            width = skip // 2
        self.up, self.merge = nn.ModuleList(up), nn.ModuleList(merge)
        self.head = nn.Conv2d(width, 2, 1)

    def encode(self, lightness: Tensor) -> list[Tensor]:
        """Return the features at each size, the photo's size first; the last is the embedding."""
        levels = [self.stem(lightness)]
        for pool, down in zip(self.pools, self.down, strict=True):
            levels.append(torch.cat([pool(levels[-1]), down(levels[-1])], dim=1))
        return levels

    def forward(self, lightness: Tensor) -> Tensor:
        """Return ab / 110 for ``lightness``, (batch, 1, height, width) in -1..1."""
        *skips, x = self.encode(lightness)
        for up, merge, skip in zip(self.up, self.merge, skips[::-1], strict=True):
            x = merge(torch.cat([up(x), skip], dim=1))
        return self.head(x)


def _block(convolution: nn.Conv2d | nn.ConvTranspose2d) -> nn.Sequential:
    return nn.Sequential(convolution, nn.BatchNorm2d(convolution.out_channels), nn.ReLU(inplace=True))

"""A U-Net from lightness to ab that works on a downsampled copy of the photo."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from ungray.networks.classes import AbClasses, Classifier


class UNet(Classifier):
    """Lightness in; out comes ab at half its size, or classes of ab at a quarter, which is then upsampled.

    An encoder-decoder with skip connections (Ronneberger, Fischer, Brox 2015); each level has two 3x3
    convolutions with batch-norm and ReLU. The first step folds 2x2 pixels into four channels: color needs
    little resolution, and layers at full resolution would cost most.

    With ``classes`` (grid and temperature of :class:`AbClasses`) the output is a distribution over classes of
    ab. The last level is left out then: hundreds of classes at half the size would cost more than all the
    rest.
    """

    ARCHITECTURE = "unet"
    MULTIPLE = 16

    def __init__(
        self, *, working_size: int, channels: Sequence[int], classes: dict[str, Any] | None = None
    ) -> None:
        with_classes = {"classes": dict(classes)} if classes else {}
        super().__init__(working_size=working_size, channels=list(channels), **with_classes)
        if len(channels) != 4:
            raise ValueError(f"a U-Net of four levels needs four channel numbers, not {list(channels)}")
        self.down = nn.ModuleList(_block(i, o) for i, o in zip([4, *channels], channels, strict=False))
        self.classes = AbClasses(**classes) if classes else None
        pairs = list(zip(channels[:0:-1], channels[-2::-1], strict=True))[: 2 if classes else 3]
        self.up = nn.ModuleList(nn.ConvTranspose2d(i, o, 2, stride=2) for i, o in pairs)
        self.merge = nn.ModuleList(_block(2 * o, o) for _, o in pairs)
        outputs = len(self.classes) if self.classes else 2
        self.head = nn.Conv2d(pairs[-1][1], outputs, 1)
        self.shrink = 4 if classes else 2

    def forward(self, lightness: Tensor) -> Tensor:
        """Return ab / 110 at half the size of ``lightness``, (batch, 1, height, width) in -1..1.

        With classes, the output is their logits (batch, classes, height / 4, width / 4).
        """
        x = functional.pixel_unshuffle(lightness, 2)
        skips: list[Tensor] = []
        for level, block in enumerate(self.down):
            x = block(functional.max_pool2d(x, 2) if level else x)
            skips.append(x)
        for up, merge, skip in zip(self.up, self.merge, skips[-2::-1], strict=False):
            x = merge(torch.cat([up(x), skip], dim=1))
        return self.head(x)


def _block(channels_in: int, channels_out: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for channels in (channels_in, channels_out):
        layers += [
            nn.Conv2d(channels, channels_out, 3, padding=1, bias=False),
            nn.BatchNorm2d(channels_out),
            nn.ReLU(inplace=True),
        ]
    return nn.Sequential(*layers)

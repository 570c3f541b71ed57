"""The discriminator of adversarial training: tells real photos from colored ones."""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn


class Discriminator(nn.Module):
    """A CNN from Lab to one logit, which is over 0 for photos that it takes to be real.

    It sees lightness as well as ab, so it judges whether the color fits the content, not the color alone.
    Four blocks of a 3x3 convolution, batch-norm, leaky ReLU (Radford, Metz, Chintala 2016) and average
    pooling are followed by the mean over the photo: so it accepts any size of at least ``MIN_SIDE``.
    """

    MIN_SIDE = 16

    def __init__(self, *, channels_in: int = 3, width: int = 32) -> None:
        """Create it with random weights: ``width`` channels in the first block, 8 * ``width`` in the last."""
        super().__init__()
        channels = [channels_in, width, 2 * width, 4 * width, 8 * width]
        self.layers = nn.Sequential(*(_block(i, o) for i, o in pairwise(channels)))
        self.head = nn.Linear(channels[-1], 1)

    def forward(self, lab: Tensor) -> Tensor:
        """Return logits (batch,) of Lab (batch, 3, height, width): L / 50 - 1 and ab / 110, about -1..1."""
        return self.head(self.layers(lab).mean(dim=(2, 3))).squeeze(1)


def _block(channels_in: int, channels_out: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels_in, channels_out, 3, padding=1, bias=False),
        nn.BatchNorm2d(channels_out),
        nn.LeakyReLU(0.2, inplace=True),
        nn.AvgPool2d(2),
    )

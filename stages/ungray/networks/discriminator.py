"""The GAN's other half: tells photos from what a colorizer made of their lightness."""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn


class Discriminator(nn.Module):
    """A CNN from Lab to one logit: over 0 it takes the photo for a true one.

    It sees lightness beside ab, so that it judges whether color fits what is shown, not color alone. Four
    times a 3x3 convolution, batch-norm, leaky ReLU (Radford, Metz, Chintala 2016) and average pooling, then
    the mean over the photo: so it takes any size from ``MIN_SIDE`` on.
    """

    MIN_SIDE = 16

    def __init__(self, *, channels_in: int = 3, width: int = 32) -> None:
        """Make it with random weights: ``width`` channels at first, eight times that at last."""
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

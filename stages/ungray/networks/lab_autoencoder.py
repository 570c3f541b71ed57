"""The Lab ancestor: an autoencoder from lightness to ab, with depth and width found by random search."""

from __future__ import annotations

from torch import Tensor, nn

from ungray.networks.lab_colorizer import LabColorizer


class LabAutoencoder(LabColorizer):
    """Lightness in, ab out at half its size, with ``num_layers`` 3x3 convolutions in the middle.

    The encoder is three strided convolutions, so the layers in the middle, which cost most and have the
    largest receptive field, work at an eighth of the size. The decoder upsamples twice. ReLU follows all
    convolutions but the last; there is no batch-norm and no skip connection.
    """

    ARCHITECTURE = "lab_autoencoder"
    MULTIPLE = 8
    shrink = 2

    def __init__(self, *, working_size: int, num_layers: int, filters: int) -> None:
        super().__init__(working_size=working_size, num_layers=num_layers, filters=filters)
        half, quarter = filters // 2, filters // 4
        self.encoder = nn.Sequential(
            *_convolution(1, quarter, stride=2),
            *_convolution(quarter, half, stride=2),
            *_convolution(half, filters, stride=2),
        )
        middle = [layer for _ in range(num_layers) for layer in _convolution(filters, filters)]
        self.middle = nn.Sequential(*middle)
        self.decoder = nn.Sequential(
            nn.Upsample(scale_factor=2), *_convolution(filters, half),
            nn.Upsample(scale_factor=2), *_convolution(half, quarter),
        )  # fmt: skip
        self.head = nn.Conv2d(quarter, 2, 3, padding=1)

    def forward(self, lightness: Tensor) -> Tensor:
        """Return ab / 110 at half the size of ``lightness``, (batch, 1, height, width) in -1..1."""
        return self.head(self.decoder(self.middle(self.encoder(lightness))))


def _convolution(channels_in: int, channels_out: int, *, stride: int = 1) -> list[nn.Module]:
    convolution = nn.Conv2d(channels_in, channels_out, 3, stride=stride, padding=1)
    # Without batch-norm, the default initialization shrinks activations in every layer, and a network of ten
    # layers learns nothing for a long time; this one preserves their variance (He et al. 2015).
    nn.init.kaiming_normal_(convolution.weight, nonlinearity="relu")
    return [convolution, nn.ReLU(inplace=True)]

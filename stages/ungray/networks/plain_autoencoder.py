"""The baseline of the flowers ancestor: an autoencoder of five layers, trained without a discriminator."""

from __future__ import annotations

from torch import Tensor, nn

from ungray.networks.lab_colorizer import LabColorizer


class PlainAutoencoder(LabColorizer):
    """Lightness in, ab out: two strided convolutions, one at a quarter of the size, two transposed ones.

    With ReLU between them, and neither batch-norm nor skips. The generator of the GAN is compared with it.
    """

    ARCHITECTURE = "plain_autoencoder"
    MULTIPLE = 4

    def __init__(self, *, working_size: int) -> None:
        super().__init__(working_size=working_size)
        self.layers = nn.Sequential(
            nn.Conv2d(1, 64, 3, stride=2, padding=1), nn.ReLU(inplace=True),
            nn.Conv2d(64, 128, 3, stride=2, padding=1), nn.ReLU(inplace=True),
            nn.Conv2d(128, 128, 3, padding=1), nn.ReLU(inplace=True),
            # Kernel sizes that are a multiple of the stride: others cause checkerboard artifacts.
            nn.ConvTranspose2d(128, 64, 4, stride=2, padding=1), nn.ReLU(inplace=True),
            nn.ConvTranspose2d(64, 2, 4, stride=2, padding=1),
        )  # fmt: skip

    def forward(self, lightness: Tensor) -> Tensor:
        """Return ab / 110 for ``lightness``, (batch, 1, height, width) in -1..1."""
        return self.layers(lightness)

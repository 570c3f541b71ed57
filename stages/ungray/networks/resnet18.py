"""The Flowers-102 ancestor: the first layers of ResNet-18 as encoder, and a decoder to ab."""

from __future__ import annotations

import pickle
import socket
from collections.abc import Mapping
from http.client import HTTPException

from torch import Tensor, nn

from ungray.networks.lab_colorizer import RANDOM, LabColorizer, report_origin

IMAGENET = "ImageNet, torchvision's ResNet18_Weights.IMAGENET1K_V1"
IMAGENET_MEAN, IMAGENET_STD = 0.449, 0.226
"""Mean and standard deviation of RGB in 0..1 over the three channels, as the encoder's weights expect."""


class ResNet18(LabColorizer):
    """Lightness in, ab out at half its size.

    The encoder is torchvision's ResNet-18 (He et al. 2016) up to its sixth layer (conv1, bn1, relu, maxpool,
    layer1, layer2), an eighth of the size; the gray photo has one channel, so the first layer's weights are
    summed over RGB. The decoder is six 3x3 convolutions, with batch-norm and ReLU after all but the last.
    """

    ARCHITECTURE = "resnet18"
    MULTIPLE = 8
    shrink = 2

    def __init__(self, *, working_size: int, pretrained: bool = False, weights: str = RANDOM) -> None:
        """Create it; the decoder has random weights.

        Args:
            working_size: pixels; see :class:`Network`.
            pretrained: start the encoder from ImageNet weights. torchvision downloads them once, to
                torch.hub's folder. If that fails, the weights are random, and a message says so.
            weights: for a saved model, the origin of its encoder's weights. A saved configuration contains
                this instead of ``pretrained``, so a saved model loads without network access.
        """
        from torchvision.models import resnet18  # takes seconds to import

        encoder = resnet18()
        encoder.conv1 = nn.Conv2d(1, 64, 7, stride=2, padding=3, bias=False)
        if pretrained:
            found = _imagenet_weights()
            weights = report_origin(self.ARCHITECTURE, found, name=IMAGENET)
            if not isinstance(found, str):
                summed = {"conv1.weight": found["conv1.weight"].sum(dim=1, keepdim=True)}
                encoder.load_state_dict({**found, **summed})
        super().__init__(working_size=working_size, weights=weights)
        self.encoder = nn.Sequential(*list(encoder.children())[:6])
        self.decoder = nn.Sequential(
            *_convolution(128, 128), nn.Upsample(scale_factor=2),
            *_convolution(128, 64), *_convolution(64, 64), nn.Upsample(scale_factor=2),
            *_convolution(64, 32), *_convolution(32, 32), nn.Conv2d(32, 2, 3, padding=1),
        )  # fmt: skip

    def forward(self, lightness: Tensor) -> Tensor:
        """Return ab / 110 at half the size of ``lightness``, (batch, 1, height, width) in -1..1."""
        brightness = (lightness + 1) / 2
        return self.decoder(self.encoder((brightness - IMAGENET_MEAN) / IMAGENET_STD))


def _imagenet_weights() -> Mapping[str, Tensor] | str:
    """Return torchvision's ImageNet weights of ResNet-18, or the reason why they are not available."""
    from torchvision.models import ResNet18_Weights

    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(20)  # seconds; torch.hub itself would wait forever
    try:
        return ResNet18_Weights.IMAGENET1K_V1.get_state_dict(
            progress=False, check_hash=True, weights_only=True
        )
    except (OSError, HTTPException, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        return str(error).split("\n")[0] or type(error).__name__
    finally:
        socket.setdefaulttimeout(before)


def _convolution(channels_in: int, channels_out: int) -> list[nn.Module]:
    return [
        nn.Conv2d(channels_in, channels_out, 3, padding=1, bias=False),
        nn.BatchNorm2d(channels_out),
        nn.ReLU(inplace=True),
    ]

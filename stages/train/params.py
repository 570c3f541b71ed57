"""The section ``train`` of params.yaml, and the arguments of the architectures that take any."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from stages.params import MOST, Section, Seed
from ungray.errors import UngrayError
from ungray.imaging.metrics import of_training

Channels = Annotated[int, Field(ge=1, le=4096)]

if TYPE_CHECKING:
    Watched = str
else:
    Watched = Literal[(*(metric.name for metric in of_training()), "loss")]


class UNetParams(Section):
    """Arguments of :class:`ungray.networks.unet.UNet`."""

    channels: Annotated[tuple[Channels, ...], Field(strict=False, min_length=4, max_length=4)]


class LiteUNetParams(Section):
    """Arguments of :class:`ungray.networks.lite_unet.LiteUNet`."""

    encoder: Literal["lite0", "lite1", "lite2"]
    decoder: Annotated[tuple[Channels, ...], Field(strict=False, min_length=4, max_length=4)]
    pretrained: bool


class LabAutoencoderParams(Section):
    """Arguments of :class:`ungray.networks.lab_autoencoder.LabAutoencoder`."""

    num_layers: int = Field(ge=1, le=5)
    filters: int = Field(ge=16, le=1024, multiple_of=4)


class DenseAutoencoderParams(Section):
    """Arguments of :class:`ungray.networks.dense_autoencoder.DenseAutoencoder`."""

    embedding: int = Field(ge=16, le=4096, multiple_of=16)
    pooling: Literal["average", "max"]
    downsampling: Literal[2, 4, 8]


class ResNet18Params(Section):
    """Arguments of :class:`ungray.networks.resnet18.ResNet18`."""

    pretrained: bool


Effect = Literal["sepia", "blur", "grain", "fading", "borders", "scratches"]
"""Effects of age on scanned photos; see :mod:`stages.train.augmentation`."""

CLASSIFIERS = ("unet", "lite_unet")
"""Architectures that can predict color classes."""


class ChromaL1Params(Section):
    """How ``loss: chroma_l1`` weights color."""

    doubled_at: float = Field(
        gt=0, le=1000, description="chroma in Lab units at which a pixel counts twice a gray one"
    )
    match: float = Field(ge=0, le=100)


class ClassesParams(Section):
    """The color classes of ``loss: classes``, and how its predictions become colors."""

    grid: int = Field(ge=5, le=50, description="Lab units")
    rebalancing: float = Field(ge=0, le=1)
    regression: float = Field(ge=0, le=1000)
    temperature: float = Field(ge=0.01, le=1)


class AdversarialParams(Section):
    """The discriminator the network is trained against; see :mod:`stages.train.objective`."""

    weight: float = Field(ge=0, le=1000)
    lr: float = Field(gt=0, le=1)
    noise: float = Field(ge=0, le=10, description="standard deviation; the discriminator sees about -1..1")
    noise_every: int = Field(ge=1, le=MOST, description="steps")


class HintsParams(Section):
    """The hints that a network is trained with, if it takes hints; see :mod:`stages.train.hints`."""

    share: float = Field(ge=0, le=1, description="share of photos; 0 = off")
    points: float = Field(ge=1, le=1000, description="points a photo")
    patch: int = Field(ge=1, le=31, description="pixels")
    dense: float = Field(ge=0, le=1, description="share of photos with hints")


class Params(Section):
    """What to train, and how."""

    architecture: Literal[
        "unet",
        "lite_unet",
        "cnn",
        "lab_autoencoder",
        "dense_autoencoder",
        "plain_autoencoder",
        "resnet18",
        "small_cnn",
    ]
    working_size: int = Field(ge=32, le=1024, multiple_of=16, description="pixels")
    unet: UNetParams
    lite_unet: LiteUNetParams
    lab_autoencoder: LabAutoencoderParams
    dense_autoencoder: DenseAutoencoderParams
    resnet18: ResNet18Params
    start_from: Literal["base", "nothing"]
    base: str = Field(min_length=1, description="a folder")
    freeze_batch_norm: bool
    loss: Literal["l1", "mse", "chroma_l1", "classes"]
    chroma_l1: ChromaL1Params
    classes: ClassesParams
    adversarial: AdversarialParams
    optimizer: Literal["adam", "adamw", "sgd", "rmsprop"]
    batch_size: int = Field(ge=2, le=4096)
    shuffle: bool
    epochs: int = Field(ge=1, le=MOST)
    steps: int = Field(ge=0, le=MOST, description="0 = no limit")
    minutes: float = Field(ge=0, le=MOST, description="0 = no limit")
    lr: float = Field(gt=0, le=1)
    schedule: Literal["constant", "cosine", "stable"]
    decay: float = Field(gt=0, le=1, description="share of the steps")
    warmup_steps: int = Field(ge=0, le=MOST)
    weight_decay: float = Field(ge=0, lt=1)
    clip_norm: float = Field(ge=0, le=MOST, description="0 = off")
    ema: float = Field(ge=0, lt=1, description="0 = off")
    keep: Literal["last", "best"]
    watch: Watched
    patience: int = Field(ge=0, le=MOST, description="epochs; 0 = off")
    flip: bool
    hints: HintsParams
    tones: float = Field(ge=0, le=1, description="share of photos")
    degradation: float = Field(ge=0, le=1, description="share of photos")
    degradation_effects: Annotated[tuple[Effect, ...], Field(strict=False, min_length=1)]
    grid_every: int = Field(ge=1, le=MOST, description="epochs")
    grid_photos: int = Field(ge=1, le=16)
    seed: Seed

    @model_validator(mode="after")
    def _loss_fits_network(self) -> Self:
        if self.loss == "classes" and self.architecture not in CLASSIFIERS:
            raise UngrayError(
                f"train.loss = 'classes' needs train.architecture = {' or '.join(CLASSIFIERS)}, which "
                f"predict color classes, not {self.architecture}"
            )
        return self

    @model_validator(mode="after")
    def _size_fits_network(self) -> Self:
        if self.architecture == "lite_unet" and self.working_size % 32:
            raise UngrayError(
                f"train.working_size = {self.working_size}: train.architecture = lite_unet halves the photo "
                "five times, so it must be a multiple of 32"
            )
        return self

    def network(self) -> dict[str, Any]:
        """Return the configuration for :func:`ungray.networks.build`."""
        sections: dict[str, Section] = {
            "unet": self.unet,
            "lite_unet": self.lite_unet,
            "lab_autoencoder": self.lab_autoencoder,
            "dense_autoencoder": self.dense_autoencoder,
            "resnet18": self.resnet18,
        }
        section = sections.get(self.architecture)
        arguments = section.model_dump(mode="json") if section else {}
        if self.hints.share and self.architecture == "lite_unet":
            arguments["hints"] = True
        if self.loss == "classes":
            arguments["classes"] = {"grid": self.classes.grid, "temperature": self.classes.temperature}
        return {"architecture": self.architecture, "working_size": self.working_size, **arguments}

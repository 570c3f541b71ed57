"""The section ``train`` of params.yaml."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from stages.params import Section

Effect = Literal["sepia", "blur", "grain", "fading", "borders", "scratches"]
"""What happens to old scans; see :mod:`stages.train.degrade`."""


class Params(Section):
    """What is trained, and how."""

    architecture: Literal["unet", "cnn"]
    working_size: int = Field(ge=32, le=1024, multiple_of=16, description="pixels")
    unet_channels: Annotated[tuple[int, ...], Field(strict=False, min_length=4, max_length=4)]
    loss: Literal["l1", "mse"]
    optimizer: Literal["adam", "adamw", "sgd", "rmsprop"]
    batch_size: int = Field(ge=2, le=4096)
    shuffle: bool
    epochs: int = Field(ge=1)
    steps: int = Field(ge=0, description="0 = no limit")
    minutes: float = Field(ge=0, description="0 = no limit")
    lr: float = Field(gt=0, le=1)
    schedule: Literal["constant", "cosine"]
    warmup_steps: int = Field(ge=0)
    weight_decay: float = Field(ge=0, lt=1)
    clip_norm: float = Field(ge=0, description="0 = off")
    ema: float = Field(ge=0, lt=1, description="0 = off")
    keep: Literal["last", "best"]
    watch: Literal["ciede2000", "ab_mae", "psnr", "loss"]
    patience: int = Field(ge=0, description="epochs; 0 = off")
    flip: bool
    degradation: float = Field(ge=0, le=1, description="share of photos")
    degradation_effects: Annotated[tuple[Effect, ...], Field(strict=False, min_length=1)]
    grid_every: int = Field(ge=1, description="epochs")
    grid_photos: int = Field(ge=1, le=16)
    seed: int = Field(ge=0)

    def network(self) -> dict[str, Any]:
        """Return the configuration that :func:`stages.networks.build` takes."""
        configuration: dict[str, Any] = {"architecture": self.architecture, "working_size": self.working_size}
        if self.architecture == "unet":
            configuration["channels"] = list(self.unet_channels)
        return configuration

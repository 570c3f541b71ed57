"""The section ``prepare`` of params.yaml."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from stages.params import Section
from stages.prepare.geometry import Border, Fit

Size = Annotated[int, Field(ge=32, le=1024, description="pixels")]


class Params(Section):
    """How kept photos are prepared for training."""

    photo_size: Size
    extra_sizes: Annotated[tuple[Size, ...], Field(strict=False, max_length=4)]
    enlarge: bool
    fit: Fit
    val_fraction: float = Field(gt=0, lt=0.5)
    test_fraction: float = Field(gt=0, lt=0.5)
    split_salt: str
    rotated_copies: int = Field(ge=0, le=20)
    rotation_degrees: float = Field(gt=0, le=45)
    rotation_border: Border
    jpeg_quality: int = Field(ge=50, le=100)
    shard_photos: int = Field(ge=0, le=1_000_000, description="0 = loose files")

    @model_validator(mode="after")
    def _something_to_train_on(self) -> Params:
        if self.val_fraction + self.test_fraction > 0.8:
            raise ValueError("val_fraction + test_fraction at most 0.8")
        return self

    @model_validator(mode="after")
    def _each_size_once(self) -> Params:
        if len({self.photo_size, *self.extra_sizes}) <= len(self.extra_sizes):
            raise ValueError("extra_sizes without repetition and without photo_size itself")
        return self

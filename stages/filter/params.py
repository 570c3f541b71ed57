"""The section ``filter`` of params.yaml."""

from __future__ import annotations

from pydantic import Field, field_validator

from stages.params import Section


class Params(Section):
    """The requirements for a photo to be kept."""

    min_short_side: int = Field(ge=16, le=100_000, description="pixels")
    max_aspect: float = Field(ge=1, le=100_000)
    min_chroma_p95: float = Field(ge=0, le=128, description="Lab units")
    max_gray_spread: float = Field(ge=0, le=100)
    min_tint_spread: float = Field(ge=0, le=10)
    tint_hues: tuple[float, float] = Field(strict=False, description="degrees, from and to")
    min_lightness_p99: float = Field(ge=0, le=100, description="L of Lab")
    max_white: float = Field(ge=0, le=1, description="share of the pixels")
    min_sharpness: float = Field(ge=0, le=10)
    max_strip: float = Field(ge=0, le=1)
    near_duplicate_distance: int = Field(ge=0, le=20, description="bits of 64")
    sheet_photos: int = Field(ge=1, le=200, description="largest number of photos on a contact sheet")

    @field_validator("tint_hues")
    @classmethod
    def _rise(cls, hues: tuple[float, float]) -> tuple[float, float]:
        if not 0 <= hues[0] <= hues[1] <= 360:
            raise ValueError("two angles of 0..360 that do not fall, such as [40, 100]")
        return hues

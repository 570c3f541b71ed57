"""The section ``evaluate`` of params.yaml."""

from __future__ import annotations

from pydantic import Field

from stages.params import Section, Seed


class Params(Section):
    """How a model is judged."""

    min_groups: int = Field(ge=2, le=1_000_000, description="duplicate groups of test photos")
    grid_rows: int = Field(ge=1, le=16)
    bootstrap_samples: int = Field(ge=100, le=100_000)
    seed: Seed
    base: str = Field(min_length=1)
    fid: bool
    lpips: bool

"""The section ``export`` of params.yaml."""

from __future__ import annotations

from pydantic import Field

from stages.params import Section


class Params(Section):
    """How to export a model."""

    opset: int = Field(ge=18, le=23)
    tolerance: float = Field(gt=0, le=100, description="Lab units")

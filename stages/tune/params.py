"""The section ``tune`` of params.yaml."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from stages.params import MOST, Section, Seed
from stages.tune.space import check_keys, check_values

Values = Annotated[Any, AfterValidator(check_values)]
"""The values of a key: a list of choices, or {low, high}, optionally with ``log: true`` or ``step``."""


class Params(Section):
    """What to search, with how many trials, and for how long."""

    trials: int = Field(ge=1, le=100_000)
    sampler: Literal["random", "tpe"]
    pruner: Literal["none", "median", "hyperband"]
    epochs: int = Field(ge=1, le=MOST, description="of each trial")
    minutes: float = Field(ge=0, le=MOST, description="of each trial, 0 = no limit")
    space: dict[str, Values] = Field(min_length=1)
    fixed: dict[str, Any]
    storage: str
    seed: Seed

    def check_environment(self) -> None:
        """Raise an UngrayError if a search cannot set one of the keys of ``space`` or ``fixed``."""
        check_keys("space", self.space)
        check_keys("fixed", self.fixed)

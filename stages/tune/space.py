"""The search space: dotted keys of the section ``train``, and the values that each may take."""

from __future__ import annotations

import difflib
import json
import math
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import BaseModel, ValidationError

from stages.params import STAGES, explain, put
from stages.train.params import Params as TrainParams
from ungray.errors import UngrayError

Combination = dict[str, Any]
"""A value for each key of the space, as it is written in params.yaml."""

RESERVED = {"train.epochs": "tune.epochs", "train.minutes": "tune.minutes", "train.steps": "tune.epochs"}
"""Keys that the search itself sets, and the keys that it takes their values from."""


def check_values(values: Any) -> Any:
    """Return ``values`` if they are a list of distinct choices or a range; otherwise raise a ValueError."""
    if isinstance(values, list):
        if not values:
            raise ValueError("a list with at least one choice")
        if any(value in values[:place] for place, value in enumerate(values)):
            raise ValueError("a list in which no choice is repeated")
    elif isinstance(values, dict):
        _check_range(values)
    else:
        raise ValueError("a list of choices, or a range such as {low: 1, high: 5}")
    return values


def _check_range(limits: dict[str, Any]) -> None:
    if unknown := limits.keys() - {"low", "high", "log", "step"}:
        raise ValueError(f"a range of low and high, with log or step if wanted, without {sorted(unknown)[0]}")
    numbers = [limits.get("low"), limits.get("high"), limits.get("step", 1)]
    if not all(type(number) in (int, float) and abs(number) < math.inf for number in numbers):
        raise ValueError("a range whose low and high (and step) are numbers")
    if limits["low"] >= limits["high"]:
        raise ValueError("a range whose low is under its high")
    if not isinstance(limits.get("log", False), bool):
        raise ValueError("a range whose log is true or false")
    if limits.get("log") and limits["low"] <= 0:
        raise ValueError("a range whose low is over 0, as log requires")
    if limits.get("log") and "step" in limits:
        raise ValueError("a range with log or step, not both")
    if limits.get("step", 1) <= 0:
        raise ValueError("a range whose step is over 0")
    if whole(limits) and type(limits.get("step", 1)) is not int:
        raise ValueError("a range whose step is a whole number, as its ends are")


def whole(limits: Mapping[str, Any]) -> bool:
    """Return whether a range draws integers, which it does if both ends are integers."""
    return type(limits["low"]) is int and type(limits["high"]) is int


def check_keys(part: str, keys: Iterable[str]) -> None:
    """Check that ``keys``, those of ``tune.<part>``, are dotted keys of the section ``train``.

    Raises:
        UngrayError: one is not; the sentence names the nearest valid key.
    """
    known = [name for name in _leaves(TrainParams, "train") if name not in RESERVED]
    for key in keys:
        if key in RESERVED:
            raise UngrayError(f"params.yaml: tune.{part} can't set {key}: {RESERVED[key]} sets it")
        if key not in known:
            section, dot, _ = key.partition(".")
            if dot and section in STAGES and section != "train":
                raise UngrayError(f"params.yaml: tune.{part}: {key} can't be set, only keys of train can")
            near = difflib.get_close_matches(key, known, n=1)
            near = near or difflib.get_close_matches(f"train.{key}", known, n=1)
            hint = f"did you mean {near[0]}?" if near else "it takes keys such as train.lr"
            raise UngrayError(f"params.yaml: tune.{part}: {key} is unknown; {hint}")


def _leaves(model: type[BaseModel], prefix: str) -> list[str]:
    """Return the dotted names of all fields of ``model``, including nested ones."""
    found = []
    for name, field in model.model_fields.items():
        nested = field.annotation
        if isinstance(nested, type) and issubclass(nested, BaseModel):
            found += _leaves(nested, f"{prefix}.{name}")
        else:
            found.append(f"{prefix}.{name}")
    return found


def overlay(content: dict[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """Return a copy of ``content``, the section ``train``, with ``values`` set at their dotted keys."""
    content = json.loads(json.dumps(content))  # a copy, with lists instead of tuples
    for key, value in values.items():
        put(content, key.removeprefix("train."), value)
    return content


def typed(content: dict[str, Any]) -> TrainParams:
    """Return the section ``train`` as typed params from the plain values in ``content``.

    Raises:
        UngrayError: a value is not allowed; the sentence names the key, the value and what is allowed.
    """
    try:
        return TrainParams.model_validate(content)
    except ValidationError as error:
        raise UngrayError(explain("train", TrainParams, error.errors(include_url=False)[0])) from None


def check_each_value(content: dict[str, Any], space: Mapping[str, Any]) -> None:
    """Check every choice, and the ends of every range, by itself against the typed params.

    Choices that are invalid only together are found when that combination is drawn.

    Raises:
        UngrayError: a value is not allowed; the sentence names the key of the space and the value.
    """
    for key, values in space.items():
        for value in values if isinstance(values, list) else (values["low"], values["high"]):
            try:
                typed(overlay(content, {key: value}))
            except UngrayError as error:
                raise UngrayError(f"params.yaml: tune.space.{key} holds {value!r}: {error}") from None


def defaults(content: Mapping[str, Any], space: Mapping[str, Any]) -> Combination:
    """Return the values of ``content``, the section ``train``, at those keys whose values contain them."""
    found = {}
    for key, values in space.items():
        value: Any = content
        for part in key.removeprefix("train.").split("."):
            value = value[part]
        if value in values if isinstance(values, list) else _within(value, values):
            found[key] = value
    return found


def _within(value: Any, limits: Mapping[str, Any]) -> bool:
    if type(value) not in (int, float) or not limits["low"] <= value <= limits["high"]:
        return False
    if "step" not in limits:
        return True
    steps = (value - limits["low"]) / limits["step"]
    return math.isclose(steps, round(steps), abs_tol=1e-9)


def as_label(choice: Any) -> Any:
    """Return a choice in a form that Optuna can store: a list becomes JSON text."""
    return json.dumps(choice) if isinstance(choice, list) else choice


def short(number: float, limits: Mapping[str, Any]) -> float:
    """Return a drawn ``number`` rounded to three significant digits, but within ``limits``."""
    return min(max(float(f"{number:.3g}"), float(limits["low"])), float(limits["high"]))

"""The quality of a model, see :mod:`ungray.quality`, and its digest, ``reports/metrics.json``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from stages.evaluate.params import Params
from ungray.imaging.metrics import DECISIVE, headline
from ungray.provenance import kept_nothing, what_it_is
from ungray.quality import BASELINES


def test_set(
    photos: pd.DataFrame, figures: pd.DataFrame, params: Params, *, known_to_base: int | None
) -> dict[str, Any]:
    """Return the set ``test`` of a quality.

    Args:
        photos: one row per test photo and method.
        figures: :func:`~stages.evaluate.summaries.figures_table` of them.
        params: those by which they were judged.
        known_to_base: see :func:`known_to_base`.
    """
    more: dict[str, Any] = {} if known_to_base is None else {"known_to_base": known_to_base}
    return one_set("test", photos, figures) | {"wanted_groups": params.min_groups} | more


def one_set(name: str, photos: pd.DataFrame, figures: pd.DataFrame) -> dict[str, Any]:
    """Return a set of a quality from ``photos``, one row per photo and method, and their table
    ``figures``."""
    metrics: dict[str, Any] = {}
    for row in figures.to_dict("records"):
        entry = metrics.setdefault(row["figure"], {"means": {}, "minus": {}})
        entry["means"][row["method"]] = row["mean"]
        if row["method"] == "model":
            entry["minus"] = _minus(row, "minus")
    return {
        "name": name,
        "photos": photos["file"].nunique(),
        "groups": photos["group"].nunique(),
        "metrics": metrics,
    }


def kind_sets(table: pd.DataFrame, kind: str) -> list[dict[str, Any]]:
    """Return one set per row of :func:`~stages.evaluate.summaries.kinds_table`, with the headline metrics."""
    sets = []
    for row in table.to_dict("records"):
        metrics = {
            metric.name: {
                "means": {method: row[f"{metric.name}_{method}"] for method in ("model", "gray")},
                "minus": _minus(row, f"{metric.name}_minus") if metric is DECISIVE else {},
            }
            for metric in headline()
        }
        sets.append({"name": row[kind], "photos": row["photos"], "groups": row["groups"], "metrics": metrics})
    return sets


def digest(test: Mapping[str, Any], provenance: Mapping[str, Any]) -> dict[str, Any]:
    """Return what ``reports/metrics.json`` holds of the set ``test``: verdicts, counts, headline metrics."""
    known = {name: test[name] for name in ("known_to_base",) if name in test}
    return {
        **{
            "verdict" if name == "gray" else f"verdict_beside_{name}": found["verdict"]
            for name, found in test["metrics"][DECISIVE.name]["minus"].items()
        },
        **({"model_is": what_it_is(provenance)} if kept_nothing(provenance) else {}),
        "photos": test["photos"],
        "groups": test["groups"],
        **{
            method: {metric.name: test["metrics"][metric.name]["means"][method] for metric in headline()}
            for method in ("model", "gray")
        },
        **known,
    }


def known_to_base(test: pd.DataFrame) -> int | None:
    """Return how many of ``test``, rows of index.csv, the base model was trained on; None if unknown."""
    if "base_knows" not in test or (test["base_knows"] == "").all():
        return None
    return int((test["base_knows"] == "yes").sum())


def _minus(row: Mapping[Any, Any], name: str) -> dict[str, Any]:
    """Return the differences to each baseline that a row of a table has in its columns ``name_...``."""
    return {
        baseline: {
            "mean": row[f"{name}_{baseline}"],
            **{end: _number(row[f"{name}_{baseline}_{end}"]) for end in ("low", "high")},
            "verdict": row[f"against_{baseline}"],
        }
        for baseline in BASELINES
        if not pd.isna(row.get(f"{name}_{baseline}"))
    }


def _number(value: Any) -> float | None:
    return None if pd.isna(value) else float(value)

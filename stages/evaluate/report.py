"""The verdict in words, and ``reports/metrics.json``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from stages.evaluate.params import Params
from stages.evaluate.rivals import TITLES
from stages.evaluate.summaries import YARDSTICKS, difference
from stages.evaluate.verdict import TOO_FEW, Comparison

HEADLINE = ("ciede2000", "psnr", "ab_mae")
"""The figures whose differences stand in metrics.json; the first one decides the verdict."""


def metrics(photos: pd.DataFrame, figures: Mapping[str, dict[str, float]], params: Params) -> dict[str, Any]:
    """Return what ``reports/metrics.json`` holds: verdicts in a word, counts, differences, ``figures``."""
    verdicts, differences = {}, {}
    for yardstick in (name for name in YARDSTICKS if name in figures):
        for figure in HEADLINE:
            found = difference(photos, figure, rival="model", yardstick=yardstick, params=params)
            differences[f"{figure}_minus_{yardstick}"] = _rounded(found)
            if figure == HEADLINE[0]:
                verdicts[_verdict_key(yardstick)] = found.word
    counts = {"photos": photos["file"].nunique(), "groups": photos["group"].nunique()}
    return {**verdicts, **counts, **differences, **figures}


def sentences(metrics: Mapping[str, Any], params: Params) -> list[str]:
    """Return the verdicts of :func:`metrics`, a sentence for each yardstick."""
    return [_sentence(metrics, params, yardstick) for yardstick in YARDSTICKS if yardstick in metrics]


def left_out(test: pd.DataFrame) -> dict[str, int]:
    """Return how many of ``test``, rows of index.csv, the base model was trained on, if that is known."""
    if "base_knows" not in test or (test["base_knows"] == "").all():
        return {}
    return {"known_to_base": int((test["base_knows"] == "yes").sum())}


def left_out_sentence(metrics: Mapping[str, Any], *, tests: int) -> str:
    """Return, in a sentence, how many of the test photos were left out since the base model knows them."""
    if "known_to_base" not in metrics:
        return "which test photos the base model was trained on is not known: no hashes lie beside it"
    if not metrics["known_to_base"]:
        return f"the base model was trained on none of the {tests} test photos"
    return (
        f"left out {metrics['known_to_base']} of {tests} test photos: the base model was trained on them, or "
        "on copies of them"
    )


def _sentence(metrics: Mapping[str, Any], params: Params, yardstick: str) -> str:
    word = metrics[_verdict_key(yardstick)]
    name, found = TITLES[yardstick], metrics[f"ciede2000_minus_{yardstick}"]
    ours, theirs = metrics["model"]["ciede2000"], metrics[yardstick]["ciede2000"]
    beside = f"CIEDE2000 {ours:.2f} beside the {name}'s {theirs:.2f}"
    if word == TOO_FEW:
        return (
            f"too few photos to tell better from worse: {metrics['groups']} groups in test, "
            f"{params.min_groups} wanted ({beside})"
        )
    interval = f"95 % interval of the difference {found['low']:+.2f} to {found['high']:+.2f}"
    words = {
        "better": f"better than the {name}",
        "worse": f"worse than the {name}",
        "can't tell": f"no better than the {name} as far as can be told",
    }
    return f"{words[word]}: {beside}, {interval}, {metrics['groups']} groups"


def _verdict_key(yardstick: str) -> str:
    return "verdict" if yardstick == "gray" else f"verdict_beside_{yardstick}"


def _rounded(found: Comparison) -> dict[str, float]:
    parts = {"mean": found.mean, "low": found.low, "high": found.high}
    return {name: round(value, 4) for name, value in parts.items() if value is not None}

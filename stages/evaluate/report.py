"""The verdict in words, and ``reports/metrics.json``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from stages.evaluate.bootstrap import TOO_FEW
from stages.evaluate.methods import TITLES
from stages.evaluate.params import Params
from stages.evaluate.summaries import BASELINES
from ungray.provenance import kept_nothing, what_it_is

HEADLINE = ("ciede2000", "ab_mae", "psnr", "ssim", "colorfulness_ratio")
"""The figures that stand in metrics.json, few enough to compare at a glance; the first gives the verdict."""


def metrics(photos: pd.DataFrame, figures: pd.DataFrame, provenance: Mapping[str, Any]) -> dict[str, Any]:
    """Return what ``reports/metrics.json`` holds: verdicts in a word, counts, the headline figures.

    All others are in ``figures`` alone, the table of :func:`~stages.evaluate.summaries.figures_table`.
    """
    rows = {(row["figure"], row["method"]): row for row in figures.to_dict("records")}
    decisive = rows[HEADLINE[0], "model"]
    return {
        **{_verdict_key(name): decisive[f"against_{name}"] for name in _yardsticks(figures)},
        **({"model_is": what_it_is(provenance)} if kept_nothing(provenance) else {}),
        "photos": photos["file"].nunique(),
        "groups": photos["group"].nunique(),
        **{name: {figure: rows[figure, name]["mean"] for figure in HEADLINE} for name in ("model", "gray")},
    }


def sentences(
    metrics: Mapping[str, Any], figures: pd.DataFrame, params: Params, *, provenance: Mapping[str, Any]
) -> list[str]:
    """Return what to say first: that the model learned nothing, if so; then a verdict for each baseline."""
    nothing = kept_nothing(provenance)
    verdicts = [_sentence(metrics, figures, params, name) for name in _yardsticks(figures)]
    return [*([nothing] if nothing else []), *verdicts]


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


def _yardsticks(figures: pd.DataFrame) -> list[str]:
    return [name for name in BASELINES if name in set(figures["method"])]


def _sentence(metrics: Mapping[str, Any], figures: pd.DataFrame, params: Params, baseline: str) -> str:
    decisive = figures[figures["figure"] == HEADLINE[0]].to_dict("records")
    rows, name = {row["method"]: row for row in decisive}, TITLES[baseline]
    ours, theirs = rows["model"], rows[baseline]
    word, difference = ours[f"against_{baseline}"], f"minus_{baseline}"
    beside = f"CIEDE2000 {ours['mean']:.2f} beside the {name}'s {theirs['mean']:.2f}"
    if word == TOO_FEW:
        return (
            f"too few photos to tell better from worse: {metrics['groups']} groups in test, "
            f"{params.min_groups} wanted ({beside})"
        )
    low, high = ours[f"{difference}_low"], ours[f"{difference}_high"]
    words = {
        "better": f"better than the {name}",
        "worse": f"worse than the {name}",
        "can't tell": f"no better than the {name} as far as can be told",
    }
    said = f"the same as the {name}" if low == high == 0 else words[word]
    return (
        f"{said}: {beside}, 95 % interval of the difference {low:+.2f} to {high:+.2f}, "
        f"{metrics['groups']} groups"
    )


def _verdict_key(baseline: str) -> str:
    return "verdict" if baseline == "gray" else f"verdict_beside_{baseline}"

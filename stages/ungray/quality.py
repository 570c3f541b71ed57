"""How good a model is: JSON in the metadata of its file, and the sentences that are written from it.

A *quality* is a mapping, and every key of it is optional:

- ``val``: the set of the model's validation photos, which training judges at its working size, by the metrics
  that it follows. It has no verdicts, since the same photos may have chosen the epoch;
- ``test``: the set of the model's own test photos, which also has ``wanted_groups`` (with fewer there is no
  verdict) and, if known, ``known_to_base``: the number of other test photos, left out because the base model
  was trained on them;
- ``kinds``: sets of photos held out from the model's own collections, one per kind;
- ``elsewhere``: sets of photos from collections that it was not trained on;
- ``hints``: ``photos``, their number, and ``rows``, one row per number of hints, as the tool ``hints`` writes
  them.

A *set* has a ``name``, the numbers of ``photos`` and ``groups``, and ``metrics`` by name. Each metric has
``means``, by method, and ``minus``, by baseline: the model's mean minus the baseline's, with the ends of its
95 % interval (None with one group) and a verdict::

    {"name": "slides", "photos": 500, "groups": 500, "metrics": {"psnr": {
        "means": {"model": 23.1, "gray": 21.0},
        "minus": {"gray": {"mean": 2.1, "low": 1.8, "high": 2.3, "verdict": "better"}}}}}
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from ungray.imaging.metrics import DECISIVE, METRICS
from ungray.provenance import kept_nothing

METHODS = {"model": "model", "base": "base model", "gray": "gray photo", "mean_ab": "mean color"}
"""The display name of each method that is judged."""

BASELINES = ("gray", "base")
"""The methods that the others are compared with."""

TOO_FEW = "too few photos to tell"
"""The verdict with fewer groups than wanted; the other verdicts are better, worse and can't tell."""


def lines(quality: Mapping[str, Any], provenance: Mapping[str, Any]) -> list[str]:
    """Return what is known of a model, as sentences without their periods; empty if nothing is known.

    If training changed nothing, the first one says so. The val photos are named only if no others are.
    """
    nothing, test, elsewhere = kept_nothing(provenance), quality.get("test"), quality.get("elsewhere")
    return [
        *([nothing] if nothing else []),
        *([on_val(quality["val"])] if "val" in quality and not (test or elsewhere) else []),
        *(verdicts(test) if test else []),
        *([left_out(test)] if test else []),
        *([over_sets(elsewhere)] if elsewhere else []),
    ]


def verdicts(test: Mapping[str, Any]) -> list[str]:
    """Return the verdict of the set ``test`` vs. each baseline that it has, one sentence per baseline."""
    return [_verdict(test, name) for name in BASELINES if name in test["metrics"][DECISIVE.name]["minus"]]


def on_val(val: Mapping[str, Any]) -> str:
    """Return, in a sentence, how good a model is on the set ``val``."""
    said = (
        f"on {val['photos']} validation photos, which may have chosen the epoch: "
        f"{_beside(val['metrics'][DECISIVE.name], 'gray')}"
    )
    found = minus_gray(val, DECISIVE.name)
    return said if found["low"] is None else f"{said}, {_interval(found)}, {val['groups']} groups"


def left_out(test: Mapping[str, Any]) -> str:
    """Return, in a sentence, how many test photos were left out because the base model was trained on
    them."""
    if test.get("known_to_base") is None:
        return "it is not known which test photos the base model was trained on: its folder has no hashes"
    tests = test["photos"] + test["known_to_base"]
    if not test["known_to_base"]:
        return f"the base model was trained on none of the {tests} test photos"
    return (
        f"left out {test['known_to_base']} of {tests} test photos: the base model was trained on them, or "
        "on copies of them"
    )


def over_sets(sets: Sequence[Mapping[str, Any]]) -> str:
    """Return, in a sentence, how good a model is on ``sets`` from elsewhere, each with equal weight."""
    psnr = METRICS["psnr"]
    gain = psnr.text(fmean(minus_gray(one, psnr.name)["mean"] for one in sets), signed=True)
    times = fmean(ratio(one, DECISIVE.name) for one in sets)
    return (
        f"on {sum(one['photos'] for one in sets)} photographs from elsewhere, of collections that it was not "
        f"trained on: {psnr.title} {gain} {psnr.unit} vs. the gray photo's, {DECISIVE.title} {times:.3f} "
        f"times the gray photo's (mean over sets; {DECISIVE.better} is better)"
    )


def ratio(found: Mapping[str, Any], metric: str) -> float:
    """Return the model's mean of ``metric`` in the set ``found``, divided by the gray photo's."""
    means = found["metrics"][metric]["means"]
    return means["model"] / means["gray"]


def minus_gray(found: Mapping[str, Any], metric: str) -> dict[str, Any]:
    """Return the model's mean of ``metric`` in the set ``found`` minus gray's, with its interval."""
    return found["metrics"][metric]["minus"]["gray"]


def _verdict(test: Mapping[str, Any], baseline: str) -> str:
    values, name = test["metrics"][DECISIVE.name], METHODS[baseline]
    means, found = _beside(values, baseline), values["minus"][baseline]
    if found["verdict"] == TOO_FEW:
        return (
            f"too few photos to tell better from worse: {test['groups']} groups in test, "
            f"{test['wanted_groups']} needed ({means})"
        )
    words = {
        "better": f"better than the {name}",
        "worse": f"worse than the {name}",
        "can't tell": f"not measurably better or worse than the {name}",
    }
    said = f"the same as the {name}" if found["low"] == found["high"] == 0 else words[found["verdict"]]
    return f"{said}: {means}, {_interval(found)}, {test['groups']} groups"


def _beside(values: Mapping[str, Any], baseline: str) -> str:
    """Return the means of the decisive metric, of the model and of ``baseline``."""
    ours, theirs = (DECISIVE.text(values["means"][method]) for method in ("model", baseline))
    return f"{DECISIVE.title} {ours} vs. the {METHODS[baseline]}'s {theirs}"


def _interval(found: Mapping[str, Any]) -> str:
    low, high = (DECISIVE.text(found[end], signed=True) for end in ("low", "high"))
    return f"95 % interval of the difference {low} to {high}"

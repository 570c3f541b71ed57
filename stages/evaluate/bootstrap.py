"""Whether a difference is more than chance: a paired bootstrap over groups of photos."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from scipy.stats import bootstrap

from stages.evaluate.params import Params
from ungray.quality import TOO_FEW

DRAWN_AT_ONCE = 1_000_000
"""Number of groups drawn at a time, which bounds memory for any number of photos."""


@dataclass(frozen=True)
class Comparison:
    """A mean, its 95 % interval, and a verdict: better, worse, can't tell, too few photos to tell.

    ``low`` and ``high`` are None with fewer than two groups. The verdict (``word``) is empty if neither
    direction is better.
    """

    mean: float
    low: float | None
    high: float | None
    groups: int
    word: str


def compare(
    differences: pd.Series,
    groups: pd.Series,
    *,
    better: Literal["lower", "higher", "neither"],
    params: Params,
    weights: pd.Series | None = None,
) -> Comparison:
    """Compare two methods by ``differences`` of one metric, one per photo, and the ``groups`` of those
    photos.

    Groups, not photos, are drawn: near-duplicates and crops of one photograph are not independent evidence.
    The interval is the percentile bootstrap's (Efron and Tibshirani 1993), by SciPy, of the mean over photos,
    or with ``weights`` of the sum of differences over the sum of weights.
    """
    weights = pd.Series(1.0, differences.index) if weights is None else weights
    sums = differences.groupby(groups.to_numpy()).sum().to_numpy()
    parts = weights.groupby(groups.to_numpy()).sum().to_numpy()
    mean, low, high = float(sums.sum() / parts.sum()), None, None
    if len(sums) > 1:
        interval = bootstrap(
            (sums, parts),
            lambda sums, parts, axis: sums.sum(axis) / parts.sum(axis),
            paired=True,
            n_resamples=params.bootstrap_samples,
            batch=max(1, DRAWN_AT_ONCE // len(sums)),
            method="percentile",
            rng=np.random.default_rng(params.seed),
        ).confidence_interval
        low, high = float(interval.low), float(interval.high)
    if better == "neither":
        word = ""
    elif low is None or high is None or len(sums) < params.min_groups:
        word = TOO_FEW
    elif low <= 0 <= high:
        word = "can't tell"
    else:
        word = "better" if (mean < 0) == (better == "lower") else "worse"
    return Comparison(mean, low, high, len(sums), word)

"""Draws charts of a search with matplotlib: its history, what mattered, and each parameter by itself.

The same trials give the same bytes on the same machine.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import optuna
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from optuna.importance import FanovaImportanceEvaluator, get_param_importances

from stages.evaluate.chart_style import BLUE, GRAY, ORANGE, STYLE
from stages.tune.params import Params
from ungray.imaging.metrics import DECISIVE
from ungray.system.files import whole_file

FEWEST = 4
"""Number of complete trials needed to estimate what mattered."""

SCORE = f"val {DECISIVE.label}"


def draw_charts(trials: pd.DataFrame, study: optuna.Study, params: Params, folder: Path) -> None:
    """Write history.png, importance.png and slices.png to ``folder``; nothing if no trial is complete.

    ``trials`` is the table of :func:`stages.tune.report.table`.
    """
    scored = trials[trials["state"] != "failed"].copy()
    scored[["ciede2000", "gray_ciede2000"]] = scored[["ciede2000", "gray_ciede2000"]].astype(float)
    complete = scored[scored["state"] == "complete"]
    if complete.empty:
        return
    _history(folder / "history.png", trials, scored)
    _importance(folder / "importance.png", complete, study, params)
    _slices(folder / "slices.png", scored, params)


@contextmanager
def _figure(
    path: Path, *, width: float, height: float, rows: int = 1, columns: int = 1
) -> Iterator[list[Axes]]:
    """Yield the axes of a figure of ``width`` x ``height`` inches, then write it to ``path`` at 110 dpi."""
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(width, height), layout="constrained")
        yield list(figure.subplots(rows, columns, squeeze=False, sharey=True).flat)
        with whole_file(path) as partial:
            figure.savefig(partial, dpi=110, metadata={"Software": None})


def _history(path: Path, trials: pd.DataFrame, scored: pd.DataFrame) -> None:
    complete, pruned = (scored[scored["state"] == state] for state in ("complete", "pruned"))
    failed = trials[trials["state"] == "failed"]
    with _figure(path, width=8, height=4.8) as (axes,):
        axes.plot(complete["trial"], complete["ciede2000"], "o", color=BLUE, label="trial")
        if len(pruned):
            axes.plot(pruned["trial"], pruned["ciede2000"], "x", color=ORANGE, label="ended early (pruned)")
        axes.step(
            complete["trial"],
            complete["ciede2000"].cummin(),
            where="post",
            color="black",
            linewidth=1.2,
            label="best so far",
        )
        axes.axhline(_gray(scored), color=GRAY, linestyle="--", label="gray photo")
        if len(failed):
            low = axes.get_ylim()[0]
            axes.plot(failed["trial"], [low] * len(failed), "^", color=ORANGE, clip_on=False, label="failed")
            axes.set_ylim(bottom=low)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set_xlabel("trial")
        axes.set_ylabel(SCORE)
        axes.set_title("Search: every trial, and the best so far")
        axes.figure.legend(loc="outside lower center", ncols=5)


def _importance(path: Path, complete: pd.DataFrame, study: optuna.Study, params: Params) -> None:
    shares = _shares(complete, study, params)
    with _figure(path, width=8, height=1.8 + 0.4 * len(params.space)) as (axes,):
        if shares is None:
            wanted = f"{FEWEST} complete trials with different results are needed,\nthere are {len(complete)}"
            axes.text(0.5, 0.5, wanted, ha="center", va="center", transform=axes.transAxes)
            axes.set_yticks([])
        else:
            names = list(shares)[::-1]
            bars = axes.barh(names, [shares[name] for name in names], color=BLUE, height=0.7)
            axes.bar_label(bars, fmt="%.2f", padding=3)
        axes.set_xlim(0, 1.08)
        axes.set_xlabel(f"share of the variance of val {DECISIVE.title} (fANOVA)")
        axes.set_ylabel("parameter")
        axes.set_title(f"Importance of each parameter, from {len(complete)} complete trials")


def _shares(complete: pd.DataFrame, study: optuna.Study, params: Params) -> dict[str, float] | None:
    """Return the importance of each parameter by fANOVA (Hutter, Hoos, Leyton-Brown 2014), largest first."""
    if len(complete) < FEWEST or complete["ciede2000"].nunique() < 2:
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return get_param_importances(
            study, evaluator=FanovaImportanceEvaluator(seed=params.seed), params=list(params.space)
        )


def _slices(path: Path, scored: pd.DataFrame, params: Params) -> None:
    keys = list(params.space)
    columns = min(3, len(keys))
    rows = -(-len(keys) // columns)
    best = scored[scored["state"] == "complete"]["ciede2000"].idxmin()
    with _figure(path, width=8, height=0.6 + 2.7 * rows, rows=rows, columns=columns) as panels:
        for number, (axes, key) in enumerate(zip(panels, keys, strict=False)):
            places = _places(axes, scored[key], params.space[key])
            pruned = (scored["state"] == "pruned").to_numpy()
            values = scored["ciede2000"].to_numpy()
            axes.plot(places[~pruned], values[~pruned], "o", color=BLUE, alpha=0.7, label="trial")
            axes.plot(places[pruned], values[pruned], "x", color=ORANGE, label="ended early (pruned)")
            chosen = scored.index == best
            axes.plot(
                places[chosen], values[chosen], "*", color="black", markersize=13, label="the best trial"
            )
            axes.axhline(_gray(scored), color=GRAY, linestyle="--", label="gray photo")
            axes.set_xlabel(key.removeprefix("train."))
            if number % columns == 0:
                axes.set_ylabel(f"val {DECISIVE.title}")
        for axes in panels[len(keys) :]:
            axes.set_axis_off()
        figure = panels[0].figure
        figure.suptitle(
            f"Every trial, by the value of each parameter ({DECISIVE.better} is better)", x=0.01, ha="left"
        )
        names, labels = panels[0].get_legend_handles_labels()
        shown = [place for place, label in enumerate(labels) if "pruned" not in label or pruned.any()]
        figure.legend(
            [names[place] for place in shown],
            [labels[place] for place in shown],
            loc="outside lower center",
            ncols=len(shown),
        )


def _places(axes: Axes, drawn: pd.Series, values: Any) -> np.ndarray:
    """Set up the x axis for one parameter; return the positions of its drawn values on it."""
    if isinstance(values, dict):
        if values.get("log"):
            axes.set_xscale("log")
        elif isinstance(values["low"], int):
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        return drawn.to_numpy(dtype=float)
    labels = [str(value).lower() if isinstance(value, bool) else str(value) for value in values]
    axes.set_xticks(range(len(labels)), labels, rotation=0 if sum(map(len, labels)) < 20 else 20)
    axes.set_xlim(-0.5, len(labels) - 0.5)
    # Spread slightly, so that equal values can be distinguished, in a fixed pattern.
    spread = 0.15 * (np.arange(len(drawn)) * 0.618 % 1 - 0.5)
    return np.array([values.index(value) for value in drawn]) + spread


def _gray(scored: pd.DataFrame) -> float:
    return float(scored["gray_ciede2000"].median())

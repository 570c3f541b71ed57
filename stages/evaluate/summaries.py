"""The tables: every metric of every method with its interval, its difference from gray and base, and by
kind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from stages.evaluate.bootstrap import Comparison, compare
from stages.evaluate.params import Params
from ungray.imaging.metrics import DECISIVE, METRICS, Metric, of_photos
from ungray.quality import BASELINES

TERCILES = ("low", "middle", "high")

KINDS = ("query", "chroma_tercile", "size_tercile")
"""The ways in which photos are grouped by kind: columns of the table of photos."""


def means(photos: pd.DataFrame) -> dict[str, dict[str, float]]:
    """Return each method's mean of every metric over ``photos``, to five digits."""
    found = {}
    for method, rows in photos.groupby("method"):
        values = {name: _mean(rows, metric) for name, metric in METRICS.items()}
        found[str(method)] = {
            name: float(f"{value:.5g}") for name, value in values.items() if pd.notna(value)
        }
    return found


def _mean(rows: pd.DataFrame, metric: Metric) -> float | None:
    if metric.ratio:
        above, below = metric.ratio
        return rows[above].mean() / rows[below].mean()
    return rows[metric.name].mean() if metric.name in rows else None


def difference(
    photos: pd.DataFrame, metric: Metric, *, method: str, baseline: str | None, params: Params
) -> Comparison:
    """Return ``method``'s mean of ``metric`` over ``photos``, minus ``baseline``'s if given."""
    column, below = metric.ratio or (metric.name, None)
    ours = photos[photos["method"] == method].set_index("file")
    values = ours[column]
    if baseline:
        values = values - photos[photos["method"] == baseline].set_index("file")[column]
    return compare(
        values,
        ours["group"],
        better=metric.better if baseline else "neither",
        params=params,
        weights=ours[below] if below else None,
    )


def figures_table(
    photos: pd.DataFrame,
    params: Params,
    *,
    metrics: Sequence[Metric] | None = None,
    perceptual: Mapping[str, Mapping[str, float]] | None = None,
) -> pd.DataFrame:
    """Return one row per metric and method: mean and interval, then its difference from each baseline.

    ``metrics`` selects some of the registry's metrics that follow from ``photos``; None takes all. The others
    have only a mean: those of all photos together, ``perceptual`` by name and method, and those of the
    network's own output.
    """
    names = sorted(photos["method"].unique())
    rows = []
    for metric in of_photos() if metrics is None else metrics:
        for method in names:
            row: dict[str, Any] = {"figure": metric.name, "method": method}
            row |= interval_cells(
                "mean", difference(photos, metric, method=method, baseline=None, params=params)
            )
            for baseline in (name for name in BASELINES if name in names and name != method):
                found = difference(photos, metric, method=method, baseline=baseline, params=params)
                row |= interval_cells(f"minus_{baseline}", found) | {f"against_{baseline}": found.word}
            rows.append(row)
    alone = {name: dict(values) for name, values in (perceptual or {}).items()}
    for method, found_means in means(photos).items():
        for name, value in found_means.items():
            if not METRICS[name].of_photos:
                alone.setdefault(name, {})[method] = value
    for name, values in alone.items():
        rows += [
            {"figure": name, "method": method, "mean": round(mean, 6)} for method, mean in values.items()
        ]
    return pd.DataFrame(rows)


def kinds_table(photos: pd.DataFrame, kind: str, params: Params) -> pd.DataFrame:
    """Return a row for each value of the column ``kind``.

    Columns: photos, groups, the model's decisive metric minus each baseline's with its interval and verdict,
        the best and the worst photo by it, and the mean of every metric of every method.
    """
    rows, name = [], DECISIVE.name
    for value, part in photos.groupby(kind, observed=True):
        ours = part[part["method"] == "model"].sort_values(
            [name, "file"], ascending=[DECISIVE.better == "lower", True]
        )
        row: dict[str, Any] = {kind: value, "photos": len(ours), "groups": ours["group"].nunique()}
        by_method = means(part)
        for baseline in (method for method in BASELINES if method in by_method):
            found = difference(part, DECISIVE, method="model", baseline=baseline, params=params)
            row |= interval_cells(f"{name}_minus_{baseline}", found) | {f"against_{baseline}": found.word}
        row |= {"best_photo": ours["file"].iloc[0], "worst_photo": ours["file"].iloc[-1]}
        row |= {
            f"{metric.name}_{method}": values[metric.name]
            for metric in of_photos()
            for method, values in by_method.items()
        }
        rows.append(row)
    return pd.DataFrame(rows)


def terciles_table(kinds: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Return the tables by chroma and by size of ``kinds`` as one, in the columns kind and tercile."""
    parts = []
    for kind in (name for name in kinds if name.endswith("_tercile")):
        table = kinds[kind].rename(columns={kind: "tercile"})
        table.insert(0, "kind", kind.removesuffix("_tercile"))
        parts.append(table)
    return pd.concat(parts, ignore_index=True)


def with_terciles(photos: pd.DataFrame, pixels: pd.Series) -> pd.DataFrame:
    """Return ``photos`` sorted, with each photo's chroma_tercile and size_tercile, in words.

    Args:
        photos: one row per photo and method.
        pixels: number of pixels of each original photo, by the name of its prepared file.
    """
    truths = photos.drop_duplicates("file").set_index("file")
    chroma = _terciles(truths["chroma_truth"], "{:.0f}")
    size = _terciles(pixels.loc[truths.index] / 1e6, "{:.2g} MP")
    named = photos.assign(chroma_tercile=photos["file"].map(chroma), size_tercile=photos["file"].map(size))
    return named.sort_values(["file", "method"], kind="stable", ignore_index=True)


def _terciles(values: pd.Series, form: str) -> pd.Series:
    """Return for each value its third and the range of that third; equal values share a third."""
    thirds = ((values.rank(method="min") - 1) * 3 // len(values)).astype(int)
    names = TERCILES if thirds.nunique() > 1 else ("all",)
    ranges = {}
    for third, part in values.groupby(thirds):
        ends = dict.fromkeys(form.format(end) for end in (part.min(), part.max()))
        ranges[third] = f"{names[int(str(third))]} ({' to '.join(ends)})"
    return thirds.map(ranges).astype(pd.CategoricalDtype(list(ranges.values()), ordered=True))


def interval_cells(name: str, found: Comparison) -> dict[str, float | None]:
    """Return the cells of a table for ``found``: its mean, and the ends of its interval, to six decimals."""
    cells = {name: found.mean, f"{name}_low": found.low, f"{name}_high": found.high}
    return {cell: None if value is None else round(value, 6) for cell, value in cells.items()}

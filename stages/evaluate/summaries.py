"""The tables: every figure of every method with its interval, its difference to gray and base, and by
kind."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import pandas as pd

from stages.evaluate.bootstrap import Comparison, compare
from stages.evaluate.params import Params

FIGURES: dict[str, Literal["lower", "higher", "neither"]] = {
    "ciede2000": "lower",
    "ciede2000_p95": "lower",
    "ab_mae": "lower",
    "psnr": "higher",
    "ssim": "higher",
    "histogram_distance": "lower",
    "l1": "lower",
    "mse": "lower",
    "colorfulness": "neither",
    "colorfulness_ratio": "neither",
}
"""The figures, in the order of the tables, and which side is the better one."""

RAW = ("raw_l1", "raw_mse")
"""The network's own output beside the true photo, at the size it works at: what earlier work reports."""

BASELINES = ("gray", "base")
"""The methods that the others are held against."""

TERCILES = ("low", "middle", "high")

KINDS = ("query", "chroma_tercile", "size_tercile")
"""The kinds of photo that are told apart: columns of the table of photos."""


def means(photos: pd.DataFrame) -> dict[str, dict[str, float]]:
    """Return each method's mean of every figure over ``photos``, to five digits.

    colorfulness_ratio is the mean colorfulness over the truth's.
    """
    found = {}
    for method, rows in photos.groupby("method"):
        figures = rows[[name for name in (*FIGURES, *RAW) if name in rows]].mean().dropna().to_dict()
        figures["colorfulness_ratio"] = rows["colorfulness"].mean() / rows["colorfulness_truth"].mean()
        found[str(method)] = {
            name: float(f"{figures[name]:.5g}") for name in (*FIGURES, *RAW) if name in figures
        }
    return found


def difference(
    photos: pd.DataFrame, figure: str, *, method: str, baseline: str | None, params: Params
) -> Comparison:
    """Return ``method``'s mean of ``figure`` over ``photos``, minus ``baseline``'s if given."""
    column = "colorfulness" if figure == "colorfulness_ratio" else figure
    ours = photos[photos["method"] == method].set_index("file")
    values = ours[column]
    if baseline:
        values = values - photos[photos["method"] == baseline].set_index("file")[column]
    return compare(
        values,
        ours["group"],
        better=FIGURES[figure] if baseline else "neither",
        params=params,
        weights=ours["colorfulness_truth"] if figure == "colorfulness_ratio" else None,
    )


def figures_table(
    photos: pd.DataFrame, params: Params, *, perceptual: Mapping[str, Mapping[str, float]] | None = None
) -> pd.DataFrame:
    """Return a row a figure and method: mean and interval, then its difference to each baseline.

    Figures of all photos together, ``perceptual`` by name and method, and of the network's own output stand
    last, with a mean alone.
    """
    names = sorted(photos["method"].unique())
    rows = []
    for figure in FIGURES:
        for method in names:
            row: dict[str, Any] = {"figure": figure, "method": method}
            row |= interval_cells(
                "mean", difference(photos, figure, method=method, baseline=None, params=params)
            )
            for baseline in (name for name in BASELINES if name in names and name != method):
                found = difference(photos, figure, method=method, baseline=baseline, params=params)
                row |= interval_cells(f"minus_{baseline}", found) | {f"against_{baseline}": found.word}
            rows.append(row)
    own = {
        figure: {name: found[figure] for name, found in means(photos).items() if figure in found}
        for figure in RAW
    }
    for figure, values in {**(perceptual or {}), **own}.items():
        rows += [
            {"figure": figure, "method": name, "mean": round(value, 6)} for name, value in values.items()
        ]
    return pd.DataFrame(rows)


def kinds_table(photos: pd.DataFrame, kind: str, params: Params) -> pd.DataFrame:
    """Return a row for each value of the column ``kind``.

    Columns: photos, groups, the model's CIEDE2000 minus each baseline's with its interval and word, the best
    and the worst photo by the model's CIEDE2000, and the mean of every figure of every method.
    """
    rows = []
    for value, part in photos.groupby(kind, observed=True):
        ours = part[part["method"] == "model"].sort_values(["ciede2000", "file"])
        row: dict[str, Any] = {kind: value, "photos": len(ours), "groups": ours["group"].nunique()}
        figures = means(part)
        for baseline in (name for name in BASELINES if name in figures):
            found = difference(part, "ciede2000", method="model", baseline=baseline, params=params)
            row |= interval_cells(f"ciede2000_minus_{baseline}", found) | {f"against_{baseline}": found.word}
        row |= {"best_photo": ours["file"].iloc[0], "worst_photo": ours["file"].iloc[-1]}
        row |= {f"{name}_{method}": found[name] for name in FIGURES for method, found in figures.items()}
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
        photos: a row a photo and method.
        pixels: pixels of each original photo, by the name of its prepared file.
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

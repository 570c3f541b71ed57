"""Charts by matplotlib: bars per query, ab histograms, training curves; the same bytes on the same
machine."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from stages.evaluate.chart_style import BLUE, GRAY, ORANGE, STYLE
from stages.evaluate.pictures import label
from ungray.imaging.metrics import AB_EDGES, DECISIVE
from ungray.quality import METHODS, TOO_FEW
from ungray.system.files import whole_file

MOST_BARS = 60
"""With more queries, only the best and the worst are drawn; the table holds all."""


def draw_charts(
    folder: Path,
    *,
    queries: pd.DataFrame,
    histograms: Mapping[str, NDArray[np.float64]],
    curves: Mapping[str, pd.DataFrame],
) -> None:
    """Write queries.png, ab_histograms.png and curves.png to ``folder``.

    Args:
        folder: must exist.
        queries: one row per query: query, photos, <decisive metric>_minus_gray, its interval and verdict.
        histograms: the ab histogram of each method and of the truth, by name.
        curves: the loss by epoch of train, val and gray: columns ``step`` and the curve's name.
    """
    _queries(folder / "queries.png", queries)
    _histograms(folder / "ab_histograms.png", histograms)
    _curves(folder / "curves.png", curves)


@contextmanager
def panels(
    path: Path, *, width: float, height: float, columns: int = 1, share: bool = True
) -> Iterator[list[Axes]]:
    """Yield the axes of a figure of ``width`` x ``height`` inches, then write it to ``path`` at 110 dpi.

    ``share``: whether all have the same vertical axis.
    """
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(width, height), layout="constrained")
        yield list(figure.subplots(1, columns, squeeze=False, sharey=share)[0])
        with whole_file(path) as partial:
            figure.savefig(partial, dpi=110, metadata={"Software": None})


def _queries(path: Path, table: pd.DataFrame) -> None:
    name = f"{DECISIVE.name}_minus_gray"
    table = table.sort_values([name, "query"], ascending=False)
    title = f"{DECISIVE.title} by query, with 95 % intervals over groups\n(pale: too few groups to tell)"
    if len(table) > MOST_BARS:
        half = MOST_BARS // 2
        title += f", the best and the worst {half} of {len(table)} queries"
        table = pd.concat([table.head(half), table.tail(half)])
    values, places = table[name].to_numpy(), range(len(table))
    # A query with one group has no interval.
    low, high = (table[f"{name}_{end}"].astype(float).fillna(table[name]) for end in ("low", "high"))
    labels = [
        f"{label(query, 30)} ({count})" for query, count in zip(table["query"], table["photos"], strict=True)
    ]
    with panels(path, width=8, height=max(2.5, 1.4 + 0.26 * len(table))) as (axes,):
        axes.barh(
            places,
            values,
            color=[
                (
                    BLUE if (value < 0) == (DECISIVE.better == "lower") else ORANGE,
                    0.45 if word == TOO_FEW else 1,
                )
                for value, word in zip(values, table["against_gray"], strict=True)
            ],
            height=0.7,
        )
        axes.hlines(places, low, high, color="black", linewidth=1)
        # A query may contain what matplotlib would take for a formula.
        axes.set_yticks(places, labels, parse_math=False)
        axes.axvline(0, color="black", linewidth=0.8)
        axes.set_ylim(-0.7, len(table) - 0.3)
        axes.set_xlabel(DECISIVE.minus_gray_label)
        axes.set_ylabel("query (test photos)")
        axes.set_title(title)


def _histograms(path: Path, histograms: Mapping[str, NDArray[np.float64]]) -> None:
    shown = [name for name in ("model", "base", "truth") if name in histograms]
    with panels(path, width=8, height=8.5 / len(shown), columns=len(shown)) as drawn:
        for axes, name in zip(drawn, shown, strict=True):
            # a to the right, b upward; squares without pixels stay white.
            image = axes.pcolormesh(
                AB_EDGES,
                AB_EDGES,
                np.ma.masked_less(histograms[name].T, 1e-6),
                norm=LogNorm(1e-6, 1),
                cmap="cividis_r",
            )
            axes.set_title(METHODS.get(name, name))
            axes.set_xlabel("a: green to red")
            axes.set_xticks(range(-80, 81, 40))
            axes.set_yticks(range(-80, 81, 40))
            axes.set_aspect("equal")
        drawn[0].set_ylabel("b: blue to yellow")
        drawn[0].figure.colorbar(image, ax=drawn, label="share of pixels", shrink=0.8)


def _curves(path: Path, curves: Mapping[str, pd.DataFrame]) -> None:
    styles = {
        "train": (BLUE, "--", "train"),
        "val": (BLUE, "-", "val"),
        "gray": (GRAY, ":", "val, gray photo"),
    }
    with panels(path, width=8, height=4) as (axes,):
        for name, (color, line, label) in styles.items():
            table = curves[name]
            marker = "o" if len(table) == 1 else ""
            axes.plot(
                table["step"],
                table[name],
                color=color,
                linestyle=line,
                marker=marker,
                label=label,
                linewidth=2,
            )
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set_xlabel("epoch")
        axes.set_ylabel("loss, in the network's own units")
        axes.set_title("Loss by epoch, vs. the gray photo's")
        axes.legend()

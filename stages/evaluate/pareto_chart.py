"""The Pareto chart: every model at every saturation, with the gray photo and the truth's colorfulness."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.text import Text
from matplotlib.transforms import Bbox

from stages.evaluate.chart_style import GRAY as GRAY_INK
from stages.evaluate.charts import panels
from stages.evaluate.pareto_table import GRAY
from stages.evaluate.pictures import label
from ungray.imaging.metrics import METRICS

INKS = ("#000000", "#0072b2", "#d55e00", "#009e73", "#a0528a", "#8a6d00", "#2f9bd0")
"""Colors that differ for every kind of color vision (Okabe and Ito 2008), some darkened to suit text."""

MARKERS = "os^DvPX"
"""Each model has a marker of its own as well, so that the picture can be read in black and white."""

AROUND = tuple(
    (distance * np.cos(np.radians(angle)), distance * np.sin(np.radians(angle)))
    for distance in (11, 20, 32, 46)
    for angle in (0, 180, 90, 270, 45, 135, 315, 225)
)
"""Possible positions of a name, as offsets in points from its data point."""

NEAR_PLACES = 16
"""Number of positions near the data point; a name at a later one has a thin line to its point."""


def draw_pareto(path: Path, table: pd.DataFrame) -> None:
    """Draw the table of :func:`stages.evaluate.pareto_table.pareto_table` to ``path`` (.png).

    The first model's line starts at the gray photo and is drawn thick: it is the trivial remedy. Points on
    the front are filled. The same table gives the same bytes.
    """
    points = table[table["model"] != GRAY]
    gray = table[table["model"] == GRAY].iloc[0]
    names = list(dict.fromkeys(points["model"]))
    with panels(path, width=8.5, height=5.4) as (axes,):
        axes.axvline(1, color=GRAY_INK, linewidth=1, linestyle="--")
        labels = []
        for number, name in enumerate(names):
            rows = points[points["model"] == name]
            ink, marker = INKS[number % len(INKS)], MARKERS[number % len(MARKERS)]
            if number == 0:
                rows = pd.concat([table[table["model"] == GRAY], rows])
            axes.plot(
                rows["colorfulness_ratio"],
                rows["ciede2000"],
                color=ink,
                alpha=0.9 if number == 0 else 0.45,
                linewidth=2.2 if number == 0 else 1.2,
                zorder=2,
            )
            _mark(axes, points[points["model"] == name], ink, marker)
            labels += _labels(points[points["model"] == name], ink)
        axes.plot(0, gray["ciede2000"], marker="o", markersize=9, color=GRAY_INK, linestyle="", zorder=4)
        labels.append(("gray photo", 0.0, float(gray["ciede2000"]), GRAY_INK, 11))
        axes.set_xlim(-0.05, max(1.1, 1.08 * points["colorfulness_ratio"].max()))
        axes.margins(y=0.12)
        axes.set_xlabel(f"{METRICS['colorfulness_ratio'].title}: the coloring's over the truth's")
        axes.set_ylabel(METRICS["ciede2000"].label)
        axes.set_title(
            "How far off the colors are, against how colorful they are\n"
            f"(x: a and b times that; thick: {label(names[0], 30)}; filled: nothing is better in both)",
            fontsize=11,
            parse_math=False,
        )
        truth = axes.annotate(
            "as colorful as the truth",
            (1, 1),
            (-4, -4),
            xycoords=axes.get_xaxis_transform(),
            textcoords="offset points",
            color="#555555",
            fontsize=9,
            ha="right",
            va="top",
        )
        _place(axes, table, labels, note=truth)


def _mark(axes: Axes, points: pd.DataFrame, ink: str, marker: str) -> None:
    """Draw the points of one model, filled where they are on the front."""
    for row in points.to_dict("records"):
        axes.plot(
            row["colorfulness_ratio"],
            row["ciede2000"],
            marker=marker,
            markersize=8,
            markeredgecolor=ink,
            markerfacecolor=ink if row["on_front"] else "white",
            markeredgewidth=1.6,
            linestyle="",
            zorder=3,
        )


def _labels(rows: pd.DataFrame, ink: str) -> list[tuple[str, float, float, str, int]]:
    """Return text, position, color and size of the labels of a model's points; the first one has its name."""
    found = []
    for number, row in enumerate(rows.to_dict("records")):
        times = "" if row["saturation"] == 1 else f"x{row['saturation']:g}"
        text = f"{label(str(row['model']), 24)} {times}".strip() if number == 0 else times
        if text:
            size = 11 if number == 0 else 9
            found.append((text, float(row["colorfulness_ratio"]), float(row["ciede2000"]), ink, size))
    return found


def _place(
    axes: Axes, table: pd.DataFrame, labels: Sequence[tuple[str, float, float, str, int]], *, note: Text
) -> None:
    """Write each of ``labels`` at the position around its point that covers the least, ``note`` included."""
    figure = axes.figure.get_figure(root=True)
    assert figure is not None
    figure.draw_without_rendering()  # the layout is known only then
    spots = axes.transData.transform(table[["colorfulness_ratio", "ciede2000"]].to_numpy())
    taken = [note.get_window_extent(), *(_square(x, y, 6) for x, y in spots)]
    lines = [
        _square(x, y, 1)
        for line in axes.get_lines()
        for start, end in pairwise(line.get_transform().transform(line.get_xydata()))
        for x, y in np.linspace(start, end, 60)
    ]
    inside = axes.get_window_extent()
    # Names first: a constant without a good position matters less.
    for text, x, y, ink, size in sorted(labels, key=lambda entry: -entry[4]):
        tried = []
        for number, (right, up) in enumerate(AROUND):
            side = "left" if right > 1 else "right" if right < -1 else "center"
            written = axes.annotate(
                text, (x, y), (right, up), textcoords="offset points", color=ink, fontsize=size,
                ha=side, va="center", parse_math=False,
            )  # fmt: skip
            box = written.get_window_extent()
            covers = sum(box.overlaps(other) for other in taken) + 2 * (not _within(box, inside))
            crosses = any(box.overlaps(piece) for piece in lines)
            tried.append((covers + 0.3 * crosses + 0.02 * number, number, written, box))
        best = min(tried)
        taken.append(best[3])
        for place in tried:
            if place is not best:
                place[2].remove()
        if best[1] >= NEAR_PLACES:
            axes.annotate(
                "", (x, y), AROUND[best[1]], textcoords="offset points",
                arrowprops={"arrowstyle": "-", "color": ink, "linewidth": 0.7},
            )  # fmt: skip


def _square(x: float, y: float, half: float) -> Bbox:
    return Bbox.from_extents(x - half, y - half, x + half, y + half)


def _within(box: Bbox, outer: Bbox) -> bool:
    return bool(box.x0 >= outer.x0 and box.x1 <= outer.x1 and box.y0 >= outer.y0 and box.y1 <= outer.y1)

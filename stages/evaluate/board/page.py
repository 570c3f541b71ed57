"""The board as a page: table, chart, the same photos colored by every model, and how the models differ."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from stages.evaluate.board.judging import Judged, PhotoSet
from stages.evaluate.board.table import BEST, Row, cell, differing
from stages.evaluate.chart_style import BLUE, GRAY, ORANGE
from stages.evaluate.charts import MOST_BARS, panels
from stages.evaluate.params import Params
from stages.evaluate.pictures import label
from stages.evaluate.templates import photo, picture, render
from ungray.imaging.color import Rgb
from ungray.imaging.metrics import DECISIVE, METRICS
from ungray.quality import TOO_FEW

SEARCH = Path("reports/tune")
SEARCH_PICTURES = {
    "slices": "every trial by each parameter",
    "history": "the best trial so far",
    "importance": "which parameter mattered",
}


def page(
    table: pd.DataFrame,
    rows: Sequence[Row],
    gray: Judged,
    truths: Sequence[Rgb],
    *,
    test: PhotoSet,
    names: Mapping[str, str],
    params: Params,
    said: Sequence[str],
    pending: Sequence[str],
    folder: Path,
) -> str:
    """Return the page as HTML.

    Args:
        table: of :func:`~stages.evaluate.board.table.board_table`.
        rows: the models.
        gray: what judging found of the gray photos.
        truths: the true photos that are shown, uint8 sRGB, in the order of ``test.shown``.
        test: the photos by which all were judged.
        names: the photos' names at their sources, by file name without extension.
        params: those by which they were judged.
        said: the verdict, in sentences.
        pending: experiments without a model yet.
        folder: where the page is going to lie; links are relative to it.
    """
    judged = {row.name: row for row in rows if row.judged}
    lines = [_line(row) for row in table.to_dict("records") if row["model"] in judged]
    return render(
        "board/page.html",
        said=[sentence[0].upper() + sentence[1:] + "." for sentence in said],
        decisive=DECISIVE,
        ratio=METRICS["colorfulness_ratio"],
        psnr=METRICS["psnr"],
        photos=len(test.paths),
        groups=len(set(test.groups.values())),
        min_groups=params.min_groups,
        gray={metric: METRICS[metric].text(gray.photos[metric].mean()) for metric in ("ciede2000", "psnr")},
        lines=lines,
        missing=[
            {"model": row["model"], "note": row["note"]}
            for row in table.to_dict("records")
            if row["model"] not in judged
        ],
        pending=list(pending),
        chart=_chart(table[table["model"].isin(judged)]) if judged else "",
        shown=[label(names.get(Path(name).stem, name), 40) for name in test.shown],
        pictures=[
            {"name": "truth", "photos": [photo(truth) for truth in truths]},
            {"name": "gray photo", "photos": [picture(path) for path in gray.pictures]},
            *(
                {
                    "name": line["model"],
                    "photos": [picture(path) for path in _pictures(judged[line["model"]])],
                }
                for line in lines
            ),
        ],
        settings=[
            {"name": name, "values": [judged[line["model"]].settings.get(name, "") for line in lines]}
            for name in differing(rows)
        ],
        search=_search(folder),
    )


def _pictures(row: Row) -> tuple[Path, ...]:
    assert row.judged is not None
    return row.judged.pictures


def _line(row: Mapping[Any, Any]) -> dict[str, Any]:
    name = DECISIVE.name
    word = {BEST: "the best", TOO_FEW: "too few"}.get(row["against_best"], row["against_best"])
    return {
        "model": row["model"],
        "note": row["note"],
        "error": _parts(cell(row, name)),
        "gray": _parts(cell(row, f"{name}_minus_gray", signed=True)),
        "against_gray": str(row["against_gray"]).replace(TOO_FEW, "too few"),
        "best": _parts(cell(row, f"{name}_minus_best", signed=True)),
        "against_best": word,
        "psnr": METRICS["psnr"].text(row["psnr"]),
        "ratio": METRICS["colorfulness_ratio"].text(row["colorfulness_ratio"]),
        "parameters": "" if pd.isna(row["parameters"]) else f"{row['parameters'] / 1e6:.2f} M",
        "megabytes": "" if pd.isna(row["bytes"]) else f"{row['bytes'] / 1e6:.1f} MB",
        "milliseconds": "" if pd.isna(row["milliseconds"]) else f"{row['milliseconds']:.0f} ms",
        "knows": "unknown" if pd.isna(row["knows"]) else str(row["knows"]),
    }


def _parts(text: str) -> dict[str, str]:
    mean, _, interval = text.partition(" (")
    return {"mean": mean, "interval": interval.removesuffix(")")}


def _chart(table: pd.DataFrame) -> str:
    """Return a chart of each model's decisive metric minus gray's, as an address that contains it."""
    name = f"{DECISIVE.name}_minus_gray"
    drawn = table.head(MOST_BARS)[::-1]
    places = range(len(drawn))
    low, high = (drawn[f"{name}_{end}"].astype(float).fillna(drawn[name]) for end in ("low", "high"))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "chart.png"
        with panels(path, width=8, height=1.4 + 0.32 * len(drawn)) as (axes,):
            axes.axvline(0, color=GRAY, linewidth=1.5)
            for place, (_, row), start, end in zip(places, drawn.iterrows(), low, high, strict=True):
                better = (row[name] < 0) == (DECISIVE.better == "lower")
                ink = BLUE if better else ORANGE
                filled = row["against_best"] == BEST
                axes.plot([start, end], [place, place], color=ink, linewidth=2)
                axes.plot(row[name], place, "o", color=ink, markerfacecolor=ink if filled else "white")
            axes.set_yticks(places, [label(name, 40) for name in drawn["model"]], parse_math=False)
            axes.set_ylim(-0.7, len(drawn) - 0.3)
            axes.set_xlabel(DECISIVE.minus_gray_label)
        return picture(path)


def _search(folder: Path) -> list[dict[str, str]]:
    """Return the charts and the table of the last search, if there was one, as links from ``folder``."""
    found = {SEARCH / f"{name}.png": text for name, text in SEARCH_PICTURES.items()}
    found[SEARCH / "trials.csv"] = "the table of its trials"
    return [
        {"text": text, "address": Path(os.path.relpath(path, folder)).as_posix()}
        for path, text in found.items()
        if path.is_file()
    ]

"""The board as a table: every model's metrics with intervals, and how it differs from gray and the best."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from stages.evaluate.board.collection import SECTIONS, Source
from stages.evaluate.board.judging import GRAY, Judged, PhotoSet
from stages.evaluate.params import Params
from stages.evaluate.summaries import difference, interval_cells, means
from ungray.imaging.metrics import DECISIVE, METRICS
from ungray.quality import TOO_FEW

BEST = "best"
"""What stands in ``against_best`` of the best model itself."""

SHOWN_METRICS = ("psnr", "ab_mae", "colorfulness_ratio")


@dataclass(frozen=True)
class Row:
    """A model of the board: where it comes from, what judging found (None: why not is in ``missing``), and
    how many of the photos it was trained on (None: unknown)."""

    source: Source
    judged: Judged | None
    knows: int | None = None
    missing: str = ""

    @property
    def name(self) -> str:
        """All of its names."""
        return self.source.name

    @property
    def settings(self) -> dict[str, str]:
        """Parameters of its data and its training, by name."""
        return {**self.source.settings, **(self.judged.about["settings"] if self.judged else {})}


def judged_photos(rows: Sequence[Row], gray: Judged, test: PhotoSet) -> pd.DataFrame:
    """Return one row per photo and model: file, group, method (a model's name, or gray), and its metrics."""
    tables = [(GRAY, gray), *((row.name, row.judged) for row in rows)]
    parts = [judged.photos.assign(method=name) for name, judged in tables if judged]
    table = pd.concat(parts, ignore_index=True)
    table.insert(1, "group", table["file"].map(test.groups))
    table.insert(2, "method", table.pop("method"))
    return table


def board_table(rows: Sequence[Row], judged: pd.DataFrame, params: Params) -> pd.DataFrame:
    """Return one row per model, the best first, those that know the photos by themselves after the others.

    The best one has the lowest mean of the decisive metric among those that are not known to be trained on
    any of the photos.

    Args:
        rows: the models.
        judged: what :func:`judged_photos` returns.
        params: bootstrap, and the number of groups that a verdict requires.

    Returns:
        model, knows (number of photos that it was trained on; empty if unknown), parameters, bytes,
        milliseconds (per photo); ciede2000 with its interval, minus gray's and minus the best's with
        intervals and words (``against_gray``, ``against_best``); the means of :data:`SHOWN_METRICS`; note;
        then a column for every parameter that differs between models.
    """
    values = means(judged)
    found = sorted(
        (row for row in rows if row.judged),
        key=lambda row: (bool(row.knows), values[row.name][DECISIVE.name]),
    )
    best = next((row.name for row in found if not row.knows), None)
    lines = [_line(row, judged, values[row.name], best, params) for row in found]
    lines += [{"model": row.name, "note": row.missing} for row in rows if not row.judged]
    columns = list(dict.fromkeys(key for line in [*lines, {"note": ""}] for key in line))
    table = pd.DataFrame(lines, columns=[*(name for name in columns if name != "note"), "note"])
    table = table.astype({name: "Int64" for name in ("knows", "parameters", "bytes") if name in table})
    by_name = {row.name: row.settings for row in rows}
    for key in differing(rows):
        table[key] = [by_name[name].get(key, "") for name in table["model"]]
    return table


def _line(
    row: Row, judged: pd.DataFrame, values: Mapping[str, float], best: str | None, params: Params
) -> dict[str, Any]:
    assert row.judged is not None
    about, name = row.judged.about, DECISIVE.name
    line: dict[str, Any] = {"model": row.name, "knows": row.knows}
    line |= {key: about[key] for key in ("parameters", "bytes", "milliseconds")}
    line |= interval_cells(name, difference(judged, DECISIVE, method=row.name, baseline=None, params=params))
    for baseline, short in ((GRAY, "gray"), (best, "best")):
        if baseline is None or baseline == row.name:
            line |= {f"{name}_minus_{short}{end}": None for end in ("", "_low", "_high")}
            line[f"against_{short}"] = BEST if baseline else ""
            continue
        found = difference(judged, DECISIVE, method=row.name, baseline=baseline, params=params)
        line |= interval_cells(f"{name}_minus_{short}", found) | {f"against_{short}": found.word}
    line |= {metric: values[metric] for metric in SHOWN_METRICS}
    return line | {"note": _note(row)}


def _note(row: Row) -> str:
    assert row.judged is not None
    known = f"was trained on {row.knows} of these photos" if row.knows else ""
    return "; ".join(filter(None, (known, row.judged.about["said"])))


def differing(rows: Sequence[Row]) -> list[str]:
    """Return the names of the parameters that differ between models, in the order of params.yaml.

    One that only some models have, such as that of an architecture, differs.
    """
    known = [row.settings for row in rows if row.settings]
    names = list(dict.fromkeys(key for settings in known for key in settings))
    order = [*SECTIONS, "train"]
    names.sort(key=lambda name: [*order, name.split(".")[0]].index(name.split(".")[0]))
    with_data = [row.settings for row in rows if row.source.settings]
    return [
        name
        for name in names
        # The base model and winners of searches say nothing of the data.
        if len({each.get(name) for each in (with_data if name.split(".")[0] in SECTIONS else known)}) > 1
    ]


def sentences(table: pd.DataFrame, test: PhotoSet, gray: float, params: Params) -> list[str]:
    """Return what the board says, in sentences without their periods."""
    judged = table[table[DECISIVE.name].notna()] if DECISIVE.name in table else table.head(0)
    groups = len(set(test.groups.values()))
    photos = f"{len(test.paths)} photos in {groups} groups"
    best = judged[judged["against_best"] == BEST]
    if best.empty:
        return [f"no model can be called the best on {photos}: each one was trained on some of them"]
    (first,) = best.to_dict("records")
    means = f"{DECISIVE.title} {DECISIVE.text(first[DECISIVE.name])}, gray's {DECISIVE.text(gray)}"
    if groups < params.min_groups:
        return [
            f"{TOO_FEW} which model is best: {groups} different ones, {params.min_groups} needed",
            f"the lowest error of {len(judged)} has {first['model']}: {means}",
        ]
    others = judged[judged["against_best"] == "can't tell"]["model"].tolist()
    said = [f"{first['model']} has the lowest error of {len(judged)} models on {photos}: {means}"]
    if others:
        said.append(f"no measurable difference between it and {_listed(others)}")
    elif len(judged) > 1:
        said.append("it is measurably better than every other one")
    if first["against_gray"] != "better":
        said.append("it is not measurably better than the gray photo")
    return said


def _listed(names: Sequence[str], most: int = 5) -> str:
    shown = [*names[:most], f"{len(names) - most} more"] if len(names) > most else list(names)
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}"


def as_text(table: pd.DataFrame) -> str:
    """Return the main columns of the table of :func:`board_table` for a terminal, then its notes."""
    rows = []
    for row in table.to_dict("records"):
        if pd.isna(row.get(DECISIVE.name)):
            continue
        rows.append(
            {
                "model": row["model"],
                DECISIVE.title: cell(row, DECISIVE.name),
                "minus gray's": cell(row, f"{DECISIVE.name}_minus_gray", signed=True),
                "minus the best's": cell(row, f"{DECISIVE.name}_minus_best", signed=True) or "the best",
                "is": {BEST: "", TOO_FEW: "too few"}.get(row["against_best"], row["against_best"]),
                METRICS["colorfulness_ratio"].title: METRICS["colorfulness_ratio"].text(
                    row["colorfulness_ratio"]
                ),
                "MB": "" if pd.isna(row["bytes"]) else f"{row['bytes'] / 1e6:.1f}",
                "ms": "" if pd.isna(row["milliseconds"]) else f"{row['milliseconds']:.0f}",
            }
        )
    lines = pd.DataFrame(rows).fillna("").to_string(index=False).split("\n") if rows else []
    notes = table[table["note"] != ""]
    lines += [f"{name}: {note}" for name, note in zip(notes["model"], notes["note"], strict=True)]
    return "\n".join(line.rstrip() for line in lines)


def cell(row: Mapping[Any, Any], column: str, *, signed: bool = False) -> str:
    """Return the decisive metric in ``column`` of a row with its interval, or an empty text."""
    mean, low, high = (row.get(f"{column}{end}", np.nan) for end in ("", "_low", "_high"))
    if pd.isna(mean):
        return ""
    text = DECISIVE.text(mean, signed=signed)
    if pd.isna(low):
        return text
    return f"{text} ({DECISIVE.text(low, signed=signed)} to {DECISIVE.text(high, signed=signed)})"

"""``reports/report.html``: one file with its pictures inside, which opens from disk without a network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from stages.evaluate.methods import Colorize
from stages.evaluate.params import Params
from stages.evaluate.run import Findings
from stages.evaluate.settings import flat, trained_with
from stages.evaluate.templates import photo, picture, render
from ungray.imaging import photos
from ungray.imaging.metrics import DECISIVE, METRICS, Metric
from ungray.imaging.upsampling import gray_photo
from ungray.networks import Model, parameter_count
from ungray.provenance import kept_nothing
from ungray.quality import BASELINES, METHODS, TOO_FEW

KIND_TITLES = {
    "query": "query",
    "chroma_tercile": "third by chroma of the truth",
    "size_tercile": "third by size of the original",
}
GRID_CAPTIONS = {
    "test": "Always the same test photos",
    "best": f"The best by {DECISIVE.title}",
    "median": "The middle",
    "worst": "The worst",
}
CHART_TEXTS = {
    "queries": f"{DECISIVE.title} minus the gray photo's, by query",
    "ab_histograms": "Which colors the model uses, and which the true photos have",
    "curves": "Loss by epoch of train photos, val photos and the gray photo",
}
LIBRARIES = ("numpy", "opencv-python", "scikit-image", "scipy", "torch")
SLIDERS = 4


def page(
    found: Findings,
    model: Model,
    params: Params,
    origins: pd.DataFrame,
    *,
    prepared: Path,
    reports: Path,
    learning: Path,
    names: Mapping[str, str],
    base: Model | None = None,
) -> str:
    """Return the report as HTML.

    Args:
        found: the results of judging.
        model: the judged model, whose provenance is shown as far as it is known.
        params: those by which it was judged.
        origins: the table of :func:`~stages.evaluate.origins.origins_table`.
        prepared: where the test photos are.
        reports: where the folders grids and charts have been written.
        learning: the tall progress grid of training.
        names: the photos' names at their sources, by file name without extension.
        base: the base model, whose training is shown next to the model's.
    """
    methods = [name for name in METHODS if name in found.methods]
    baselines = [name for name in BASELINES if name in methods]
    ours = found.photos[found.photos["method"] == "model"].sort_values("file")
    return render(
        "page.html",
        said=[sentence[0].upper() + sentence[1:] + "." for sentence in found.said],
        decisive=DECISIVE,
        about=_about(model),
        photos=len(ours),
        groups=ours["group"].nunique(),
        min_groups=params.min_groups,
        methods=[METHODS[name] for name in methods],
        baselines=[METHODS[name] for name in baselines],
        figures=_figures(found, methods, baselines),
        sliders=[
            _slider(row, found.methods["model"], prepared, names) for _, row in ours.head(SLIDERS).iterrows()
        ],
        grids=[
            {
                "data": photo(photos.read_rgb(reports / f"grids/{name}.jpg")),
                "alt": f"test photos: {name}",
                "caption": caption,
            }
            for name, caption in GRID_CAPTIONS.items()
        ],
        charts=[
            {"data": picture(reports / f"charts/{name}.png"), "alt": text}
            for name, text in CHART_TEXTS.items()
        ],
        learning=picture(learning),
        kinds=[
            _kind(title, found.kinds[kind], kind, baselines, names) for kind, title in KIND_TITLES.items()
        ],
        origins=origins.to_dict("records"),
        settings=_settings(model, base),
        judging=_judging(params),
    )


def _about(model: Model) -> str:
    network = model.network
    text = f"{network.ARCHITECTURE}, {parameter_count(network) / 1e6:.2f} million parameters"
    counts, groups = (model.provenance.get(name, {}) for name in ("photos", "groups"))
    if not {"train", "val", "test"} <= counts.keys() & groups.keys():
        return f"{text}; the model does not say what it was trained on."
    trained = "trained" if not kept_nothing(model.provenance) else "after a training that kept nothing"
    return (
        f"{text}, {trained} on {counts['train']} photos in {groups['train']} groups, watched on "
        f"{counts['val']}, judged on {counts['test']} that were never in training, nor was any crop, turned "
        "copy or near-duplicate of them that was recognized as one."
    )


def _settings(model: Model, base: Model | None) -> list[dict[str, Any]]:
    """Return one row per parameter of the training: name, value, the base model's value, whether they
    differ."""
    ours, theirs = (trained_with(known.provenance if known else {}) for known in (model, base))
    return [
        {"name": name, "value": value, "base": theirs.get(name, ""), "differs": value != theirs.get(name)}
        for name, value in ours.items()
    ]


def _judging(params: Params) -> dict[str, str]:
    return flat("evaluate", params.model_dump()) | {
        f"judged with {name}": version(name) for name in LIBRARIES
    }


def _figures(found: Findings, names: Sequence[str], baselines: Sequence[str]) -> list[dict[str, Any]]:
    """Return one row per computed metric: its title and text, each method's mean, the model's differences."""
    cells = {(row["figure"], row["method"]): row for row in found.figures.to_dict("records")}
    return [
        {
            "title": metric.label,
            "text": metric.explanation,
            "headline": metric.headline,
            "means": [_cell(cells.get((name, method), {}), "mean", metric) for method in names],
            "differences": [
                _cell(cells[name, "model"], f"minus_{baseline}", metric, word=f"against_{baseline}")
                for baseline in baselines
            ],
        }
        for name, metric in METRICS.items()
        if (name, "model") in cells
    ]


def _kind(
    title: str, table: pd.DataFrame, column: str, baselines: Sequence[str], names: Mapping[str, str]
) -> dict[str, Any]:
    rows = [
        {
            "name": row[column],
            "photos": row["photos"],
            "groups": row["groups"],
            "differences": [
                _cell(row, f"{DECISIVE.name}_minus_{name}", DECISIVE, word=f"against_{name}")
                for name in baselines
            ],
            "best": _photo(row["best_photo"], names),
            "worst": _photo(row["worst_photo"], names),
        }
        for row in table.to_dict("records")
    ]
    return {"title": title, "rows": rows}


def _cell(row: Mapping[Any, Any], column: str, metric: Metric, *, word: str = "") -> dict[str, str]:
    """Return a number of ``row`` with its interval and verdict; empty texts if the row has none."""
    mean, low, high = (row.get(f"{column}{end}", np.nan) for end in ("", "_low", "_high"))
    signed = column != "mean"
    said = str(row[word]).replace(TOO_FEW, "too few") if word and not pd.isna(row[word]) else ""
    return {
        "mean": "" if pd.isna(mean) else metric.text(mean, signed=signed),
        "interval": ""
        if pd.isna(low)
        else " to ".join(metric.text(end, signed=signed) for end in (low, high)),
        "word": said,
    }


def _photo(file: str, names: Mapping[str, str]) -> dict[str, str]:
    """Return a photo's name, and its file in data/prepared."""
    return {"name": names.get(Path(file).stem, Path(file).name), "file": file}


def _slider(row: pd.Series, colorize: Colorize, prepared: Path, names: Mapping[str, str]) -> dict[str, Any]:
    gray = gray_photo(photos.read_rgb(prepared / row["file"]))
    return {
        "query": row["query"],
        "name": _photo(row["file"], names)["name"],
        "decisive": DECISIVE.text(row[DECISIVE.name]),
        "gray": photo(gray),
        "model": photo(colorize(gray)),
    }

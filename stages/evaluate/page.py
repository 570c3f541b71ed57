"""``reports/report.html``: one file with its pictures inside, which opens from disk without a network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from ruamel.yaml import YAML

from stages.evaluate.methods import Colorize
from stages.evaluate.params import Params
from stages.evaluate.reasons import HIGH, Reason
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
    "median": f"The middle by {DECISIVE.title}",
    "worst": f"The worst by {DECISIVE.title}",
}
CHART_TEXTS = {
    "queries": f"{DECISIVE.title} minus the gray photo's, by query",
    "ab_histograms": "Which colors the model uses, and which the true photos have",
    "curves": "Loss by epoch of train photos, val photos and the gray photo",
}
DEFAULTS = Path(__file__).with_name("defaults.yaml")
"""The section train of params.yaml as shipped, so that the report knows what was changed."""

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
    queries: Mapping[str, str],
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
        queries: the photos' queries, by file.
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
        grids={
            name: {
                "data": photo(photos.read_rgb(reports / f"grids/{name}.jpg")),
                "alt": f"test photos: {name}",
                "caption": caption,
            }
            for name, caption in GRID_CAPTIONS.items()
        },
        worst=[_worst(reason, queries, names) for reason in found.worst],
        high=f"{100 * HIGH:.0f}",
        unlike=_unlikeness(found),
        charts=[
            {"data": picture(reports / f"charts/{name}.png"), "alt": f"chart: {text}", "caption": text}
            for name, text in CHART_TEXTS.items()
        ],
        learning={
            "data": picture(learning),
            "alt": "the same val photos colored after more and more epochs",
            "caption": "The same val photos, colored by the network as it learned",
        },
        kinds=[_kind(title, found, kind, baselines, queries, names) for kind, title in KIND_TITLES.items()],
        origins=origins.to_dict("records"),
        with_base="base" in methods,
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
    """Return one row per parameter of the training: its name, its value, the default and the base model's
    value, and whether it differs from the default."""
    ours, theirs = (trained_with(known.provenance if known else {}) for known in (model, base))
    defaults = flat("train", YAML(typ="safe").load(DEFAULTS)["train"])
    return [
        {
            "name": name,
            "value": value,
            "default": defaults.get(name, ""),
            "base": theirs.get(name, ""),
            # What is no parameter, such as the number of steps taken, has no default to differ from.
            "differs": name.startswith("train.") and not _equal(value, defaults.get(name, "")),
        }
        for name, value in ours.items()
    ]


def _equal(one: str, other: str) -> bool:
    """Return whether two values are the same in params.yaml, where 64 may be written for 64.0."""
    try:
        return float(one) == float(other)
    except ValueError:
        return one == other


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


def _worst(reason: Reason, queries: Mapping[str, str], names: Mapping[str, str]) -> dict[str, Any]:
    """Return a row of the table of the worst photos, as texts."""
    unlike = reason.unlikeness is not None and reason.unlikeness_rank is not None
    return {
        "photo": _photo(reason.file, queries, names),
        "error": DECISIVE.text(reason.error),
        "gray": DECISIVE.text(reason.gray),
        "reasons": reason.sentences,
        "same_query": reason.same_query,
        "chroma": f"{reason.chroma:.0f}",
        "chroma_rank": _share(reason.chroma_rank),
        "unlikeness": f"{reason.unlikeness:.2f}" if unlike else "",
        "unlikeness_rank": _share(reason.unlikeness_rank) if unlike else "",
        "nearest": _photo(reason.nearest, queries, names) if unlike else {},
    }


def _share(rank: float | None) -> str:
    return "" if rank is None else f"{100 * rank:.0f} %"


def _unlikeness(found: Findings) -> dict[str, str] | None:
    """Return how unlikeness was measured, and what it explains, as texts; None if it was not measured."""
    if not found.encoder:
        return None
    _, all_train, compared = found.encoder
    return {
        "encoder": METHODS[found.encoder.method],
        "sample": f", of which {compared} of {all_train} are compared" if compared < all_train else "",
        "correlation": "" if found.correlation is None else f"{found.correlation:+.2f}",
    }


def _kind(
    title: str,
    found: Findings,
    column: str,
    baselines: Sequence[str],
    queries: Mapping[str, str],
    names: Mapping[str, str],
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
            "best": _photo(row["best_photo"], queries, names),
            "worst": _photo(row["worst_photo"], queries, names),
        }
        for row in found.kinds[column].to_dict("records")
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


def _photo(file: str, queries: Mapping[str, str], names: Mapping[str, str]) -> dict[str, str]:
    """Return a photo's name, its query, and its file in data/prepared."""
    return {"name": names.get(Path(file).stem, Path(file).name), "query": queries[file], "file": file}


def _slider(row: pd.Series, colorize: Colorize, prepared: Path, names: Mapping[str, str]) -> dict[str, Any]:
    gray = gray_photo(photos.read_rgb(prepared / row["file"]))
    return {
        "query": row["query"],
        "name": names.get(Path(row["file"]).stem, Path(row["file"]).name),
        "decisive": DECISIVE.text(row[DECISIVE.name]),
        "gray": photo(gray),
        "model": photo(colorize(gray)),
    }

"""``reports/report.html``: one file that opens from disk with no network, pictures inside."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from stages import photos
from stages.color import gray_photo, rgb_to_lab
from stages.evaluate.params import Params
from stages.evaluate.rivals import TITLES, Colour
from stages.evaluate.run import Findings
from stages.evaluate.summaries import FIGURES, YARDSTICKS
from stages.evaluate.verdict import TOO_FEW
from stages.networks import Model, parameter_count
from stages.provenance import kept_nothing

FIGURE_TITLES = {
    "ciede2000": "CIEDE2000, mean (lower is better)",
    "ciede2000_p95": "CIEDE2000, 95th percentile of pixels",
    "ab_mae": "ab, mean absolute error",
    "psnr": "PSNR on RGB, dB (higher is better)",
    "ssim": "SSIM on RGB (higher is better)",
    "histogram_distance": "ab histogram distance (lower is better)",
    "l1": "L1 on RGB in 0..1",
    "mse": "MSE on RGB in 0..1",
    "colourfulness": "colourfulness (Hasler and S\u00fcsstrunk)",
    "colourfulness_ratio": "colourfulness over the truth's (1 is equal)",
}
WITHOUT_INTERVAL = {
    "fid": "FID (lower is better)",
    "lpips": "LPIPS (lower is better)",
    "raw_l1": "L1 of the network's own output",
    "raw_mse": "MSE of the network's own output",
}
KIND_TITLES = {
    "query": "query",
    "chroma_tercile": "third by chroma of the truth",
    "size_tercile": "third by size of the original",
}
GRID_CAPTIONS = {
    "test": "Always the same test photos.",
    "best": "The best by CIEDE2000.",
    "median": "The middle.",
    "worst": "The worst.",
}
CHART_TEXTS = {
    "queries": "bars: CIEDE2000 minus the gray photo's by query",
    "ab_histograms": "which colours the model uses, and which the true photos have",
    "curves": "loss by epoch for train, val and the gray photo",
}
LIBRARIES = ("numpy", "opencv-python", "scikit-image", "scipy", "torch")
SLIDERS = 4


def page(
    found: Findings, model: Model, params: Params, origins: pd.DataFrame, *, prepared: Path, reports: Path
) -> str:
    """Return the report as HTML.

    Args:
        found: what judging found.
        model: the judged model, whose provenance is told as far as it is known.
        params: by which it was judged.
        origins: the table of :func:`~stages.evaluate.origins.origins_table`.
        prepared: where the test photos are.
        reports: where the folders grids and charts and the film are, already drawn.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
    )
    names = [name for name in TITLES if name in found.rivals]
    yardsticks = [name for name in YARDSTICKS if name in names]
    ours = found.photos[found.photos["rival"] == "model"].sort_values("file")
    return environment.get_template("page.html").render(
        verdicts=[verdict[0].upper() + verdict[1:] + "." for verdict in found.verdicts],
        about=_about(model),
        left_out=found.left_out[0].upper() + found.left_out[1:] + ".",
        photos=len(ours),
        groups=ours["group"].nunique(),
        min_groups=params.min_groups,
        rivals=[TITLES[name] for name in names],
        yardsticks=[TITLES[name] for name in yardsticks],
        figures=_figures(found, names, yardsticks),
        sliders=[_slider(row, found.rivals["model"], prepared) for _, row in ours.head(SLIDERS).iterrows()],
        grids=[
            {
                "data": _jpeg(photos.read_rgb(reports / f"grids/{name}.jpg")),
                "alt": f"test photos: {name}",
                "caption": caption,
            }
            for name, caption in GRID_CAPTIONS.items()
        ],
        charts=[
            {"data": _data(reports / f"charts/{name}.png"), "alt": text} for name, text in CHART_TEXTS.items()
        ],
        film=_data(reports / "film.webp"),
        kinds=[_kind(title, found.kinds[kind], kind, yardsticks) for kind, title in KIND_TITLES.items()],
        origins=origins.to_dict("records"),
        settings=_settings(model, params),
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


def _settings(model: Model, params: Params) -> dict[str, Any]:
    known = model.provenance
    training = {f"train.{name}": value for name, value in known.get("train", {}).items()}
    names = {"steps": "steps", "precision": "trained in", "torch": "trained with torch"}
    trained = {title: known[name] for name, title in names.items() if name in known}
    judging = {f"evaluate.{name}": value for name, value in params.model_dump().items()}
    return training | trained | judging | {f"judged with {name}": version(name) for name in LIBRARIES}


def _figures(found: Findings, names: Sequence[str], yardsticks: Sequence[str]) -> list[dict[str, Any]]:
    cells = {(row["figure"], row["rival"]): row for row in found.figures.to_dict("records")}
    rows = [
        {
            "title": FIGURE_TITLES[figure],
            "means": [_cell(cells[figure, name], "mean", form=".4g") for name in names],
            "differences": [
                _cell(cells[figure, "model"], f"minus_{name}", form="+.3g", word=f"against_{name}")
                for name in yardsticks
            ],
        }
        for figure in FIGURES
    ]
    empty = {"mean": "", "interval": "", "word": ""}
    for figure, title in WITHOUT_INTERVAL.items():
        if (figure, "model") in cells:
            values = [cells[figure, name]["mean"] if (figure, name) in cells else None for name in names]
            means = [empty if value is None else empty | {"mean": f"{value:.4g}"} for value in values]
            rows.append({"title": title, "means": means, "differences": [empty] * len(yardsticks)})
    return rows


def _kind(title: str, table: pd.DataFrame, column: str, yardsticks: Sequence[str]) -> dict[str, Any]:
    rows = [
        {
            "name": row[column],
            "photos": row["photos"],
            "groups": row["groups"],
            "differences": [
                _cell(row, f"ciede2000_minus_{name}", form="+.2f", word=f"against_{name}")
                for name in yardsticks
            ],
            "best": Path(row["best_photo"]).stem,
            "worst": Path(row["worst_photo"]).stem,
        }
        for row in table.to_dict("records")
    ]
    return {"title": title, "rows": rows}


def _cell(row: Mapping[Any, Any], column: str, *, form: str, word: str = "") -> dict[str, str]:
    low, high = row[f"{column}_low"], row[f"{column}_high"]
    interval = "" if pd.isna(low) else f"{low:{form}} to {high:{form}}"
    said = row[word].replace(TOO_FEW, "too few") if word else ""
    return {"mean": f"{row[column]:{form}}", "interval": interval, "word": said}


def _slider(row: pd.Series, colour: Colour, prepared: Path) -> dict[str, Any]:
    lightness = rgb_to_lab(photos.read_rgb(prepared / row["file"]))[..., 0]
    return {
        "query": row["query"],
        "ciede2000": row["ciede2000"],
        "gray": _jpeg(gray_photo(lightness)),
        "model": _jpeg(colour(lightness)),
    }


def _data(path: Path) -> str:
    kind = {".png": "image/png", ".webp": "image/webp"}[path.suffix]
    return f"data:{kind};base64,{base64.b64encode(path.read_bytes()).decode()}"


def _jpeg(rgb: NDArray[np.uint8]) -> str:
    content = photos.encode_rgb(rgb, suffix=".jpg", quality=90)
    return f"data:image/jpeg;base64,{base64.b64encode(content).decode()}"

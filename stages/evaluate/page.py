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

from stages.evaluate.bootstrap import TOO_FEW
from stages.evaluate.methods import TITLES, Colorize
from stages.evaluate.params import Params
from stages.evaluate.run import Findings
from stages.evaluate.summaries import BASELINES, FIGURES
from ungray.imaging import photos
from ungray.imaging.color import gray_photo, rgb_to_lab
from ungray.networks import Model, parameter_count
from ungray.provenance import kept_nothing

FIGURE_TITLES = {
    "ciede2000": "CIEDE2000, mean (lower is better)",
    "ciede2000_p95": "CIEDE2000, 95th percentile of pixels",
    "ab_mae": "ab, mean absolute error",
    "psnr": "PSNR on RGB, dB (higher is better)",
    "ssim": "SSIM on RGB (higher is better)",
    "histogram_distance": "ab histogram distance (lower is better)",
    "l1": "L1 on RGB in 0..1",
    "mse": "MSE on RGB in 0..1",
    "colorfulness": "colorfulness (Hasler and S\u00fcsstrunk)",
    "colorfulness_ratio": "colorfulness over the truth's (1 is equal)",
}
WITHOUT_INTERVAL = {
    "fid": "FID (lower is better)",
    "lpips": "LPIPS (lower is better)",
    "raw_l1": "L1 of the network's own output",
    "raw_mse": "MSE of the network's own output",
}
FIGURE_TEXTS = {
    "ciede2000": "how different two colors look: 0 is equal, 1 just noticeable, 10 plainly another color",
    "ciede2000_p95": "the same where it is worst: one pixel in twenty is further off",
    "ab_mae": "error of a (green to red) and b (blue to yellow) of Lab, in which 1 is just noticeable",
    "psnr": "peak signal over squared error, on a logarithmic scale: 3 dB more is half the error",
    "ssim": "how like the structure is, 1 at most; the gray photo has nearly all of it already",
    "histogram_distance": "whether each color is as frequent as in the truth, wherever it is; 0 is equal",
    "l1": "absolute error of red, green and blue, as earlier work reports it",
    "mse": "squared error of red, green and blue, as earlier work reports it",
    "colorfulness": "0 gray, 33 moderate, 59 quite, 82 highly colorful",
    "colorfulness_ratio": "under 1 paler than the true photos, over 1 more vivid",
    "fid": "how far what a network sees in all colored photos is from what it sees in the true ones",
    "lpips": "how different a photo and the truth look to a network that knows many photos",
    "raw_l1": "before the photo's own lightness is put back",
    "raw_mse": "before the photo's own lightness is put back",
}
MATTERS = ("ciede2000", "ab_mae", "psnr", "colorfulness_ratio")
"""Figures that are shown at once; the others are folded."""
KIND_TITLES = {
    "query": "query",
    "chroma_tercile": "third by chroma of the truth",
    "size_tercile": "third by size of the original",
}
GRID_CAPTIONS = {
    "test": "Always the same test photos",
    "best": "The best by CIEDE2000",
    "median": "The middle",
    "worst": "The worst",
}
CHART_TEXTS = {
    "queries": "CIEDE2000 minus the gray photo's, by query",
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
    names: Mapping[str, str],
    base: Model | None = None,
) -> str:
    """Return the report as HTML.

    Args:
        found: what judging found.
        model: the judged model, whose provenance is told as far as it is known.
        params: by which it was judged.
        origins: the table of :func:`~stages.evaluate.origins.origins_table`.
        prepared: where the test photos are.
        reports: where the folders grids and charts and the film are, already drawn.
        names: what the photos are called where they came from, by the names of their files without ending.
        base: whose training this one's is shown beside.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
    )
    methods = [name for name in TITLES if name in found.methods]
    baselines = [name for name in BASELINES if name in methods]
    ours = found.photos[found.photos["method"] == "model"].sort_values("file")
    return environment.get_template("page.html").render(
        verdicts=[verdict[0].upper() + verdict[1:] + "." for verdict in found.verdicts],
        about=_about(model),
        left_out=found.left_out[0].upper() + found.left_out[1:] + ".",
        photos=len(ours),
        groups=ours["group"].nunique(),
        min_groups=params.min_groups,
        methods=[TITLES[name] for name in methods],
        baselines=[TITLES[name] for name in baselines],
        figures=_figures(found, methods, baselines),
        sliders=[
            _slider(row, found.methods["model"], prepared, names) for _, row in ours.head(SLIDERS).iterrows()
        ],
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
    """Return a row a parameter of the training: name, value, the base model's, whether they differ."""
    ours, theirs = (_training(known.provenance if known else {}) for known in (model, base))
    return [
        {"name": name, "value": value, "base": theirs.get(name, ""), "differs": value != theirs.get(name)}
        for name, value in ours.items()
    ]


def _training(known: Mapping[str, Any]) -> dict[str, str]:
    words = {"steps": "steps", "precision": "trained in", "torch": "trained with torch"}
    return _flat("train", known.get("train", {})) | {
        title: str(known[name]) for name, title in words.items() if name in known
    }


def _judging(params: Params) -> dict[str, str]:
    return _flat("evaluate", params.model_dump()) | {
        f"judged with {name}": version(name) for name in LIBRARIES
    }


def _flat(name: str, value: Any) -> dict[str, str]:
    """Return a section of parameters as params.yaml names and writes them: ``train.lr``, ``true``."""
    if isinstance(value, Mapping) and value:
        parts = [_flat(f"{name}.{key}", part) for key, part in value.items()]
        return {key: text for part in parts for key, text in part.items()}
    if isinstance(value, (list, tuple)):
        return {name: ", ".join(str(part) for part in value) or "none"}
    words = {True: "true", False: "false", None: "none"}
    return {name: words[value] if value is None or isinstance(value, bool) else str(value)}


def _figures(found: Findings, names: Sequence[str], baselines: Sequence[str]) -> list[dict[str, Any]]:
    cells = {(row["figure"], row["method"]): row for row in found.figures.to_dict("records")}
    rows = [
        {
            "title": FIGURE_TITLES[figure],
            "text": FIGURE_TEXTS[figure],
            "matters": figure in MATTERS,
            "means": [_cell(cells[figure, name], "mean", form=".4g") for name in names],
            "differences": [
                _cell(cells[figure, "model"], f"minus_{name}", form="+.3g", word=f"against_{name}")
                for name in baselines
            ],
        }
        for figure in FIGURES
    ]
    empty = {"mean": "", "interval": "", "word": ""}
    for figure, title in WITHOUT_INTERVAL.items():
        if (figure, "model") in cells:
            values = [cells[figure, name]["mean"] if (figure, name) in cells else None for name in names]
            means = [empty if value is None else empty | {"mean": f"{value:.4g}"} for value in values]
            differences = [empty] * len(baselines)
            row = {"title": title, "text": FIGURE_TEXTS[figure], "matters": False}
            rows.append(row | {"means": means, "differences": differences})
    return rows


def _kind(
    title: str, table: pd.DataFrame, column: str, baselines: Sequence[str], names: Mapping[str, str]
) -> dict[str, Any]:
    rows = [
        {
            "name": row[column],
            "photos": row["photos"],
            "groups": row["groups"],
            "differences": [
                _cell(row, f"ciede2000_minus_{name}", form="+.2f", word=f"against_{name}")
                for name in baselines
            ],
            "best": _photo(row["best_photo"], names),
            "worst": _photo(row["worst_photo"], names),
        }
        for row in table.to_dict("records")
    ]
    return {"title": title, "rows": rows}


def _cell(row: Mapping[Any, Any], column: str, *, form: str, word: str = "") -> dict[str, str]:
    low, high = row[f"{column}_low"], row[f"{column}_high"]
    interval = "" if pd.isna(low) else f"{low:{form}} to {high:{form}}"
    said = row[word].replace(TOO_FEW, "too few") if word else ""
    return {"mean": f"{row[column]:{form}}", "interval": interval, "word": said}


def _photo(file: str, names: Mapping[str, str]) -> dict[str, str]:
    """Return what a photo is called, and its file in data/prepared."""
    return {"name": names.get(Path(file).stem, Path(file).name), "file": file}


def _slider(row: pd.Series, colorize: Colorize, prepared: Path, names: Mapping[str, str]) -> dict[str, Any]:
    lightness = rgb_to_lab(photos.read_rgb(prepared / row["file"]))[..., 0]
    return {
        "query": row["query"],
        "name": _photo(row["file"], names)["name"],
        "ciede2000": row["ciede2000"],
        "gray": _jpeg(gray_photo(lightness)),
        "model": _jpeg(colorize(lightness)),
    }


def _data(path: Path) -> str:
    kind = {".png": "image/png", ".webp": "image/webp"}[path.suffix]
    return f"data:{kind};base64,{base64.b64encode(path.read_bytes()).decode()}"


def _jpeg(rgb: NDArray[np.uint8]) -> str:
    content = photos.encode_rgb(rgb, suffix=".jpg", quality=90)
    return f"data:image/jpeg;base64,{base64.b64encode(content).decode()}"

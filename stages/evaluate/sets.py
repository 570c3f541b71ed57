"""Judges models on sets of photos from elsewhere, one folder per set."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from stages.evaluate.candidates import by_name, load_photo
from stages.evaluate.options import named, tool_parser
from stages.evaluate.params import Params
from stages.evaluate.report import one_set
from stages.evaluate.summaries import figures_table
from stages.params import load
from stages.storage import tables
from ungray.colorizer import Colorizer
from ungray.imaging import metrics
from ungray.quality import minus_gray, ratio
from ungray.system.files import whole_file
from ungray.system.progress import Bar
from ungray.system.terminal import tell

DOC = """\
Judge a model on sets of color photos, one folder per set, against their gray versions: how good it is on
photographs unlike its own. Each set is a row, and so is the mean over sets, which weights them equally. With
--vivid its vivid colors are judged. Examples:

  python -m stages.evaluate sets data/base/colorizer.safetensors slides=~/slides outdoor=~/outdoor
  python -m stages.evaluate sets data/models/colorizer.onnx ~/photos/street ~/photos/sea --vivid
"""

GRAY, MODEL = "gray", "model"


def sets(arguments: Sequence[str]) -> None:
    """Run the tool ``python -m stages.evaluate sets``."""
    parser = tool_parser("sets", DOC, output="reports/sets")
    parser.add_argument("model", metavar="MODEL", type=Path, help="a model, .safetensors or .onnx")
    parser.add_argument("folders", metavar="DIR", nargs="+", help="a folder of photos, or NAME=folder")
    parser.add_argument(
        "--own", action="store_true", help="the sets are kinds held out of the model's own photos"
    )
    parser.add_argument("--vivid", action="store_true", help="judge the vivid colors")
    options = parser.parse_args(arguments)
    params = load("evaluate", Params)
    folders = named(options.folders, name_of=lambda path: path.name)
    colorizer = Colorizer.load(options.model)
    judged = judge_sets(colorizer, folders, short_side=options.short_side, vivid=options.vivid)
    found = judged_sets(judged, params)
    table = sets_table(found)
    tables.write_table(judged.round(5), options.output / "photos.csv")
    tables.write_table(table, options.output / "sets.csv")
    with whole_file(options.output / "quality.json") as partial:
        partial.write_text(json.dumps({"kinds" if options.own else "elsewhere": found}, indent=2) + "\n")
    tell(*table.to_string(index=False, na_rep="").split("\n"))
    tell(f"{options.output}/sets.csv has this, {options.output}/photos.csv each photo, quality.json the rest")


def judge_sets(
    colorizer: Colorizer, folders: Mapping[str, Path], *, short_side: int, vivid: bool = False
) -> pd.DataFrame:
    """Judge ``colorizer`` and the gray photo on the photos in ``folders``, one in memory at a time.

    Args:
        colorizer: what colors them, as :meth:`Colorizer.colorize` does.
        folders: of color photos, by the names of the sets.
        short_side: pixels at which photos are judged at most; 0 leaves them as they are.
        vivid: judge vivid colors.

    Returns:
        One row per photo and method, ``gray`` and ``model``: set, file, group (each photo is one), method,
        and the metrics of :func:`ungray.imaging.metrics.judge`.

    Raises:
        UngrayError: a folder holds no photo, or one cannot be read or has no color to judge by.
    """
    rows = []
    for name, folder in folders.items():
        for path in Bar(by_name(folder).values(), desc=name, unit="photo"):
            photo = load_photo(path, short_side=short_side)
            made = {GRAY: photo.gray, MODEL: colorizer.colorize(photo.gray, vivid=vivid)}
            rows += [
                {"set": name, "file": path.name, "group": path.name, "method": method}
                | metrics.judge(colored, photo.truth)
                for method, colored in made.items()
            ]
    return pd.DataFrame(rows)


def judged_sets(judged: pd.DataFrame, params: Params) -> list[dict[str, Any]]:
    """Return the sets of a quality, with headline metrics, from :func:`judge_sets`; see
    :mod:`ungray.quality`."""
    return [
        one_set(str(name), part, figures_table(part, params, metrics=metrics.headline()))
        for name, part in judged.groupby("set", sort=False)
    ]


def sets_table(found: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Return one row per set of :func:`judged_sets`, and one for the mean over sets.

    Columns: set, photos; psnr_minus_gray (dB) with the ends of its 95 % interval; ciede2000, ciede2000_gray,
        and their quotient ciede2000_ratio; ab_mae_ratio; colorfulness_ratio, relative to the truth's.
    """
    rows = []
    for one in found:
        gain, means = minus_gray(one, "psnr"), one["metrics"]["ciede2000"]["means"]
        rows.append(
            {
                "set": one["name"],
                "photos": one["photos"],
                "psnr_minus_gray": gain["mean"],
                "low": gain["low"],
                "high": gain["high"],
                "ciede2000": means["model"],
                "ciede2000_gray": means["gray"],
                "ciede2000_ratio": ratio(one, "ciede2000"),
                "ab_mae_ratio": ratio(one, "ab_mae"),
                "colorfulness_ratio": one["metrics"]["colorfulness_ratio"]["means"]["model"],
            }
        )
    table = pd.DataFrame(rows).astype({"low": float, "high": float})
    over_sets = table.mean(numeric_only=True).to_dict() | {
        "set": "mean over sets",
        "photos": table["photos"].sum(),
        "low": np.nan,
        "high": np.nan,
    }
    return pd.concat([table, pd.DataFrame([over_sets])], ignore_index=True).round(4)

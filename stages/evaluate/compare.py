"""Compare two models, or the colorings of any other program, on the same photos."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from stages.evaluate.candidates import (
    Candidate,
    by_name,
    candidate,
    judge_candidates,
    load_photo,
    without_known,
)
from stages.evaluate.options import tool_parser
from stages.evaluate.params import Params
from stages.evaluate.pictures import difference_map, label, scale_strip
from stages.evaluate.summaries import difference, means
from stages.params import load
from stages.storage import tables
from ungray.imaging.grids import photo_grid, write_jpeg
from ungray.imaging.metrics import DECISIVE, METRICS, of_photos
from ungray.quality import TOO_FEW
from ungray.system.terminal import tell

DOC = """\
Compare A with B on the color photos in DIR: each colors their gray versions, and is judged by the
truth. A and B are models of ungray (.safetensors), or folders with the colorings that any other program made
of those photos, under the same names (extension and size may differ). Photos that look alike count as one
piece of evidence, and so do those that `prepare` has put into one group. Examples:

  python -m stages.evaluate compare data/models/colorizer.safetensors old.safetensors --photos ~/photos
  python -m stages.evaluate compare data/models/colorizer.safetensors ~/other-program/out --photos ~/photos
"""


def compare(arguments: Sequence[str]) -> None:
    """Run the tool ``python -m stages.evaluate compare``."""
    parser = tool_parser("compare", DOC, output="reports/compare")
    parser.add_argument("a", metavar="A", type=Path, help="a model, or a folder of colorings")
    parser.add_argument("b", metavar="B", type=Path, help="the other one")
    parser.add_argument("--photos", metavar="DIR", type=Path, required=True, help="photos in true color")
    options = parser.parse_args(arguments)
    params = load("evaluate", Params)
    candidates = {"a": candidate(options.a), "b": candidate(options.b)}
    paths = list(without_known(by_name(options.photos)).values())
    judged = judge_candidates(candidates, paths, short_side=options.short_side)
    summary = paired_table(judged, params)
    picture = candidates_grid(
        candidates, judged, options.photos, short_side=options.short_side, rows=params.grid_rows
    )
    tables.write_table(judged.round(5), options.output / "photos.csv")
    tables.write_table(summary, options.output / "figures.csv")
    write_jpeg(options.output / "grid.jpg", picture)
    tell(*summary.to_string(index=False, na_rep="").split("\n"))
    tell(f"A is {options.a}, B is {options.b}; {sentence(summary, params)}")
    tell(f"{options.output}/grid.jpg shows where they differ most")


def paired_table(judged: pd.DataFrame, params: Params) -> pd.DataFrame:
    """Return one row per metric: the means of a, b and gray, a minus b with its interval, and a verdict on
    a."""
    by_method = means(judged)
    rows = []
    for metric in of_photos():
        found = difference(judged, metric, method="a", baseline="b", params=params)
        rows.append(
            {
                "figure": metric.name,
                **{name: by_method[name][metric.name] for name in ("a", "b", "gray")},
                "a_minus_b": found.mean,
                "low": found.low,
                "high": found.high,
                "groups": found.groups,
                "a_is": found.word,
            }
        )
    return pd.DataFrame(rows).astype({"low": float, "high": float}).round(5)


def sentence(summary: pd.DataFrame, params: Params) -> str:
    """Return the verdict, by the decisive metric, in one sentence."""
    (row,) = summary[summary["figure"] == DECISIVE.name].to_dict("records")
    ours, theirs, gray = (DECISIVE.text(row[name]) for name in ("a", "b", "gray"))
    means = f"{DECISIVE.title} {ours} vs. {theirs}, gray's {gray}"
    words = {
        "better": "A is better than B",
        "worse": "A is worse than B",
        "can't tell": "no measurable difference between A and B",
        TOO_FEW: f"too few photos to tell: {row['groups']} different ones, {params.min_groups} needed",
    }
    return f"{words[str(row['a_is'])]}: {means}"


def candidates_grid(
    candidates: dict[str, Candidate], judged: pd.DataFrame, folder: Path, *, short_side: int, rows: int
) -> NDArray[np.uint8]:
    """Return a grid of the photos on which they differ most: gray, A, B, truth, differences from the
    truth."""
    figures = judged.pivot(index="file", columns="method", values=DECISIVE.name)
    order = (figures["a"] - figures["b"]).abs().sort_values(ascending=False, kind="stable")
    tiles, captions = [], []
    for file in order.index[:rows].astype(str):
        photo = load_photo(folder / file, short_side=short_side)
        made = [colorize(photo) for colorize in candidates.values()]
        maps = [difference_map(colored, photo.truth) for colored in made]
        tiles.append([photo.gray, *made, photo.truth, *maps])
        a, b, gray = (DECISIVE.text(figures.loc[file, name]) for name in ("a", "b", "gray"))
        captions.append(f"{label(file, 60)}: {DECISIVE.title} of A {a}, B {b}, gray {gray}")
    columns = ["gray", "A", "B", "truth", f"A's {METRICS['ciede2000'].title}", "B's"]
    return photo_grid(tiles, columns=columns, captions=captions, tile=160, scale=scale_strip())

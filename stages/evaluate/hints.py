"""The value of hints: the color error by the number of hints."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd

from stages.evaluate.bootstrap import compare
from stages.evaluate.candidates import by_name, load_photo
from stages.evaluate.chart_style import GRAY as GRAY_INK
from stages.evaluate.charts import panels
from stages.evaluate.diffusion import spread
from stages.evaluate.options import at_least, tool_parser
from stages.evaluate.params import Params
from stages.params import load
from stages.storage import tables
from ungray.colorizer import Colorizer
from ungray.errors import UngrayError
from ungray.hints import Hint
from ungray.imaging import metrics, photo_files
from ungray.imaging.color import Float, Rgb, rgb_to_lab
from ungray.imaging.prediction import Prediction
from ungray.system.files import whole_file
from ungray.system.progress import Bar
from ungray.system.terminal import tell

DOC = """\
Show how much hints help: color the photos in DIR with 0, 1, 2, 5, 10, 20, 50 and 100 hints at random points,
each with the true color, and compare them with the gray photo and with the simplest method, the same hints
spread over the gray photo along its lightness (Levin, Lischinski, Weiss 2004). Writes hints.csv and hints.png
and prints the table. With --at worst the points are, one after another, those where the model without hints
errs most, as a person would choose them. Examples:

  python -m stages.evaluate hints data/base/colorizer.safetensors --photos data/prepared/test --most 100
  python -m stages.evaluate hints data/base/colorizer.safetensors --photos data/prepared/test --at worst
"""

NUMBERS = (0, 1, 2, 5, 10, 20, 50, 100)
"""The numbers of hints that are judged."""

WORST = 20
"""The largest number of points where a model errs most."""

JUDGED = ("psnr", "ciede2000")
"""The metrics of each coloring."""

MODEL, RIVAL, GRAY = "model", "diffusion", "gray"

WINDOW = 3
"""Side of the square around a point whose mean color is the hint, in pixels of the judged size."""


def hints(arguments: Sequence[str]) -> None:
    """Run the tool ``python -m stages.evaluate hints``."""
    parser = tool_parser("hints", DOC, output="reports/hints", short_side=False)
    parser.add_argument("model", metavar="MODEL", type=Path, help="a model that takes hints")
    parser.add_argument("--photos", metavar="DIR", type=Path, required=True, help="photos in true color")
    parser.add_argument(
        "--most", type=at_least(1, "--most", "photos"), default=100,
        help="number of photos to judge, evenly spaced (100)",
    )  # fmt: skip
    parser.add_argument("--at", choices=["random", "worst"], default="random", help="where they are (random)")
    parser.add_argument("--seed", type=int, default=1, help="of the random points (1)")
    options = parser.parse_args(arguments)
    params = load("evaluate", Params)
    colorizer = Colorizer.load(options.model)
    if not colorizer.takes_hints:
        raise UngrayError(f"{options.model} takes no hints: it was trained with train.hints.share: 0")
    paths = list(by_name(options.photos).values())
    chosen = np.linspace(0, len(paths) - 1, min(len(paths), options.most)).round().astype(int)
    worst = options.at == "worst"
    judged = judge_hints(colorizer, [paths[number] for number in chosen], seed=options.seed, worst=worst)
    table = hints_table(judged, params)
    tables.write_table(judged.round(5), options.output / "photos.csv")
    tables.write_table(table, options.output / "hints.csv")
    quality = {"hints": {"photos": len(chosen), "rows": json.loads(table.to_json(orient="records"))}}
    with whole_file(options.output / "quality.json") as partial:
        partial.write_text(json.dumps(quality, indent=2) + "\n")
    draw_hints(options.output / "hints.png", table)
    tell(*table.to_string(index=False, na_rep="").split("\n"))
    tell(f"{options.output}/hints.png is the chart, {options.output}/photos.csv has each photo")


def judge_hints(
    colorizer: Colorizer, paths: Sequence[Path], *, seed: int, worst: bool = False
) -> pd.DataFrame:
    """Judge ``colorizer``, diffusion and the gray photo with each of :data:`NUMBERS` of hints.

    The points of a photo follow from ``seed`` and its rank, or with ``worst`` from the model's errors; then
    they are at most :data:`WORST`. Fewer hints are a subset of more.

    Returns:
        One row per photo, method and number of hints: file, method, hints, ciede2000, psnr, and at_hints, the
        mean CIEDE2000 from the hints' colors at their points.
    """
    rows = []
    for rank, path in enumerate(Bar(paths, desc="hints", unit="photo")):
        loaded = load_photo(path, short_side=256)
        truth, gray, lab = loaded.truth, loaded.gray, rgb_to_lab(loaded.truth)
        if worst:
            known = worst_places(truth, colorizer.colorize(gray))
        else:
            known = places(truth, count=max(NUMBERS), seed=[seed, rank])
        for number in [number for number in NUMBERS if number <= len(known)]:
            made = {
                MODEL: colorizer.colorize(gray, hints=known[:number]),
                RIVAL: _diffused(gray, known[:number]),
                **({GRAY: gray} if not number else {}),
            }
            for method, photo in made.items():
                about = {"file": path.name, "method": method, "hints": number}
                at_hints = {"at_hints": _at_hints(photo, lab, known[:number])}
                rows.append(about | metrics.judge(photo, truth, names=JUDGED) | at_hints)
    return pd.DataFrame(rows)


def places(truth: Rgb, *, count: int, seed: Sequence[int]) -> list[Hint]:
    """Return ``count`` hints at random points of ``truth``, uint8 RGB, with its colors there."""
    draws = np.random.default_rng(seed)
    height, width = truth.shape[:2]
    at = zip(draws.integers(0, width, count), draws.integers(0, height, count), strict=True)
    return [_hint_at(truth, int(x), int(y)) for x, y in at]


def worst_places(truth: Rgb, colored: Rgb) -> list[Hint]:
    """Return :data:`WORST` hints with the colors of ``truth`` where ``colored`` differs most, worst first.

    The difference is that of a and b around a point; two points are at least a twelfth of the short side
    apart. Both photos are uint8 RGB.
    """
    height, width = truth.shape[:2]
    side = min(height, width)
    missing = (rgb_to_lab(truth) - rgb_to_lab(colored))[..., 1:]
    error: Any = cv2.GaussianBlur(np.hypot(*np.moveaxis(missing, -1, 0)), (0, 0), side / 40)
    found = []
    for _ in range(WORST):
        y, x = (int(place) for place in np.unravel_index(error.argmax(), error.shape))
        found.append(_hint_at(truth, x, y))
        cv2.circle(error, (x, y), max(1, side // 12), -1.0, cv2.FILLED)
    return found


def _hint_at(truth: Rgb, x: int, y: int) -> Hint:
    """Return a hint with the mean color of ``truth`` around a point."""
    reach = WINDOW // 2
    around = truth[max(0, y - reach) : y + reach + 1, max(0, x - reach) : x + reach + 1]
    color = "#" + "".join(f"{round(level):02x}" for level in around.reshape(-1, 3).mean(axis=0))
    return Hint(x=float(x), y=float(y), color=color)


def hints_table(judged: pd.DataFrame, params: Params) -> pd.DataFrame:
    """Return one row per number of hints from the result of :func:`judge_hints`.

    Columns: hints; psnr and ciede2000 of the model, diffusion and gray; psnr_over_none, the model's gain over
        no hints, and psnr_over_rival, its gain over diffusion, each with the ends of its 95 % interval;
        at_hints of the model.
    """
    rows = []
    figures = judged.pivot(index="file", columns=["method", "hints"], values=[*JUDGED, "at_hints"])
    groups = pd.Series(figures.index, figures.index)
    for number in sorted(judged["hints"].unique()):
        row: dict[str, float | None] = {"hints": number}
        for figure in JUDGED:
            for method in (MODEL, RIVAL, GRAY):
                column = figures[figure, method, 0 if method == GRAY else number]
                row[f"{figure}_{method}"] = float(column.mean())
        ours = figures["psnr", MODEL, number]
        for name, other in (
            ("over_none", figures["psnr", MODEL, 0]),
            ("over_rival", figures["psnr", RIVAL, number]),
        ):
            found = compare(ours - other, groups, better="higher", params=params)
            row |= {f"psnr_{name}": found.mean, f"{name}_low": found.low, f"{name}_high": found.high}
        row["at_hints"] = float(figures["at_hints", MODEL, number].mean()) if number else None
        rows.append(row)
    return pd.DataFrame(rows).astype(float).astype({"hints": int}).round(4)


def draw_hints(path: Path, table: pd.DataFrame) -> None:
    """Draw PSNR and CIEDE2000 of ``table`` over the number of hints to ``path`` (.png)."""
    with panels(path, width=9.0, height=4.2, columns=2, share=False) as axes:
        at = np.arange(len(table))
        for one, figure in zip(axes, JUDGED, strict=True):
            one.plot(at, table[f"{figure}_{MODEL}"], marker="o", color="#0072b2", label="model")
            one.plot(
                at, table[f"{figure}_{RIVAL}"], marker="s", color="#d55e00", label="hints spread by diffusion"
            )
            one.axhline(table[f"{figure}_{GRAY}"].iloc[0], color=GRAY_INK, linestyle="--", label="gray photo")
            one.set_xticks(at, [str(number) for number in table["hints"]])
            one.set_xlabel("hints")
            one.set_title(metrics.METRICS[figure].label, fontsize=11)
        axes[0].legend(frameon=False)


def _diffused(gray: Rgb, known: Sequence[Hint]) -> Rgb:
    """Return the gray photo with ``known`` spread over it, at half its size, like a network's prediction."""
    if not known:
        return gray
    where = [(round(hint.y), round(hint.x)) for hint in known]
    ab = spread(rgb_to_lab(gray)[..., 0], where, np.array([hint.ab() for hint in known]))
    fits = np.dstack([np.zeros_like(ab), ab]).astype(np.float32)  # the same color whatever the lightness
    chroma = np.hypot(ab[..., 0], ab[..., 1]).astype(np.float32)
    return Prediction(photo_files.from_array(gray), fits, chroma).render()


def _at_hints(photo: Rgb, lab: Float, known: Sequence[Hint]) -> float:
    """Return the mean CIEDE2000 between ``photo`` at the points of ``known`` and the hints' colors."""
    if not known:
        return float("nan")
    rows, columns = ([int(getattr(hint, name)) for hint in known] for name in ("y", "x"))
    got = rgb_to_lab(photo)[rows, columns][None]
    wanted = np.dstack([lab[rows, columns, 0][None], np.array([hint.ab() for hint in known])[None]])
    return float(metrics.ciede2000(got, wanted.astype(np.float32)).mean())

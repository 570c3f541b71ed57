"""Grids of test photos: gray, each method's coloring, the truth, and a map of the color difference."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from stages.evaluate.methods import Colorize
from ungray.imaging import metrics, photos
from ungray.imaging.color import Rgb, rgb_to_lab
from ungray.imaging.grids import photo_grid, write_jpeg
from ungray.imaging.metrics import DECISIVE, METRICS
from ungray.imaging.upsampling import gray_photo
from ungray.quality import METHODS

LARGEST_DIFFERENCE = 40
"""CIEDE2000 that the map shows in its last color; 1 is just noticeable, 10 plainly another color."""

COLORS = "cividis"
"""Made to look the same to people with and without color vision deficiency (Nunez et al. 2018)."""


def draw_grids(
    judged: pd.DataFrame,
    methods: Mapping[str, Colorize],
    prepared: Path,
    folder: Path,
    *,
    rows: int,
    names: Mapping[str, str] | None = None,
) -> None:
    """Write the grids test (always the same photos), best, median and worst to ``folder``.

    Best and worst are by the decisive metric. ``names`` are the photos' names, by file name without
    extension.
    """
    ours = judged[judged["method"] == "model"].sort_values(
        [DECISIVE.name, "file"], ascending=[DECISIVE.better == "lower", True]
    )
    middle = max(0, (len(ours) - rows) // 2)
    chosen = {
        # Names are checksums, so the first ones are as good as a random sample.
        "test": ours.sort_values("file").head(rows),
        "best": ours.head(rows),
        "median": ours.iloc[middle : middle + rows],
        "worst": ours.tail(rows)[::-1],
    }
    for name, part in chosen.items():
        write_jpeg(folder / f"{name}.jpg", grid(part, judged, methods, prepared, names=names or {}))


def grid(
    part: pd.DataFrame,
    judged: pd.DataFrame,
    methods: Mapping[str, Colorize],
    prepared: Path,
    *,
    names: Mapping[str, str],
) -> Rgb:
    """Return the grid of the photos in ``part``, one per row, with query, name and figures of ``judged``."""
    shown = [name for name in ("gray", "model", "base") if name in methods]
    figures = judged.set_index(["file", "method"])[DECISIVE.name]
    rows, captions = [], []
    for row in part.itertuples():
        truth = photos.read_rgb(prepared / str(row.file))
        colored = {name: methods[name](gray_photo(truth)) for name in shown}
        rows.append([*colored.values(), truth, difference_map(colored["model"], truth)])
        judgment = ", ".join(
            f"{METHODS[name]} {DECISIVE.text(figures.loc[str(row.file), name])}" for name in shown
        )
        stem = Path(str(row.file)).stem
        name = label(names.get(stem, stem), 40)
        captions.append(f"{label(str(row.query), 40)}, {name}: {DECISIVE.title} of {judgment}")
    columns = [*(METHODS[name] for name in shown), "truth", METRICS["ciede2000"].title]
    return photo_grid(rows, columns=columns, captions=captions, scale=scale_strip())


def label(query: str, length: int) -> str:
    """Return ``query`` in one line of at most ``length`` characters."""
    line = " ".join(query.split())
    return line if len(line) <= length else f"{line[: length - 3]}..."


def difference_map(photo: Rgb, truth: Rgb) -> Rgb:
    """Return the CIEDE2000 of each pixel as a color: dark blue equal, yellow 40 and more."""
    differences = metrics.ciede2000(rgb_to_lab(photo), rgb_to_lab(truth))
    return _painted(differences / LARGEST_DIFFERENCE)


def _painted(values: NDArray[np.floating]) -> Rgb:
    """Return ``values`` in 0..1 as colors, uint8 RGB."""
    return matplotlib.colormaps[COLORS](np.clip(values, 0, 1), bytes=True)[..., :3]


def scale_strip(*, width: int = 60, height: int = 14) -> Rgb:
    """Return the strip that explains the colors of :func:`difference_map`."""
    texts: Sequence[tuple[str, int]] = (("0", 0), (f"{LARGEST_DIFFERENCE}+", width + 14))
    canvas = Image.new("RGB", (width + 40, height), "white")
    canvas.paste(Image.fromarray(_painted(np.tile(np.linspace(0, 1, width), (height, 1)))), (12, 0))
    for text, left in texts:
        ImageDraw.Draw(canvas).text((left, 0), text, fill="black", font=ImageFont.load_default(12))
    return np.asarray(canvas)

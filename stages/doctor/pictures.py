"""The pictures of the check: the curve of the learning rate range test, and a grid of photos."""

from __future__ import annotations

from pathlib import Path

import matplotlib
from matplotlib.figure import Figure

from stages.doctor.range_test import RangeTest
from stages.doctor.rehearsal import ByHeart
from stages.evaluate.chart_style import BLUE, GRAY, ORANGE, STYLE
from stages.train.data import Pixels
from ungray.imaging.grids import photo_grid, write_jpeg
from ungray.imaging.upsampling import gray_photo
from ungray.system.files import whole_file

ACROSS = 2
"""Number of photos in a row of the grid."""


def draw_range_test(path: Path, found: RangeTest, *, lr: float) -> None:
    """Write the smoothed loss by learning rate to ``path``, a PNG; ``lr`` is ``train.lr``."""
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(8, 4.5), layout="constrained")
        axes = figure.subplots()
        axes.plot(found.rates, found.losses, color=BLUE, label="smoothed loss")
        if found.proposal:
            axes.axvline(found.proposal, color=ORANGE, label=f"proposal, {found.proposal:g}")
        axes.axvline(lr, color=GRAY, linestyle="--", label=f"train.lr, {lr:g}")
        axes.set_xscale("log")
        axes.set_xlabel("learning rate")
        axes.set_ylabel("loss, in the network's own units")
        axes.set_title("Learning rate range test (Smith 2017)")
        figure.legend(loc="outside lower center", ncols=3)
        with whole_file(path) as partial:
            figure.savefig(partial, format="png", dpi=110, metadata={"Software": None})


def draw_photos(path: Path, pixels: Pixels, learned: ByHeart) -> None:
    """Write the photos that were learned by heart to ``path``, a JPEG: true, gray, and as colored."""
    triples = [
        [truth, gray_photo(truth), colored]
        for truth, colored in zip(pixels[: len(learned.colored)], learned.colored, strict=True)
    ]
    rows = [
        [tile for triple in triples[start : start + ACROSS] for tile in triple]
        for start in range(0, len(triples), ACROSS)
    ]
    columns = ["train photo", "gray", "learned by heart"] * min(ACROSS, len(triples))
    write_jpeg(path, photo_grid(rows, columns=columns))

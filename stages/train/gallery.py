"""The same few val photos as the network colours them, epoch after epoch."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pandas as pd

from stages import photos
from stages.color import Rgb, gray_photo, rgb_to_lab
from stages.files import whole_file
from stages.grids import photo_grid, write_jpeg
from stages.networks import predictor
from stages.networks.base import Colorizer
from stages.painting import recolor
from stages.train.params import Params

if TYPE_CHECKING:
    from stages.train.degrade import OldScans

FIRST_DIGITS = {1, 2, 5}


class Gallery:
    """Colours ``train.grid_photos`` val photos and keeps the results in ``work``, also for a resumed run."""

    def __init__(
        self, params: Params, *, work: Path, val: pd.DataFrame, prepared: Path, wear: OldScans | None
    ) -> None:
        self._work = work
        # Names are checksums, so the first ones are as good as drawn by lot.
        chosen = val.sort_values("photo").head(params.grid_photos)
        self._truths = [photos.read_rgb(prepared / file) for file in chosen["file"]]
        self._worn = [_worn(truth, wear, params, number) for number, truth in enumerate(self._truths) if wear]

    @staticmethod
    def is_milestone(epoch: int) -> bool:
        """Say whether ``epoch`` has a column in the tall grid: 0, 1, 2, 5, 10, 20, 50, 100 ..."""
        digits = str(epoch)
        return epoch == 0 or (int(digits[0]) in FIRST_DIGITS and set(digits[1:]) <= {"0"})

    def draw(self, epoch: int, network: Colorizer) -> None:
        """Colour the photos, and their worn twins where there are any, by ``network`` as it is now."""
        predict_ab = predictor(network)

        def coloured(photo: Rgb) -> Rgb:
            return recolor(
                rgb_to_lab(photo)[..., 0],
                predict_ab,
                short_side=network.working_size,
                multiple=network.MULTIPLE,
            )

        tiles = [coloured(photo) for photo in [*self._truths, *self._worn]]
        with whole_file(self._tiles(epoch)) as partial, partial.open("wb") as file:
            np.savez_compressed(file, *tiles)

    def grid(self, epoch: int) -> Path:
        """Return a picture of the photos: gray, as coloured at ``epoch``, and true."""
        coloured = self._read(epoch)
        columns = ["gray", f"epoch {epoch}", "truth"]
        rows = [
            [_gray(truth), tile, truth]
            for truth, tile in zip(self._truths, coloured[: len(self._truths)], strict=True)
        ]
        if self._worn:
            columns = ["old scan", f"epoch {epoch}", *columns]
            worn = zip(self._worn, coloured[len(self._truths) :], strict=True)
            rows = [[_gray(scan), tile, *row] for (scan, tile), row in zip(worn, rows, strict=True)]
        path = self._work / f"grid-{epoch:04}.jpg"
        write_jpeg(path, photo_grid(rows, columns=columns))
        return path

    def tall(self, last: int) -> Path:
        """Return a picture of the photos as coloured at each milestone before ``last``, and there."""
        epochs = [epoch for epoch in range(last) if self.is_milestone(epoch)] + [last]
        coloured = [self._read(epoch) for epoch in epochs]
        rows = [
            [_gray(truth), *[tiles[number] for tiles in coloured], truth]
            for number, truth in enumerate(self._truths)
        ]
        path = self._work / "learning.jpg"
        write_jpeg(path, photo_grid(rows, columns=["gray", *[f"epoch {epoch}" for epoch in epochs], "truth"]))
        return path

    def _tiles(self, epoch: int) -> Path:
        return self._work / f"tiles-{epoch:04}.npz"

    def _read(self, epoch: int) -> list[Rgb]:
        with np.load(self._tiles(epoch)) as tiles:
            return [tiles[name] for name in tiles.files]


def _gray(photo: Rgb) -> Rgb:
    return gray_photo(rgb_to_lab(photo)[..., 0])


def _worn(truth: Rgb, wear: OldScans, params: Params, number: int) -> Rgb:
    """Return ``truth`` worn as training does it: at the working size, which is then brought up again."""
    side = (params.working_size, params.working_size)
    small = np.asarray(cv2.resize(truth, side, interpolation=cv2.INTER_AREA), dtype=np.uint8)
    worn = wear.wear(small, np.random.default_rng([params.seed, number]))
    return np.asarray(cv2.resize(worn, truth.shape[1::-1], interpolation=cv2.INTER_CUBIC), dtype=np.uint8)

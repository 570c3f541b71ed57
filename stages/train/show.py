"""What training shows: a line an epoch, DVCLive's curves, and progress grids of fixed val photos."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pandas as pd
from dvclive import Live
from tqdm import tqdm

from stages import photos
from stages.color import Rgb, gray_photo, recolor, rgb_to_lab
from stages.grids import photo_grid, write_png
from stages.networks import predictor
from stages.networks.base import Colorizer
from stages.train.checkpoints import Place
from stages.train.params import Params

if TYPE_CHECKING:
    from stages.train.degrade import OldScans


class Show:
    """Shows the progress of one training under ``report``; keeps grids in ``work`` for a resumed run."""

    def __init__(
        self,
        params: Params,
        *,
        report: Path,
        work: Path,
        val: pd.DataFrame,
        prepared: Path,
        photos_an_epoch: int,
        wear: OldScans | None,
    ) -> None:
        self._params, self._work, self._photos_an_epoch = params, work, photos_an_epoch
        # Names are checksums, so the first ones are as good as drawn by lot.
        chosen = val.sort_values("photo").head(params.grid_photos)
        self._truths = [photos.read_rgb(prepared / file) for file in chosen["file"]]
        self._worn = [_worn(truth, wear, params, number) for number, truth in enumerate(self._truths) if wear]
        self._live = Live(str(report), dvcyaml=None, save_dvc_exp=False)
        self._started, self._first = time.monotonic(), 0

    def start(self, place: Place, network: Colorizer) -> None:
        """Log again what an interrupted run logged, and draw the grid of the untrained network."""
        if place.epoch or place.batch:
            print(f"train: going on from epoch {place.epoch}, batch {place.batch}")
        else:
            self._draw(0, network)
        self._show_grid(0)
        for epoch, record in enumerate(place.log, start=1):
            self._log(epoch, record)
        self._started = time.monotonic()
        in_epoch = min(place.batch * self._params.batch_size, self._photos_an_epoch)
        self._first = place.epoch * self._photos_an_epoch + in_epoch

    def epoch(self, place: Place, network: Colorizer, *, bar: tqdm) -> None:
        """Show the epoch that just ended, on the progress bar ``bar`` too."""
        if self._has_grid(place.epoch):
            self._draw(place.epoch, network)
        self._log(place.epoch, place.log[-1])
        record = place.log[-1]
        pace = ""
        # Nothing to tell for a run that was stopped between the last step of an epoch and its end.
        if seen := place.epoch * self._photos_an_epoch - self._first:
            rate = seen / (time.monotonic() - self._started)
            minutes = (self._params.epochs - place.epoch) * self._photos_an_epoch / rate / 60
            pace = f", {rate:.0f} photos/s, {minutes:.1f} min left"
        bar.set_postfix_str(f"val {record['loss/val']:.4f}, gray {record['loss/gray']:.4f}")
        with tqdm.external_write_mode():
            print(
                f"train: epoch {place.epoch}/{self._params.epochs}: loss {record['loss/train']:.4f}, "
                f"val {record['loss/val']:.4f} (gray {record['loss/gray']:.4f}){pace}",
                flush=True,
            )

    def end(self) -> None:
        """Write what DVCLive still holds."""
        self._live.end()

    def _has_grid(self, epoch: int) -> bool:
        return epoch % self._params.grid_every == 0 or epoch == self._params.epochs

    def _log(self, epoch: int, record: dict[str, float]) -> None:
        self._live.step = epoch
        for name, value in record.items():
            self._live.log_metric(name, value)
        if self._has_grid(epoch):
            self._show_grid(epoch)
        self._live.make_summary()

    def _show_grid(self, epoch: int) -> None:
        self._live.log_image(f"grid/{epoch:04}.png", self._path(epoch))

    def _path(self, epoch: int) -> Path:
        return self._work / f"grid-{epoch:04}.png"

    def _draw(self, epoch: int, network: Colorizer) -> None:
        predict_ab = predictor(network)

        def gray_and_coloured(photo: Rgb) -> list[Rgb]:
            lightness = rgb_to_lab(photo)[..., 0]
            coloured = recolor(
                lightness, predict_ab, short_side=network.working_size, multiple=network.MULTIPLE
            )
            return [gray_photo(lightness), coloured]

        columns = ["gray", f"epoch {epoch}", "truth"]
        rows = [[*gray_and_coloured(truth), truth] for truth in self._truths]
        if self._worn:
            columns = ["old scan", f"epoch {epoch}", *columns]
            rows = [[*gray_and_coloured(worn), *row] for worn, row in zip(self._worn, rows, strict=True)]
        write_png(self._path(epoch), photo_grid(rows, columns=columns))


def _worn(truth: Rgb, wear: OldScans, params: Params, number: int) -> Rgb:
    """Return ``truth`` worn as training does it: at the working size, which is then brought up again."""
    side = (params.working_size, params.working_size)
    small = np.asarray(cv2.resize(truth, side, interpolation=cv2.INTER_AREA), dtype=np.uint8)
    worn = wear.wear(small, np.random.default_rng([params.seed, number]))
    return np.asarray(cv2.resize(worn, truth.shape[1::-1], interpolation=cv2.INTER_CUBIC), dtype=np.uint8)

"""What training shows: a progress bar, a line an epoch, DVCLive's curves, and grids of fixed val photos."""

from __future__ import annotations

import time
from pathlib import Path
from types import TracebackType
from typing import Self

from dvclive import Live
from tqdm import tqdm

from stages.networks.base import Colorizer
from stages.terminal import tell
from stages.train.adversarial import CURVES
from stages.train.gallery import Gallery
from stages.train.params import Params
from stages.train.place import Place


class Silent:
    """Shows nothing: what all processes but the first one do, and what :class:`Show` overrides."""

    def start(self, place: Place, network: Colorizer, *, steps: int) -> None:
        """Begin, or go on from ``place``; ``steps`` are all steps, as far as that is known."""

    def step(self, photos: int) -> None:
        """Show that a step on so many photos has ended."""

    def plan(self, steps: int) -> None:
        """Show that the number of all steps is now known."""

    def epoch(self, place: Place, network: Colorizer, *, last: bool) -> None:
        """Show the epoch that just ended."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End, well or not."""


class Show(Silent):
    """Shows the progress of one training under ``report``."""

    def __init__(
        self, params: Params, *, report: Path, gallery: Gallery, photos_an_epoch: int, batches_an_epoch: int
    ) -> None:
        self._params, self._gallery = params, gallery
        self._photos_an_epoch, self._batches_an_epoch = photos_an_epoch, batches_an_epoch
        self._live = Live(str(report), dvcyaml=None, save_dvc_exp=False)
        if not params.adversarial.weight:
            _leave_empty(Path(self._live.plots_dir) / "metrics")
        self._bar: tqdm = None
        self._started, self._seen, self._steps = 0.0, 0, 0

    def start(self, place: Place, network: Colorizer, *, steps: int) -> None:
        """Log again what an interrupted run logged, and draw what the untrained network makes."""
        if place.epoch or place.batch:
            tell(f"train: going on from epoch {place.epoch}, batch {place.batch}")
        else:
            self._gallery.draw(0, network)
        self._show_grid(0)
        if place.before:
            self._log(0, place.before, grid=False)
            tell(f"train: before the first epoch: {_val(place.before)}, {_figure(place.before)}")
        for epoch, record in enumerate(place.log, start=1):
            self._log(epoch, record, grid=epoch % self._params.grid_every == 0)
        seen = self._photos_of(place.epoch * self._batches_an_epoch + place.batch)
        self._bar = tqdm(initial=seen, desc=_title(place), unit="photo", disable=None)
        self._started, self._seen = time.monotonic(), 0
        self.plan(steps)

    def step(self, photos: int) -> None:
        """Move the bar on."""
        self._seen += photos
        self._bar.update(photos)

    def plan(self, steps: int) -> None:
        """Give the bar its length."""
        self._steps = steps
        self._bar.total = self._photos_of(steps)
        self._bar.refresh()

    def epoch(self, place: Place, network: Colorizer, *, last: bool) -> None:
        """Log the epoch, print its line, draw its grids."""
        grid = last or place.epoch % self._params.grid_every == 0
        if grid or last or self._gallery.is_milestone(place.epoch):
            self._gallery.draw(place.epoch, network)
        record = place.log[-1]
        self._log(place.epoch, record, grid=grid)
        if not last:
            self._bar.set_description_str(_title(place))
        self._bar.set_postfix_str(_losses(record))
        with tqdm.external_write_mode():
            tell(
                f"train: epoch {place.epoch}/{-(-self._steps // self._batches_an_epoch)}: "
                f"{_losses(record)}, {_figure(record)}{self._pace(place, last=last)}"
            )
        if last:
            self._live.log_image("learning.jpg", self._gallery.tall(place.epoch))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Write what DVCLive still holds."""
        if self._bar is not None:
            self._bar.close()
        if kind is None:
            self._live.end()

    def _pace(self, place: Place, *, last: bool) -> str:
        # Nothing to tell for a run that was stopped between the last step of an epoch and its end.
        if not self._seen:
            return ""
        rate = self._seen / (time.monotonic() - self._started)
        left = self._photos_of(self._steps) - self._photos_of(place.epoch * self._batches_an_epoch)
        return f", {rate:.0f} photos/s, {0 if last else left / rate / 60:.1f} min left"

    def _photos_of(self, steps: int) -> int:
        epochs, batches = divmod(steps, self._batches_an_epoch)
        return epochs * self._photos_an_epoch + min(batches * self._params.batch_size, self._photos_an_epoch)

    def _log(self, epoch: int, record: dict[str, float], *, grid: bool) -> None:
        self._live.step = epoch
        for name, value in record.items():
            self._live.log_metric(name, value)
        if grid:
            self._show_grid(epoch)
        self._live.make_summary()

    def _show_grid(self, epoch: int) -> None:
        self._live.log_image(f"grid/{epoch:04}.jpg", self._gallery.grid(epoch))


def _title(place: Place) -> str:
    return f"train, epoch {place.epoch + 1}"


def _losses(record: dict[str, float]) -> str:
    return f"loss {record['loss/train']:.4f}, {_val(record)}"


def _val(record: dict[str, float]) -> str:
    return f"val {record['loss/val']:.4f} (gray {record['loss/gray']:.4f})"


def _figure(record: dict[str, float]) -> str:
    return f"CIEDE2000 {record['ciede2000/val']:.2f} (gray {record['ciede2000/gray']:.2f})"


def _leave_empty(folder: Path) -> None:
    """Write the GAN's curves with no epoch: DVC draws none of them, but warns of files that are missing."""
    for name in CURVES:
        curve = folder / name / "train.tsv"
        curve.parent.mkdir(parents=True, exist_ok=True)
        curve.write_text("step\ttrain\n", encoding="utf-8", newline="\n")

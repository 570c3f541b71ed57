"""Training progress: a bar or one line per minute, one line per epoch, DVCLive's curves, and photo grids."""

from __future__ import annotations

import time
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

import cv2
import numpy as np
import pandas as pd
from dvclive import Live

from stages.train.objective import CURVES
from stages.train.params import Params
from stages.train.state import State
from stages.train.status import StatusFile
from ungray.imaging import photo_files, photos
from ungray.imaging.color import Rgb
from ungray.imaging.grids import photo_grid, write_jpeg
from ungray.imaging.metrics import DECISIVE
from ungray.imaging.prediction import predict
from ungray.imaging.upsampling import gray_photo
from ungray.networks import predictor
from ungray.networks.base import Network
from ungray.system.files import whole_file
from ungray.system.progress import Bar
from ungray.system.terminal import tell

if TYPE_CHECKING:
    from stages.train.augmentation import Augmentation


FIRST_DIGITS = {1, 2, 5}


class ProgressGrids:
    """Colors ``train.grid_photos`` val photos and saves them in ``work`` for a resumed run."""

    def __init__(
        self,
        params: Params,
        *,
        work: Path,
        val: pd.DataFrame,
        prepared: Path,
        augmentation: Augmentation | None,
    ) -> None:
        self._work = work
        # Names are checksums, so the first ones are as good as a random sample.
        chosen = val.sort_values("photo").head(params.grid_photos)
        self._truths = [photos.read_rgb(prepared / file) for file in chosen["file"]]
        self._degraded = [
            _degraded(truth, augmentation, params, number)
            for number, truth in enumerate(self._truths)
            if augmentation and params.degradation
        ]

    @staticmethod
    def is_milestone(epoch: int) -> bool:
        """Return whether ``epoch`` has a column in the tall grid: 0, 1, 2, 5, 10, 20, 50, 100, ..."""
        digits = str(epoch)
        return epoch == 0 or (int(digits[0]) in FIRST_DIGITS and set(digits[1:]) <= {"0"})

    def draw(self, epoch: int, network: Network) -> None:
        """Color the photos, and their degraded copies if there are any, with the current ``network``."""
        predict_ab = predictor(network)
        tiles = []
        for photo in [*self._truths, *self._degraded]:
            gray = photo_files.from_array(gray_photo(photo))
            # One by one, as a user colors them: in a batch, a network's outputs may differ in the last digit.
            (prediction,) = predict(
                [gray], predict_ab, working_size=network.working_size, multiple=network.MULTIPLE
            )
            tiles.append(prediction.render())
        with whole_file(self._tiles(epoch)) as partial, partial.open("wb") as file:
            np.savez_compressed(file, *tiles)

    def grid(self, epoch: int) -> Path:
        """Write an image of the photos (gray, colored after ``epoch``, and true) and return its path."""
        colored = self._read_tiles(epoch)
        columns = ["gray", f"epoch {epoch}", "truth"]
        rows = [
            [gray_photo(truth), tile, truth]
            for truth, tile in zip(self._truths, colored[: len(self._truths)], strict=True)
        ]
        if self._degraded:
            columns = ["old scan", f"epoch {epoch}", *columns]
            degraded = zip(self._degraded, colored[len(self._truths) :], strict=True)
            rows = [[gray_photo(scan), tile, *row] for (scan, tile), row in zip(degraded, rows, strict=True)]
        path = self._work / f"grid-{epoch:04}.jpg"
        write_jpeg(path, photo_grid(rows, columns=columns))
        return path

    def tall(self, state: State) -> Path:
        """Write an image of the photos as colored at the milestones and at the end; return its path.

        Above each column stands the mean of the decisive metric over the val photos.
        """
        epochs = [epoch for epoch in range(state.epoch) if self.is_milestone(epoch)] + [state.epoch]
        colored = [self._read_tiles(epoch) for epoch in epochs]
        rows = [
            [gray_photo(truth), *[tiles[number] for tiles in colored], truth]
            for number, truth in enumerate(self._truths)
        ]
        path = self._work / "learning.jpg"
        gray = state.measured(state.epoch)[f"{DECISIVE.name}/gray"]
        columns = [
            f"gray: {DECISIVE.title} {DECISIVE.text(gray)}",
            *(_column(epoch, state.measured(epoch)) for epoch in epochs),
            "truth",
        ]
        write_jpeg(path, photo_grid(rows, columns=columns))
        return path

    def _tiles(self, epoch: int) -> Path:
        return self._work / f"tiles-{epoch:04}.npz"

    def _read_tiles(self, epoch: int) -> list[Rgb]:
        with np.load(self._tiles(epoch)) as tiles:
            return [tiles[name] for name in tiles.files]


def _column(epoch: int, record: dict[str, float]) -> str:
    # A training from nothing is not measured before its first epoch.
    name = f"{DECISIVE.name}/val"
    return f"epoch {epoch}: {DECISIVE.text(record[name])}" if name in record else f"epoch {epoch}"


def _degraded(truth: Rgb, augmentation: Augmentation, params: Params, number: int) -> Rgb:
    """Return ``truth`` degraded as in training: at the working size, then upsampled to its own size."""
    side = (params.working_size, params.working_size)
    small = np.asarray(cv2.resize(truth, side, interpolation=cv2.INTER_AREA), dtype=np.uint8)
    degraded = augmentation.degrade(small, np.random.default_rng([params.seed, number]))
    return np.asarray(cv2.resize(degraded, truth.shape[1::-1], interpolation=cv2.INTER_CUBIC), dtype=np.uint8)


class NoProgress:
    """Shows nothing. All processes but the first use it; :class:`Progress` overrides its methods."""

    def start(self, state: State, network: Network, *, steps: int) -> None:
        """Begin, or resume from ``state``; ``steps`` is the total number of steps, 0 until it is known."""

    def step(self, photos: int) -> None:
        """Show that a step on ``photos`` photos has ended."""

    def plan(self, steps: int) -> None:
        """Show that the total number of steps is now known."""

    def epoch(self, state: State, network: Network, *, last: bool) -> None:
        """Show the epoch that just ended."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End, after success or an error."""


class Progress(NoProgress):
    """Shows the progress of one training under ``report``."""

    def __init__(
        self,
        params: Params,
        *,
        report: Path,
        grids: ProgressGrids,
        status: StatusFile,
        photos_an_epoch: int,
        batches_an_epoch: int,
    ) -> None:
        self._params, self._grids, self._status = params, grids, status
        self._photos_an_epoch, self._batches_an_epoch = photos_an_epoch, batches_an_epoch
        self._live = Live(str(report), dvcyaml=None, save_dvc_exp=False)
        if not params.adversarial.weight:
            _leave_empty(Path(self._live.plots_dir) / "metrics")
        self._bar = Bar(desc="train", unit="photo", hidden=True)
        self._started, self._seen, self._step, self._steps = 0.0, 0, 0, 0
        self._status.write()

    def start(self, state: State, network: Network, *, steps: int) -> None:
        """Log again what an interrupted run logged; in a new run, color the grids before training."""
        if state.epoch or state.batch:
            tell(f"train: resuming from epoch {state.epoch}, batch {state.batch}")
        else:
            self._grids.draw(0, network)
        self._log_grid(0)
        if state.before:
            self._log(0, state.before, grid=False)
            tell(f"train: before the first epoch: {_val(state.before)}, {_figure(state.before)}")
        for epoch, record in enumerate(state.log, start=1):
            self._log(epoch, record, grid=epoch % self._params.grid_every == 0)
        self._step = state.epoch * self._batches_an_epoch + state.batch
        self._bar = Bar(initial=self._photos_of(self._step), desc=_title(state), unit="photo")
        self._started, self._seen = time.monotonic(), 0
        self.plan(steps)
        self._write(epoch=state.epoch, record=state.log[-1] if state.log else state.before)

    def step(self, photos: int) -> None:
        """Advance the bar."""
        self._seen += photos
        self._step += 1
        self._bar.update(photos)
        self._write(at_once=False)

    def plan(self, steps: int) -> None:
        """Set the length of the bar; 0 steps leave it open, and no time left is shown."""
        self._steps = steps
        self._bar.total = self._photos_of(steps) if steps else None
        self._bar.refresh()
        self._write()

    def epoch(self, state: State, network: Network, *, last: bool) -> None:
        """Log the epoch, print its line, draw its grids."""
        grid = last or state.epoch % self._params.grid_every == 0
        if grid or last or self._grids.is_milestone(state.epoch):
            self._grids.draw(state.epoch, network)
        record = state.log[-1]
        self._log(state.epoch, record, grid=grid)
        if not last:
            self._bar.set_description_str(_title(state))
        self._bar.set_postfix_str(_losses(record))
        with Bar.external_write_mode():
            tell(
                f"train: epoch {state.epoch}{self._epochs()}: "
                f"{_losses(record)}, {_figure(record)}{self._pace(last=last)}"
            )
        if last:
            self._live.log_image("learning.jpg", self._grids.tall(state))
        self._write(epoch=state.epoch, record=record)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the bar and, unless there was an error, let DVCLive finish its files."""
        self._bar.close()
        if kind is None:
            self._live.end()
        else:
            self._write(stopped=True)

    def _pace(self, *, last: bool) -> str:
        # A run that was stopped between the last step of an epoch and its end has no pace to report.
        if not self._seen:
            return ""
        if not self._steps:
            return f", {self._rate():.0f} photos/s"
        return f", {self._rate():.0f} photos/s, {0 if last else self._seconds_left() / 60:.1f} min left"

    def _rate(self) -> float:
        """Return the photos per second since this run began, validation included; 0 before the first."""
        return self._seen / (time.monotonic() - self._started) if self._seen else 0.0

    def _seconds_left(self) -> float:
        """Return the seconds that the remaining steps take at that rate; 0 if either is not known."""
        if not (self._seen and self._steps):
            return 0.0
        return (self._photos_of(self._steps) - self._photos_of(self._step)) / self._rate()

    def _write(self, *, at_once: bool = True, **changes: object) -> None:
        """Write the status, see :class:`stages.train.status.Status`."""
        self._status.write(
            at_once=at_once,
            step=self._step,
            steps=self._steps,
            epochs=self._epoch_count(),
            pace=self._rate(),
            seconds_left=self._seconds_left(),
            **changes,
        )

    def _epoch_count(self) -> int:
        return -(-self._steps // self._batches_an_epoch)

    def _epochs(self) -> str:
        return f"/{self._epoch_count()}" if self._steps else ""

    def _photos_of(self, steps: int) -> int:
        epochs, batches = divmod(steps, self._batches_an_epoch)
        return epochs * self._photos_an_epoch + min(batches * self._params.batch_size, self._photos_an_epoch)

    def _log(self, epoch: int, record: dict[str, float], *, grid: bool) -> None:
        self._live.step = epoch
        for name, value in record.items():
            self._live.log_metric(name, value)
        if grid:
            self._log_grid(epoch)
        self._live.make_summary()

    def _log_grid(self, epoch: int) -> None:
        self._live.log_image(f"grid/{epoch:04}.jpg", self._grids.grid(epoch))


def _title(state: State) -> str:
    return f"train, epoch {state.epoch + 1}"


def _losses(record: dict[str, float]) -> str:
    return f"loss {record['loss/train']:.4f}, {_val(record)}"


def _val(record: dict[str, float]) -> str:
    return f"val {record['loss/val']:.4f} (gray {record['loss/gray']:.4f})"


def _figure(record: dict[str, float]) -> str:
    val, gray = (DECISIVE.text(record[f"{DECISIVE.name}/{whose}"]) for whose in ("val", "gray"))
    return f"{DECISIVE.title} {val} (gray {gray})"


def _leave_empty(folder: Path) -> None:
    """Write the GAN's curves without any epoch: DVC draws nothing for them, but warns of missing files."""
    for name in CURVES:
        curve = folder / name / "train.tsv"
        curve.parent.mkdir(parents=True, exist_ok=True)
        curve.write_text("step\ttrain\n", encoding="utf-8", newline="\n")

"""Trains the network that params.yaml describes on data/prepared."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import torch

from stages.params import Machine
from stages.storage import cache, tables
from stages.storage.shards import Shards
from stages.train.checkpoints import begin_leg, legs_folder, report_differences
from stages.train.data import Pixels, Streamed, batch_count, load_pixels
from stages.train.devices import start_fabric
from stages.train.loop import OnEpoch, Photos, Training
from stages.train.losses import measure_prior
from stages.train.params import Params
from stages.train.progress import NoProgress, Progress, ProgressGrids
from stages.train.saturation_calibration import calibrate_saturation
from stages.train.state import State
from stages.train.status import StatusFile
from stages.train.stopping import EndedError
from stages.train.validation import val_set
from stages.train.warm_start import describe, half_weights, warm_start
from ungray import networks
from ungray.networks import Model, parameter_count
from ungray.system.terminal import tell

if TYPE_CHECKING:
    from lightning_fabric import Fabric

    from ungray.networks.base import Network

CODE = Path(__file__).parents[1]
SHARED = ("ungray/imaging", "ungray/networks", "storage/shards.py")
"""Code in stages/ outside train that the results depend on."""


@dataclass(frozen=True)
class Result:
    """A finished training."""

    model: Model
    work: Path
    """The folder of its checkpoint in the working cache."""
    state: State
    """The final state, with one record per epoch: loss/train, loss/val, ciede2000/val and so on."""
    first_process: bool
    """Whether this process writes the files; only one of several does."""


def run(
    params: Params, machine: Machine, *, prepared: Path, report: Path, on_epoch: OnEpoch | None = None
) -> Result:
    """Train, and write curves and grids to ``report``.

    A stopped run resumes from its checkpoint in the working cache, which is found by a fingerprint of params,
    data, precision and code. ``on_epoch`` is called after each epoch with its number (from 1) and its record,
    and may raise to end the run; the checkpoint is kept unless it raises :class:`EndedError`.

    Raises:
        UngrayError: there are no prepared photos, or training failed; one sentence says why.
        KeyboardInterrupt: training was stopped, after a checkpoint was saved.
    """
    index = tables.read_table(prepared / "index.csv", made_by="prepare")
    fabric, device, precision = start_fabric(machine)
    with fabric.rank_zero_first(local=True):  # the others find the photos already decoded
        photos, val = _photos(params, machine, index, prepared)
    torch.manual_seed(params.seed)
    network = networks.build(params.network())
    start = None
    if params.start_from == "base":
        start = warm_start(network, Path(params.base), freeze_batch_norm=params.freeze_batch_norm)
    measure_prior(network, photos.train)
    begun = half_weights(network) if start else None
    if fabric.global_rank:
        torch.manual_seed(params.seed + fabric.global_rank)  # each process draws its own random numbers
    settings = _settings(params, machine, index, fabric=fabric, device=device, precision=precision)
    settings["start"] = start
    fingerprint = cache.fingerprint(settings)
    work = cache.folder("train", fingerprint)
    legs = legs_folder(work, settings)
    batches_an_epoch = batch_count(photos.train, params.batch_size)
    progress = NoProgress()
    if fabric.is_global_zero:
        begin_leg(
            params,
            work / "checkpoint.pt",
            legs,
            fingerprint=fingerprint,
            batches_an_epoch=batches_an_epoch,
        )
        report_differences(work, settings | {"report": str(report)})
        progress = Progress(
            params,
            report=report,
            grids=ProgressGrids(
                params, work=work, val=val, prepared=prepared, augmentation=photos.augmentation
            ),
            status=StatusFile(work, report),
            photos_an_epoch=len(photos.files),
            batches_an_epoch=batches_an_epoch,
        )
        where = device if fabric.world_size == 1 else f"{fabric.world_size} x {device}"
        _announce(params, network, photos, where=f"{where}, {precision}")
        if start:
            tell(f"train: {describe(start, network)}")
    fabric.barrier()  # now the checkpoint exists that all of them read
    training = Training(
        params,
        machine,
        network,
        photos=photos,
        fabric=fabric,
        checkpoint=work / "checkpoint.pt",
        legs=legs,
        fingerprint=fingerprint,
        progress=progress,
    )
    try:
        state = training.run(on_epoch)
    except EndedError:
        shutil.rmtree(work)
        raise
    made: dict[str, Any] = {"start": start} if start else {}
    made |= _made(training, precision=precision)
    if begun and all(begun[name].equal(value) for name, value in half_weights(network).items()):
        made["unchanged"] = _unchanged(state, epoch=made["epoch"], watch=params.watch)
        if fabric.is_global_zero:
            why = "the steps moved no weight" if made["epoch"] else "no epoch was better than the start"
            tell(f"train: nothing of this training was kept: {why}")
    quality = {"val": val_set(network, photos.val, index.loc[index["split"] == "val", "group"])}
    model = Model(network, _provenance(params, index, made), quality)
    return Result(model, work, state, fabric.is_global_zero)


def _made(training: Training, *, precision: str) -> dict[str, Any]:
    """Return how the weights of a finished training were made, for its provenance."""
    params, state = training.params, training.state
    epoch = state.best_epoch(params.watch) if params.keep == "best" else state.epoch
    return {
        "steps": min(training.step, training.steps),
        "epoch": epoch,
        "precision": precision,
        "threads": state.threads,
        "vivid": calibrate_saturation(training.network, training.photos.val),
    }


def _unchanged(state: State, *, epoch: int, watch: str) -> dict[str, Any]:
    """Return the val results before training and at best, for :func:`ungray.provenance.kept_nothing`."""
    trained = State(log=state.log)
    return {
        "epoch": epoch,
        "epochs": state.epoch,
        "watch": watch,
        "before": state.before[f"{watch}/val"],
        "best": trained.measured(trained.best_epoch(watch))[f"{watch}/val"],
    }


def _announce(params: Params, network: Network, photos: Photos, *, where: str) -> None:
    sizes = " and ".join(str(pixels.shape[1]) for pixels in photos.train)
    tell(
        f"train: {params.architecture}, {parameter_count(network) / 1e6:.2f} M parameters, "
        f"{len(photos.files)} photos and copies, at {sizes} pixels, {where}"
    )


def _photos(
    params: Params, machine: Machine, index: pd.DataFrame, prepared: Path
) -> tuple[Photos, pd.DataFrame]:
    """Return the photos, decoded except for train photos in shards, and the val rows of ``index``."""
    splits = {str(name): rows for name, rows in index.groupby("split")}
    by_size = _by_working_size(splits["train"], splits["val"], params)
    train: list[Pixels | Streamed]
    if machine.stream or "shard" in index:
        shards = Shards(splits["train"], machine.stream or str(prepared))
        train = [Streamed(rows, shards, size=size) for size, rows in by_size]
    else:
        train = [load_pixels(rows, prepared, size=size, workers=machine.workers) for size, rows in by_size]
    photos = Photos.drawn(
        params,
        train=train,
        files=[file for _, rows in by_size for file in rows["file"]],
        val=load_pixels(splits["val"], prepared, size=params.working_size, workers=machine.workers),
    )
    return photos, splits["val"]


def _by_working_size(
    train: pd.DataFrame, val: pd.DataFrame, params: Params
) -> list[tuple[int, pd.DataFrame]]:
    """Return the sizes at which train photos are used, each with its photos.

    Photos of the same size as the val photos are used at ``train.working_size``, and others at a size that is
    larger or smaller in proportion, rounded to a multiple of 16.
    """
    usual = val["size"].iloc[0]
    return [
        (max(16, round(params.working_size * float(size) / usual / 16) * 16), rows)  # type: ignore[arg-type]
        for size, rows in train.groupby("size", sort=False)
    ]


def _settings(
    params: Params, machine: Machine, index: pd.DataFrame, *, fabric: Fabric, device: str, precision: str
) -> dict[str, Any]:
    """Return everything that the weights of a training depend on, as JSON values."""
    return {
        **{f"train.{name}": value for name, value in params.model_dump(mode="json").items()},
        "photos": _data(index),
        "shards": cache.fingerprint(index["shard"].tolist()) if "shard" in index else "",
        "precision": precision,
        "device": device,
        "processes": fabric.world_size,
        "machine.accumulation": machine.accumulation,
        "machine.compile": machine.compile,
        "torch": torch.__version__,
        # The pages and other tools in folders below change no weight.
        "code": cache.code_fingerprint(*(CODE / "train").glob("*.py"), *[CODE / name for name in SHARED]),
    }


def _data(index: pd.DataFrame) -> str:
    return cache.fingerprint(index[["file", "digest"]].values.tolist())


def _provenance(params: Params, index: pd.DataFrame, made: dict[str, Any]) -> dict[str, Any]:
    originals = index[index["copy"] == 0]
    return {
        "train": params.model_dump(mode="json"),
        **made,
        "torch": torch.__version__,
        "photos": originals.groupby("split").size().to_dict(),
        "groups": originals.groupby("split")["group"].nunique().to_dict(),
        "queries": sorted(originals.loc[originals["split"] == "train", "query"].unique()),
        "data": _data(index),
    }

"""Trains the network that params.yaml describes on data/prepared."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import torch

from stages import cache, networks, tables
from stages.networks import Model, parameter_count
from stages.params import Machine
from stages.train.data import batch_count, load_pixels
from stages.train.device import choose, start_fabric
from stages.train.loop import fit
from stages.train.losses import measure_prior
from stages.train.params import Params
from stages.train.show import Show

if TYPE_CHECKING:
    from stages.train.degrade import OldScans

CODE = Path(__file__).parents[1]


def run(params: Params, machine: Machine, *, prepared: Path, report: Path) -> tuple[Model, Path]:
    """Train; return the model and the folder of its checkpoint. Curves and grids go to ``report``.

    A run that was stopped goes on from its checkpoint in the working cache, found by a fingerprint of params,
    data, precision and code.

    Raises:
        UngrayError: no prepared photos, or training went wrong; one sentence says why.
        KeyboardInterrupt: stopped, after a checkpoint was saved.
    """
    index = tables.read(prepared / "index.csv", made_by="prepare")
    device, precision = choose(machine)
    fabric = start_fabric(device, precision)
    splits = {str(name): rows for name, rows in index.groupby("split")}
    train = [
        load_pixels(rows, prepared, size=size, workers=machine.workers)
        for size, rows in _by_working_size(splits["train"], splits["val"], params)
    ]
    val = load_pixels(splits["val"], prepared, size=params.working_size, workers=machine.workers)
    photos_an_epoch = sum(map(len, train))
    torch.manual_seed(params.seed)
    network = networks.build(params.network())
    measure_prior(network, train)
    fingerprint = cache.fingerprint(
        params.model_dump(),
        index[["file", "digest"]].values.tolist(),
        precision,
        device,
        torch.__version__,
        cache.code_fingerprint(CODE / "train", CODE / "networks", CODE / "color.py", CODE / "grids.py"),
    )
    work = cache.folder("train", fingerprint)
    print(
        f"train: {params.architecture}, {parameter_count(network) / 1e6:.2f} M parameters, "
        f"{photos_an_epoch} photos and copies, "
        f"at {' and '.join(str(pixels.shape[1]) for pixels in train)} pixels, {device}, {precision}",
        flush=True,
    )
    wear = _old_scans(params)
    show = Show(
        params,
        report=report,
        work=work,
        val=splits["val"],
        prepared=prepared,
        photos_an_epoch=photos_an_epoch,
        wear=wear,
    )
    place = fit(
        params,
        network,
        train=train,
        val=val,
        fabric=fabric,
        checkpoint=work / "checkpoint.pt",
        checkpoint_seconds=60 * machine.checkpoint_minutes,
        wear=wear,
        show=show,
    )
    show.end()
    steps = place.epoch * batch_count(train, params.batch_size)
    return Model(network, _provenance(params, index, steps=steps, precision=precision)), work


def _by_working_size(
    train: pd.DataFrame, val: pd.DataFrame, params: Params
) -> list[tuple[int, pd.DataFrame]]:
    """Return the sizes that train photos are trained at, and the photos for each.

    Photos of the size that val has are trained at ``train.working_size``, those of other sizes as much larger
    or smaller as they are; a multiple of 16, as that is.
    """
    usual = val["size"].iloc[0]
    return [
        (max(16, round(params.working_size * float(size) / usual / 16) * 16), rows)  # type: ignore[arg-type]
        for size, rows in train.groupby("size", sort=False)
    ]


def _old_scans(params: Params) -> OldScans | None:
    if not params.degradation:
        return None
    from stages.train.degrade import OldScans  # albumentations takes seconds to import

    return OldScans(params.degradation_effects, share=params.degradation, seed=params.seed)


def _provenance(params: Params, index: pd.DataFrame, *, steps: int, precision: str) -> dict[str, Any]:
    originals = index[index["copy"] == 0]
    return {
        "train": params.model_dump(mode="json"),
        "steps": steps,
        "precision": precision,
        "torch": torch.__version__,
        "photos": originals.groupby("split").size().to_dict(),
        "groups": originals.groupby("split")["group"].nunique().to_dict(),
        "queries": sorted(originals.loc[originals["split"] == "train", "query"].unique()),
        "data": cache.fingerprint(index[["file", "digest"]].values.tolist()),
    }

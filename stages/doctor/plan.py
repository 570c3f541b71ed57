"""What is to be trained on, and what that makes of the measured pace: minutes, and disk."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from stages.doctor.cost import Cost
from stages.storage import tables
from stages.train.params import Params

ASSUMED = 2000
"""Photos and copies, where nothing is prepared and nobody said how many."""


@dataclass(frozen=True)
class Collection:
    """The photos of an epoch."""

    train: int
    """Photos and copies."""
    weight: float
    """As many photos of the working size cost what they cost: one of twice the side counts four times."""
    val: int
    source: str
    """prepared, given or assumed."""
    sharded: bool = False
    """Whether train photos are streamed from shards, not decoded to the disk."""


@dataclass(frozen=True)
class Plan:
    """What the training that params.yaml describes comes to."""

    minutes_per_epoch: float
    validation_minutes: float
    """Of these, about, for the val photos: loss and color figures."""
    epochs: float
    minutes: float
    pixels_file: int
    """Bytes of the decoded photos in the working cache."""


def collection(prepared: Path, *, given: int | None) -> Collection:
    """Return what an epoch consists of: ``given`` photos, else those in ``prepared``, else an assumption."""
    index = prepared / "index.csv"
    if given is None and index.exists():
        table = tables.read(index, made_by="prepare")
        train, val = (table[table["split"] == split] for split in ("train", "val"))
        if not (train.empty or val.empty):
            weight = float(((train["size"] / val["size"].iloc[0]) ** 2).sum())
            return Collection(len(train), weight, len(val), "prepared", sharded="shard" in table)
    count = ASSUMED if given is None else given
    return Collection(count, count, max(1, count // 10), "assumed" if given is None else "given")


def plan(params: Params, photos: Collection, cost: Cost) -> Plan:
    """Return what training on ``photos`` comes to at the pace of ``cost``, limited as ``params`` say."""
    validation = photos.val / cost.validated_per_second / 60
    epoch = photos.weight / cost.photos_per_second / 60 + validation
    epochs = float(params.epochs)
    if params.steps:
        epochs = min(epochs, params.steps / math.ceil(photos.train / params.batch_size))
    if params.minutes:
        epochs = min(epochs, params.minutes / epoch)
    pixels = 3 * params.working_size**2 * ((0 if photos.sharded else photos.weight) + photos.val)
    return Plan(epoch, validation, epochs, epochs * epoch, int(pixels))

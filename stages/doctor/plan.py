"""The photos to train on, and the minutes and disk space that they take at the measured pace."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from stages.doctor.cost import Cost
from stages.storage import tables
from stages.train.params import Params

ASSUMED = 2000
"""Assumed number of photos and copies if nothing is prepared and no number is given."""


@dataclass(frozen=True)
class PhotoCounts:
    """The photos of an epoch."""

    train: int
    """Number of photos and copies."""
    weight: float
    """Number of photos of the working size with the same cost; one with twice the side counts as four."""
    val: int
    source: str
    """One of prepared, given, assumed."""
    sharded: bool = False
    """Whether train photos are streamed from shards instead of decoded to disk."""


@dataclass(frozen=True)
class Plan:
    """The time and disk space of the training that params.yaml describes."""

    minutes_per_epoch: float
    validation_minutes: float
    """About how many of these are for loss and metrics of the val photos."""
    epochs: float
    minutes: float
    pixels_file: int
    """Size of the decoded photos in the working cache, in bytes."""


def photo_counts(prepared: Path, *, given: int | None) -> PhotoCounts:
    """Return the photos of an epoch: ``given`` photos, else those in ``prepared``, else an assumption."""
    index = prepared / "index.csv"
    if given is None and index.exists():
        table = tables.read_table(index, made_by="prepare")
        train, val = (table[table["split"] == split] for split in ("train", "val"))
        if not (train.empty or val.empty):
            weight = float(((train["size"] / val["size"].iloc[0]) ** 2).sum())
            return PhotoCounts(len(train), weight, len(val), "prepared", sharded="shard" in table)
    count = ASSUMED if given is None else given
    return PhotoCounts(count, count, max(1, count // 10), "assumed" if given is None else "given")


def plan(params: Params, photos: PhotoCounts, cost: Cost) -> Plan:
    """Return the time and disk space of training on ``photos`` at the pace of ``cost``, within ``params``."""
    validation = photos.val / cost.validated_per_second / 60
    epoch = photos.weight / cost.photos_per_second / 60 + validation
    epochs = float(params.epochs)
    if params.steps:
        epochs = min(epochs, params.steps / math.ceil(photos.train / params.batch_size))
    if params.minutes:
        epochs = min(epochs, params.minutes / epoch)
    pixels = 3 * params.working_size**2 * ((0 if photos.sharded else photos.weight) + photos.val)
    return Plan(epoch, validation, epochs, epochs * epoch, int(pixels))

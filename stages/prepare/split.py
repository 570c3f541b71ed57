"""The split into train, val and test: decided by duplicate group and salted hash, before any augmentation."""

from __future__ import annotations

import pandas as pd

from ungray.errors import UngrayError
from ungray.system.files import sha256

SPLITS = ("train", "val", "test")


def side(key: str, *, salt: str, val_fraction: float, test_fraction: float) -> str:
    """Return train, val or test for one photo: the same for ever, whatever other photos there are."""
    place = int(sha256(f"{salt}/{key}".encode())[:13], 16) / 16**13
    if place < test_fraction:
        return "test"
    return "val" if place < test_fraction + val_fraction else "train"


def split(verdicts: pd.DataFrame, *, salt: str, val_fraction: float, test_fraction: float) -> pd.Series:
    """Return the split of every row of ``verdicts``, empty for rows without a group and for those left out.

    A group goes where the most test-ward of its photos falls, rejected duplicates included. So a photo keeps
    its side as the collection grows, and only where a new photo shows two groups to be one do they join,
    toward test, never back. Files cut from one photograph count as that one photograph.

    Where a data set gives a photo its side (column ``split``), that is where it falls, and it is never seen
    on another: if its group goes elsewhere it is left out. Where no photo is given to val, val is drawn from
    the given train photos by the same hash.

    Raises:
        UngrayError: a given side is none of train, val and test.
    """
    given = verdicts["split"]
    if unknown := sorted(set(given) - {"", *SPLITS}):
        raise UngrayError(
            f"data/verdicts.csv: split {unknown[0]!r} is none of {', '.join(SPLITS)}; "
            "run `dvc repro --force scrape`"
        )
    keys = verdicts["photograph"].where(verdicts["photograph"] != "", verdicts["sha256"])
    drawn = keys.map(lambda key: side(key, salt=salt, val_fraction=val_fraction, test_fraction=test_fraction))
    own = given.where(given != "", drawn)
    val_is_drawn = (given == "train") & (not (given == "val").any())
    own = own.mask(val_is_drawn & (drawn == "val"), "val")
    joined = own.map(SPLITS.index).groupby(verdicts["group"]).transform("max").map(lambda at: SPLITS[at])
    elsewhere = (given != "") & (joined != given) & ~(val_is_drawn & (joined == "val"))
    return joined.mask(elsewhere | (verdicts["group"] == ""), "")

"""The split into train, val and test, by duplicate group and salted hash, before any augmentation."""

from __future__ import annotations

import pandas as pd

from ungray.errors import UngrayError
from ungray.system.files import sha256

SPLITS = ("train", "val", "test")


def split_of(key: str, *, salt: str, val_fraction: float, test_fraction: float) -> str:
    """Return train, val or test for one photo; it never changes, whatever other photos are added."""
    fraction = int(sha256(f"{salt}/{key}".encode())[:13], 16) / 16**13
    if fraction < test_fraction:
        return "test"
    return "val" if fraction < test_fraction + val_fraction else "train"


def split(verdicts: pd.DataFrame, *, salt: str, val_fraction: float, test_fraction: float) -> pd.Series:
    """Return the split of every row of ``verdicts``, empty for rows without a group and for those left out.

    Each photo gets a split by its hash. A group is in test if any of its photos is (rejected duplicates
    count), else in val if any is, else in train. So a photo keeps its split as the collection grows, with one
    exception: if a new photo shows that two groups are one, they merge, toward test and never back. Files
    cut from one photograph count as that one photograph.

    If the data set assigns a split to a photo (column ``split``), the photo is used in no other: it is left
    out if its group belongs to another split. If the data set assigns no photo to val, val is drawn from its
    train photos by the same hash.

    Raises:
        UngrayError: an assigned split is none of train, val and test.
    """
    given = verdicts["split"]
    if unknown := sorted(set(given) - {"", *SPLITS}):
        raise UngrayError(
            f"data/verdicts.csv: split {unknown[0]!r} is none of {', '.join(SPLITS)}; "
            "run `dvc repro --force scrape`"
        )
    keys = verdicts["photograph"].where(verdicts["photograph"] != "", verdicts["sha256"])
    drawn = keys.map(
        lambda key: split_of(key, salt=salt, val_fraction=val_fraction, test_fraction=test_fraction)
    )
    own = given.where(given != "", drawn)
    val_is_drawn = (given == "train") & (not (given == "val").any())
    own = own.mask(val_is_drawn & (drawn == "val"), "val")
    joined = own.map(SPLITS.index).groupby(verdicts["group"]).transform("max").map(lambda at: SPLITS[at])
    elsewhere = (given != "") & (joined != given) & ~(val_is_drawn & (joined == "val"))
    return joined.mask(elsewhere | (verdicts["group"] == ""), "")

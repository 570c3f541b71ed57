"""The perceptual hashes of the base model's train photos, which must not be used to test it.

Nor must they test models that are fine-tuned from it. The folder of a base model holds :data:`FILE` with the
64-bit perceptual hash of each of its train photos: 8 bytes per photo, from which no photo can be recovered.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from stages.storage import tables
from ungray.errors import UngrayError
from ungray.imaging import duplicates
from ungray.imaging.duplicates import Hashes
from ungray.system.files import whole_file
from ungray.system.terminal import Parser, tell

FILE = "train_hashes.npy"

DOC = """\
Write the perceptual hashes of the train photos of data/prepared to the folder of a base model, 8 bytes per
photo. From them `prepare` knows which test photos that model was trained on, and `evaluate` leaves those
out. Run it where the model was trained, after the model was copied to its folder:

  python -m stages.prepare hashes data/base
  python -m stages.prepare hashes data/base --add    # trained further from the base: keep those, too
"""


def read_hashes(base: Path) -> Hashes | None:
    """Return the hashes in the folder ``base`` of a base model, uint64 (count,); None if there is no file.

    Raises:
        UngrayError: the file is damaged.
    """
    path = base / FILE
    if not path.is_file():
        return None
    try:
        hashes = np.load(path, allow_pickle=False)
    except (ValueError, EOFError, OSError):
        hashes = None
    if not isinstance(hashes, np.ndarray) or hashes.dtype != np.uint64 or hashes.ndim != 1:
        raise UngrayError(
            f"{path} is damaged; `git checkout {path}` restores it. Without it, it is unknown which photos "
            "the base model was trained on"
        )
    return hashes


def mark(kept: pd.DataFrame, hashes: Hashes | None, *, distance: int) -> pd.Series:
    """Return for each photo of ``kept`` whether the base model was trained on it or a copy: "yes" or "no".

    Empty for photos that are not in test, and for all if ``hashes`` is None. ``distance`` is that of
    :func:`ungray.imaging.duplicates.known`.
    """
    marks = pd.Series("", kept.index)
    if hashes is not None:
        test = kept["split"] == "test"
        found = duplicates.known(kept.loc[test, "phash"].tolist(), hashes, distance=distance)
        marks[test] = np.where(found, "yes", "no")
    return marks


def write(arguments: Sequence[str]) -> None:
    """Run the tool ``python -m stages.prepare hashes``."""
    parser = Parser(
        prog="python -m stages.prepare hashes",
        description=DOC,
    )
    parser.add_argument("base", metavar="FOLDER", type=Path, help="the folder of the base model")
    parser.add_argument("--add", action="store_true", help="keep the hashes that the file holds already")
    options = parser.parse_args(arguments)
    folder = options.base
    if not folder.is_dir():
        raise UngrayError(f"{folder} is not a folder; name that of the base model, such as data/base")
    index = tables.read_table(Path("data/prepared/index.csv"), made_by="prepare")
    verdicts = tables.read_table(Path("data/verdicts.csv"), made_by="filter").drop_duplicates("sha256")
    train = set(index.loc[index["split"] == "train", "photo"])
    phashes = verdicts.loc[verdicts["sha256"].str[:16].isin(train), "phash"]
    if len(phashes) != len(train):
        raise UngrayError(
            f"data/prepared has {len(train)} train photos, of which data/verdicts.csv lists {len(phashes)}; "
            "`dvc repro prepare` updates both"
        )
    hashes = np.unique(np.array([int(value, 16) for value in phashes], np.uint64))
    before = read_hashes(folder) if options.add else None
    if before is not None:
        hashes = np.union1d(hashes, before)
    elif options.add:
        raise UngrayError(f"{folder / FILE} is missing, so there are no hashes to add to; leave out --add")
    with whole_file(folder / FILE) as partial, partial.open("wb") as file:
        np.save(file, hashes)
    more = " and those before" if options.add else ""
    tell(f"prepare: {folder / FILE}: {len(hashes)} hashes, of {len(train)} train photos{more}")

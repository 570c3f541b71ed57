"""What is compared: a model, or colorings that any other program made of the same photos."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from stages.storage import tables
from ungray.colorizer import Colorizer
from ungray.errors import UngrayError
from ungray.imaging import duplicates, metrics, photos
from ungray.imaging.color import Rgb
from ungray.imaging.reading.formats import NAMES, SUFFIXES
from ungray.imaging.upsampling import gray_photo
from ungray.system.progress import Bar
from ungray.system.terminal import tell

LEAST_SIDE = 11
"""Pixels of the window of SSIM."""


@dataclass(frozen=True)
class Photo:
    """A photo to compare on: its file, and its true and gray versions at the size at which it is judged."""

    path: Path
    truth: Rgb
    gray: Rgb


Candidate = Callable[[Photo], Rgb]
"""Returns a candidate's coloring of a photo, of the same shape as the truth."""


def candidate(path: Path) -> Candidate:
    """Return the model at ``path``, or the colorings in the folder ``path``, by the names of the photos.

    Raises:
        UngrayError: neither exists; a candidate raises it if it has no coloring of a photo, or one of another
            shape.
    """
    if not path.is_dir():
        colorizer = Colorizer.load(path)
        return lambda photo: colorizer.colorize(photo.gray)
    ready = by_name(path)

    def find(photo: Photo) -> Rgb:
        if photo.path.stem not in ready:
            raise UngrayError(f"{path} has no coloring of {photo.path.name}; add one, or remove the photo")
        colored = _read_rgb(ready[photo.path.stem])
        (height, width), (true_height, true_width) = colored.shape[:2], photo.truth.shape[:2]
        # With sides cut to multiples of 16 or 32, as many networks require, it is still the same photo.
        if abs(np.log(width * true_height / (height * true_width))) > 0.1:
            raise UngrayError(
                f"{ready[photo.path.stem]} has another shape than {photo.path}: {width}x{height} pixels "
                "are not the whole photo"
            )
        return _resized(colored, true_width, true_height)

    return find


def by_name(folder: Path) -> dict[str, Path]:
    """Return the photos in ``folder`` by their names without extension, sorted.

    Raises:
        UngrayError: there is no such folder, no photo in it, or two photos share a name.
    """
    found = sorted(path for path in folder.glob("*") if path.suffix.lower() in SUFFIXES)
    if not found:
        raise UngrayError(f"{folder} is not a folder with photos ({NAMES})")
    names: dict[str, Path] = {}
    for path in found:
        if path.stem in names:
            raise UngrayError(f"{path} and {names[path.stem].name} share a name; rename one")
        names[path.stem] = path
    return names


def prepared_test_photos(prepared: Path) -> dict[str, Path]:
    """Return the paths of the workflow's test photos, by file name.

    Raises:
        UngrayError: there is none in the folder ``prepared``.
    """
    if not (prepared / "index.csv").exists():
        raise UngrayError(
            f"{prepared} has no test photos; `dvc repro prepare` makes them, or name --photos DIR"
        )
    index = tables.read_table(prepared / "index.csv", made_by="prepare")
    test = index[(index["split"] == "test") & (index["copy"] == 0)]
    if test.empty:
        raise UngrayError(f"{prepared} has no test photos; `dvc repro --force prepare` makes them again")
    return {str(file): prepared / str(file) for file in test["file"]}


def load_photo(path: Path, *, short_side: int) -> Photo:
    """Return the photo at ``path``, its short side at most ``short_side`` pixels; 0 leaves it as it is.

    Raises:
        UngrayError: it cannot be read, is too small, or has no color to judge by.
    """
    truth = _read_rgb(path)
    height, width = truth.shape[:2]
    scale = short_side / min(height, width)
    if 0 < scale < 1:
        truth = _resized(truth, round(width * scale), round(height * scale))
    if min(truth.shape[:2]) < LEAST_SIDE:
        raise UngrayError(f"{path} has sides of less than {LEAST_SIDE} pixels; remove it")
    if np.ptp(truth, axis=-1).max() < LEAST_SIDE:
        raise UngrayError(f"{path} has no color to judge by; remove it")
    return Photo(path, truth, gray_photo(truth))


def judge_candidates(
    candidates: dict[str, Candidate], paths: Sequence[Path], *, short_side: int
) -> pd.DataFrame:
    """Judge ``candidates`` and the gray photo on the photos at ``paths``, one photo in memory at a time.

    Returns:
        One row per photo and candidate: file, group (see :func:`groups_of`), method, and the metrics of
        :func:`ungray.imaging.metrics.judge`.
    """
    rows, signatures = [], []
    for path in Bar(paths, desc="compare", unit="photo"):
        photo = load_photo(path, short_side=short_side)
        signatures.append(duplicates.signature(photo.truth))
        made = {name: colorize(photo) for name, colorize in candidates.items()}
        made["gray"] = photo.gray
        for method, colored in made.items():
            rows.append({"file": path.name, "method": method} | metrics.judge(colored, photo.truth))
    groups = dict(zip((path.name for path in paths), groups_of(paths, signatures), strict=True))
    table = pd.DataFrame(rows)
    table.insert(1, "group", table["file"].map(groups))
    return table


def groups_of(paths: Sequence[Path], signatures: Sequence[duplicates.Signature]) -> list[str]:
    """Return the group of each photo at ``paths``, whose features are ``signatures``.

    Copies of one photo share a group, and so do photos that ``prepare`` has put into one: if it made the
    photos at ``paths``, the index next to their folder has their groups.
    """
    pairs = duplicates.copies(signatures, distance=duplicates.NEAR) + duplicates.same(
        _prepared(paths, "group")
    )
    return [str(number) for number in duplicates.components(len(paths), pairs)]


def known_to_base(rows: pd.DataFrame) -> pd.Series:
    """Return for each of ``rows`` of index.csv whether the base model is known to be trained on its photo."""
    return rows.get("base_knows", pd.Series("", rows.index)) == "yes"


def without_known(paths: Mapping[str, Path]) -> dict[str, Path]:
    """Return the photos that the base model was not trained on, and print how many were left out.

    Raises:
        UngrayError: none is left.
    """
    known = _prepared(list(paths.values()), "base_knows")
    left = {name: path for (name, path), mark in zip(paths.items(), known, strict=True) if mark != "yes"}
    if not left:
        raise UngrayError(
            f"the base model was trained on all {len(paths)} photos, so none is left to judge by"
        )
    if len(left) < len(paths):
        tell(f"left out {len(paths) - len(left)} of {len(paths)} photos: the base model was trained on them")
    return left


def _prepared(paths: Sequence[Path], column: str) -> list[str]:
    """Return a ``column`` of the index that prepare wrote next to each photo's folder, by photo; "" if
    none."""
    known: dict[Path, str] = {}
    for folder in sorted({path.parent for path in paths}):
        index = folder.parent / "index.csv"
        if index.is_file():
            table = tables.read_table(index, made_by="prepare")
            if {"file", column} <= set(table.columns):
                files = (folder.parent / str(file) for file in table["file"])
                known |= dict(zip(files, table[column].astype(str), strict=True))
    return [known.get(path, "") for path in paths]


def _read_rgb(path: Path) -> Rgb:
    try:
        return photos.read_rgb(path)
    except photos.PhotoError as error:
        raise UngrayError(f"{path}: {error}") from None


def _resized(rgb: Rgb, width: int, height: int) -> Rgb:
    if rgb.shape[:2] == (height, width):
        return rgb
    shrinks = width < rgb.shape[1]
    return cv2.resize(rgb, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC)  # type: ignore[return-value]

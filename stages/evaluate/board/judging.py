"""Judges models on one test set. What was judged once is kept below ``.cache/board`` and not judged again."""

from __future__ import annotations

import json
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd

from stages.evaluate.board.collection import Source
from stages.evaluate.candidates import (
    Candidate,
    Photo,
    by_name,
    candidate,
    groups_of,
    load_photo,
    prepared_test_photos,
    without_known,
)
from stages.evaluate.settings import trained_with
from stages.storage import cache
from ungray import engines, networks
from ungray.colorizer import Colorizer
from ungray.errors import UngrayError
from ungray.imaging import duplicates, metrics, photos
from ungray.imaging.color import Rgb
from ungray.networks import ARCHITECTURES, parameter_count
from ungray.provenance import kept_nothing, what_it_is
from ungray.system.files import sha256, whole_file, whole_folder
from ungray.system.progress import Bar
from ungray.system.terminal import tell

GRAY = "gray"

SHOWN = 6
"""Number of photos of which every model's coloring is shown."""

SHOWN_SIDE = 192
"""Height in pixels of these pictures."""


@dataclass(frozen=True)
class PhotoSet:
    """The photos by which all models are judged.

    ``paths``, ``groups`` and ``phashes`` are by file name; ``shown`` are the names of the photos that are
    shown, of as many groups as possible. ``folder`` is where what was judged on them is kept.
    """

    paths: Mapping[str, Path]
    short_side: int
    groups: Mapping[str, str]
    phashes: Mapping[str, str]
    shown: tuple[str, ...]
    folder: Path

    def known(self, hashes: duplicates.Hashes | None) -> int | None:
        """Return how many of the photos have a copy among those with ``hashes``; None if these are
        unknown."""
        if hashes is None:
            return None
        return sum(duplicates.known(list(self.phashes.values()), hashes, distance=duplicates.NEAR))


@dataclass(frozen=True)
class Judged:
    """What judging one model found.

    ``photos`` has one row per photo: file, and the metrics of :func:`ungray.imaging.metrics.judge`.
    ``about`` has ``bytes`` and ``parameters`` of the model, ``milliseconds`` per photo (each None if it is no
    model), ``settings`` of its training by name, ``data``, a fingerprint of its train photos, and ``said``,
    what it is if its training kept nothing, else an empty text. ``pictures`` are paths, in the order of the
    photos shown.
    """

    photos: pd.DataFrame
    about: dict[str, Any]
    pictures: tuple[Path, ...]


def photo_set(
    folder: Path | None, *, prepared: Path, short_side: int, base_hashes: duplicates.Hashes | None
) -> PhotoSet:
    """Return the photos in ``folder``, or the test photos of ``prepared``, less those the base model knows.

    Raises:
        UngrayError: there is no photo, one cannot be read or has no color, or the base model knows all.
    """
    paths = without_known(prepared_test_photos(prepared) if folder is None else by_name(folder))
    paths = {path.name: path for path in paths.values()}
    content = {name: sha256(path.read_bytes()) for name, path in paths.items()}
    place = cache.folder("board", cache.fingerprint(content, short_side, _code()))
    signatures = _looks(paths, place / "photos.json", short_side)
    phashes = signatures["phashes"]
    if base_hashes is not None:
        marks = duplicates.known([phashes[name] for name in paths], base_hashes, distance=duplicates.NEAR)
        known = {name for name, mark in zip(paths, marks, strict=True) if mark}
        if len(known) == len(paths):
            raise UngrayError(
                f"the base model was trained on all {len(paths)} photos, so none is left to judge by"
            )
        if known:
            tell(f"left out {len(known)} of {len(paths)} photos: the base model was trained on them")
        paths = {name: path for name, path in paths.items() if name not in known}
    groups = {name: signatures["groups"][name] for name in paths}
    return PhotoSet(paths, short_side, groups, {name: phashes[name] for name in paths}, _shown(groups), place)


def judge(source: Source, test: PhotoSet) -> Judged:
    """Return what judging a model finds, or what it found when it was judged before.

    Raises:
        UngrayError: the model cannot be had or is damaged, or a coloring is missing.
    """
    kept = test.folder / source.checksum
    if source.checksum and (kept / "about.json").is_file():
        return _read_judged(kept)
    with tempfile.TemporaryDirectory() as empty:
        path = source.fetch(Path(empty))
        colorize, about = _loaded(path)
        return _judged(colorize, about, test, kept, name=source.names[0])


def judge_gray(test: PhotoSet) -> Judged:
    """Return the same of the gray photos themselves."""
    kept = test.folder / GRAY
    if (kept / "about.json").is_file():
        return _read_judged(kept)
    return _judged(lambda photo: photo.gray, dict(NO_MODEL), test, kept, name=GRAY)


NO_MODEL: dict[str, Any] = {
    "bytes": None, "parameters": None, "milliseconds": None, "settings": {}, "data": "", "said": "",
}  # fmt: skip


def _loaded(path: Path) -> tuple[Candidate, dict[str, Any]]:
    """Return what colors, and what is known of it before it has colored anything."""
    if path.is_dir():
        return candidate(path), dict(NO_MODEL)
    if path.suffix == engines.SUFFIXES["torch"]:
        model = networks.load_model(path)
        colorizer, parameters = Colorizer(engines.of_model(model, path=path)), parameter_count(model.network)
    else:
        colorizer, parameters = Colorizer.load(path), None
    others = {f"train.{name}" for name in ARCHITECTURES} - {
        f"train.{colorizer.configuration['architecture']}"
    }
    settings = {
        key: text
        for key, text in trained_with(colorizer.provenance).items()
        if ".".join(key.split(".")[:2]) not in others
    }
    about = {
        "bytes": path.stat().st_size,
        "parameters": parameters,
        "settings": settings,
        "data": colorizer.provenance.get("data", ""),
        "said": what_it_is(colorizer.provenance) if kept_nothing(colorizer.provenance) else "",
    }
    return lambda photo: colorizer.colorize(photo.gray), about


def _judged(
    colorize: Callable[[Photo], Rgb], about: dict[str, Any], test: PhotoSet, kept: Path, *, name: str
) -> Judged:
    """Judge, and keep what was found in the folder ``kept``."""
    rows, seconds = [], []
    with whole_folder(kept) as folder:
        for file, path in Bar(test.paths.items(), desc=f"board, {name}", unit="photo"):
            photo = load_photo(path, short_side=test.short_side)
            began = time.perf_counter()
            colored = colorize(photo)
            seconds.append(time.perf_counter() - began)
            rows.append({"file": file} | metrics.judge(colored, photo.truth))
            if file in test.shown:
                _write(folder / f"{test.shown.index(file)}.jpg", colored)
        # The first photo also pays for starting up.
        pace = round(1000 * statistics.median(seconds[1:] or seconds), 1)
        about = about | {"milliseconds": pace if about["bytes"] else None}
        pd.DataFrame(rows).to_csv(folder / "photos.csv", index=False)
        (folder / "about.json").write_text(json.dumps(about) + "\n")
    return _read_judged(kept)


def _read_judged(kept: Path) -> Judged:
    table = pd.read_csv(kept / "photos.csv", dtype={"file": str}, keep_default_na=False)
    pictures = sorted(kept.glob("*.jpg"), key=lambda path: int(path.stem))
    return Judged(table, json.loads((kept / "about.json").read_text()), tuple(pictures))


def _looks(paths: Mapping[str, Path], kept: Path, short_side: int) -> dict[str, dict[str, str]]:
    """Return ``groups`` and ``phashes`` of the photos by file name, which take some time to find."""
    if kept.is_file():
        return json.loads(kept.read_text())
    signatures = [
        duplicates.signature(load_photo(path, short_side=short_side).truth)
        for path in Bar(paths.values(), desc="board, looking for copies", unit="photo")
    ]
    groups = groups_of(list(paths.values()), signatures)
    found = {
        "groups": dict(zip(paths, groups, strict=True)),
        "phashes": {name: one.phash for name, one in zip(paths, signatures, strict=True)},
    }
    with whole_file(kept) as partial:
        partial.write_text(json.dumps(found))
    return found


def _shown(groups: Mapping[str, str]) -> tuple[str, ...]:
    """Return the names of :data:`SHOWN` photos, spread evenly, one of each group before any second one."""
    first = list({group: name for name, group in reversed(list(groups.items()))}.values())[::-1]
    rest = [name for name in groups if name not in first]
    chosen = _spread(first, SHOWN)
    return tuple(sorted(chosen + _spread(rest, SHOWN - len(chosen))))


def _spread(names: Sequence[str], count: int) -> list[str]:
    count = min(count, len(names))
    return [names[number * len(names) // count] for number in range(count)]


def _write(path: Path, colored: Rgb) -> None:
    height, width = colored.shape[:2]
    scale = min(1.0, SHOWN_SIDE / height)
    size = (max(1, round(scale * width)), max(1, round(scale * height)))
    shown = cv2.resize(colored, size, interpolation=cv2.INTER_AREA)
    path.write_bytes(photos.encode_rgb(np.asarray(shown, np.uint8), suffix=".jpg", quality=85))


def _code() -> str:
    """Return a fingerprint of the code that colors and judges: with another one, models are judged anew."""
    top = Path(networks.__file__).parents[1]
    return cache.code_fingerprint(
        *(top / name for name in ("colorizer.py", "engines.py", "imaging", "networks")),
        *(Path(__file__).parents[1] / name for name in ("candidates.py", "board/judging.py")),
    )

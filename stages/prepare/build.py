"""Builds ``data/prepared``: the photos of each split, and ``index.csv``, which describes each file."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pandas as pd

from stages.prepare import shards, store, train_hashes
from stages.prepare.params import Params
from stages.prepare.split import SPLITS, split
from stages.prepare.views import View, make, views
from stages.runtime.processes import Workers, map_photos
from stages.storage import tables
from ungray.errors import UngrayError
from ungray.imaging import photos
from ungray.imaging.duplicates import Hashes
from ungray.system.files import sha256
from ungray.system.progress import Bar

INDEX = ["file", "split", "photo", "query", "group", "copy", "size", "rotation", "digest", "base_knows"]
"""The columns of ``index.csv``. ``photo``: the first 16 digits of the original's SHA-256. ``copy``: 0 for the
photo itself, 1, 2 ... for its copies (rotated, of another size, or both). ``size``: the side in pixels.
``rotation``: in degrees. ``digest``: the first 16 digits of the prepared file's own SHA-256. ``base_knows``:
see :func:`stages.prepare.train_hashes.mark`. If there are shards, one more column, ``shard``: the archive
that contains the file, under its name without folder; empty for val and test."""


@dataclass(frozen=True)
class Built:
    """The result of :func:`run`.

    Attributes:
        index: the content of ``index.csv``, sorted by file.
        left_out: the number of photos that the filter kept, but whose group belongs to another split than
            the one their data set assigns (see :func:`split`).
        reused: the number of photos taken unchanged from the working cache.
    """

    index: pd.DataFrame
    left_out: int
    reused: int


@dataclass(frozen=True)
class Job:
    """One photo to prepare. ``digests``: for each view the digest in the working cache; empty if missing."""

    source: str
    checksum: str
    split: str
    views: tuple[View, ...]
    digests: tuple[str, ...]


def run(
    params: Params,
    verdicts: pd.DataFrame,
    raw: Path,
    prepared: Path,
    *,
    cached: Path,
    workers: Workers,
    base_hashes: Hashes | None = None,
    near_distance: int = 0,
) -> Built:
    """Write every kept photo of ``verdicts`` to ``prepared/<split>/`` or a shard, and ``index.csv``.

    ``cached`` is the folder of :mod:`stages.prepare.store`: views found there are not made again.
    ``base_hashes`` and ``near_distance`` are for :func:`stages.prepare.train_hashes.mark`.

    Raises:
        UngrayError: a split would get no photo, or a photo cannot be read.
    """
    splits = split(
        verdicts, salt=params.split_salt, val_fraction=params.val_fraction, test_fraction=params.test_fraction
    )
    kept = verdicts.assign(split=splits)[verdicts["verdict"] == "kept"]
    left_out = kept["split"] == ""
    # Two files with the same bytes may both have been kept by hand.
    kept = kept[~left_out].sort_values("file").drop_duplicates("sha256")
    if empty := [name for name in SPLITS if not (kept["split"] == name).any()]:
        raise UngrayError(
            f"{kept['group'].nunique()} groups of photos are too few for the split: "
            f"{' and '.join(empty)} would be empty; add photos, or change prepare.val_fraction, "
            "test_fraction or split_salt in params.yaml"
        )
    marks = train_hashes.mark(kept, base_hashes, distance=near_distance)
    digests = store.digests(cached)
    jobs = [
        _job(raw / file, checksum, split=name, digests=digests, params=params)
        for file, checksum, name in zip(kept["file"], kept["sha256"], kept["split"], strict=True)
    ]
    for name in SPLITS:
        (prepared / name).mkdir()
    written = _write(jobs, params=params, prepared=prepared, cached=cached, workers=workers)
    rows = []
    for job, query, group, mark in zip(jobs, kept["query"], kept["group"], marks, strict=True):
        for copy, (view, digest) in enumerate(zip(job.views, written[job], strict=True)):
            start = (f"{job.split}/{view.name}", job.split, job.checksum[:16], query, group)
            rows.append((*start, copy, view.size, view.rotation, digest, mark))
    index = pd.DataFrame(rows, columns=INDEX).sort_values("file", ignore_index=True)
    if params.shard_photos:
        index["shard"] = shards.assign(index, photos=params.shard_photos)
        shards.pack(index, prepared)
    tables.write_table(index, prepared / "index.csv")
    return Built(index, left_out=int(left_out.sum()), reused=sum(all(job.digests) for job in jobs))


def _job(source: Path, checksum: str, *, split: str, digests: dict[str, str], params: Params) -> Job:
    photo = checksum[:16]
    of_photo = tuple(views(photo, split=split, params=params))
    cached = tuple(digests.get(store.key(photo, view, params), "") for view in of_photo)
    return Job(str(source), checksum, split, of_photo, cached)


def _write(
    jobs: Sequence[Job], *, params: Params, prepared: Path, cached: Path, workers: Workers
) -> dict[Job, list[str]]:
    """Write the views of all photos; return their digests by photo."""
    link = partial(_link_cached, params=params, prepared=prepared, cached=cached)
    make = partial(_make, params=params, prepared=prepared, cached=cached)
    in_cache = [job for job in jobs if all(job.digests)]
    new = [job for job in jobs if not all(job.digests)]
    written: dict[Job, list[str]] = {}
    background = ThreadPoolExecutor(1)  # links the cached views while the others are made
    try:
        linking = [background.submit(link, job) for job in in_cache]
        written |= _checked(new, map_photos(make, new, workers=workers, title="prepare"))
        results = (future.result() for future in linking)
        counted = Bar(results, total=len(in_cache), desc="prepare, from the cache", unit="photo")
        linked = dict(zip(in_cache, counted, strict=True))
    finally:
        background.shutdown(cancel_futures=True)
    damaged = [job for job, intact in linked.items() if not intact]
    written |= {job: list(job.digests) for job in in_cache}
    return written | _checked(damaged, map_photos(make, damaged, workers=workers, title="prepare again"))


def _checked(jobs: Sequence[Job], results: Iterable[list[str] | str]) -> dict[Job, list[str]]:
    digests = {}
    for job, result in zip(jobs, results, strict=True):
        if isinstance(result, str):
            raise UngrayError(f"{job.source}: {result}; run `dvc repro --force filter`")
        digests[job] = result
    return digests


def _link_cached(job: Job, *, params: Params, prepared: Path, cached: Path) -> bool:
    """Link all views of one photo from the working cache; return False if one of them is damaged."""
    keys = (store.key(job.checksum[:16], view, params) for view in job.views)
    targets = (prepared / job.split / view.name for view in job.views)
    return all(
        store.link(cached, key, digest, target)
        for key, digest, target in zip(keys, job.digests, targets, strict=True)
    )


def _make(job: Job, *, params: Params, prepared: Path, cached: Path) -> list[str] | str:
    """Write all views of one photo to ``prepared`` and the working cache; return their digests.

    Returns an error message instead if the photo cannot be read.
    """
    try:
        original = Path(job.source).read_bytes()
        if sha256(original) != job.checksum:
            return "this file changed after it was filtered"
        made = make(original, job.views, params)
    except (photos.PhotoError, OSError) as error:
        return str(error)
    digests = []
    for view, content in zip(job.views, made, strict=True):
        key = store.key(job.checksum[:16], view, params)
        digests.append(store.write(cached, key, content))
        store.link(cached, key, digests[-1], prepared / job.split / view.name)
    return digests

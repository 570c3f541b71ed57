"""Measures many photos, each only once: the results depend only on the photo and the code, and are cached."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import numpy as np

from stages.filter import measures
from stages.filter.measures import Measures, measure
from stages.runtime.processes import Workers, map_photos
from stages.storage import cache
from ungray.imaging import color, decoding, duplicates, photos
from ungray.system.files import whole_file

LIBRARIES = ("imagehash", *photos.LIBRARIES, "scipy")


def folder() -> Path:
    """Return the folder of the working cache for the measures of this version of the code."""
    modules = (Path(str(module.__file__)) for module in (color, decoding, duplicates, measures))
    code = cache.code_fingerprint(*modules, *photos.CODE)
    return cache.folder("filter", cache.fingerprint(code, {name: version(name) for name in LIBRARIES}))


def measure_all(
    paths: Sequence[Path], checksums: Sequence[str], *, workers: Workers, cache_folder: Path | None
) -> list[Measures]:
    """Return the measures of the photos at ``paths``, whose sha256 are ``checksums``.

    Args:
        paths: photos.
        checksums: the SHA-256 of each.
        workers: the number of processes, 0 for one per core, or the address of a Dask scheduler.
        cache_folder: the folder that caches the measures between runs; None to measure all photos again.
    """
    table = cache_folder / "measures.npz" if cache_folder else None
    cached = _read_measures(table) if table else {}
    # The key includes the size: a file that was changed or truncated in place is measured again.
    keys = [f"{sha}-{path.stat().st_size}" for path, sha in zip(paths, checksums, strict=True)]
    new = {key: path for key, path in zip(keys, paths, strict=True) if key not in cached}
    found = map_photos(measure, list(new.values()), workers=workers, title="filter")
    try:
        for key, measured in zip(new, found, strict=True):
            cached[key] = measured
    finally:
        if table and new and cached:
            _write(cached, table)  # also after an interruption, so that nothing is measured twice
    return [cached[key] for key in keys]


def _read_measures(path: Path) -> dict[str, Measures]:
    try:
        with np.load(path, allow_pickle=False) as arrays:
            figures = json.loads(arrays["figures"].tobytes())
            corners = np.split(arrays["corners"], arrays["ends"][:-1])
            if arrays["corners"].dtype != duplicates.CORNER:
                return {}
        return {
            key: Measures(**values, corners=ours)
            for (key, values), ours in zip(figures.items(), corners, strict=True)
        }
    except (OSError, EOFError, ValueError, TypeError, AttributeError, KeyError, zipfile.BadZipFile):
        return {}  # the cache is missing or damaged: everything is measured again


def _write(cached: dict[str, Measures], path: Path) -> None:
    figures = json.dumps({key: m.figures() for key, m in cached.items()}).encode()
    with whole_file(path) as partial, partial.open("wb") as file:
        np.savez(
            file,
            figures=np.frombuffer(figures, np.uint8),
            corners=np.concatenate([m.corners for m in cached.values()]),
            ends=np.cumsum([len(m.corners) for m in cached.values()]),
        )

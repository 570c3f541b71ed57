"""A folder of photos: a tree of image files whose sub-folders are the queries."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

from tqdm import tqdm

from stages.errors import UngrayError
from stages.reading.formats import NAMES, SUFFIXES
from stages.scrape.manifest import Attempt, keep
from stages.scrape.params import Params


def gather(params: Params, raw: Path) -> Iterator[Attempt]:
    """Take every image file below ``params.folder``; yield a row for each.

    A file's query is its sub-folder's path, or the folder's own name at the top; its rank is its place by
    name.
    """
    top = params.photo_folder()
    params.check_surroundings()
    found = [path for path in top.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file()]
    found.sort(key=lambda path: (path.parent, path.name))
    if not found:
        raise UngrayError(f"scrape.folder: {top} holds no image file ({NAMES})")
    bar = tqdm(found, desc="copy", unit="photo", disable=None)
    for parent, paths in groupby(bar, key=lambda path: path.parent):
        query = (top.name or "photos") if parent == top else parent.relative_to(top).as_posix()
        for rank, path in enumerate(paths, start=1):
            yield keep(
                path.read_bytes(),
                raw=raw,
                source="folder",
                query=query,
                rank=rank,
                url=path.relative_to(top).as_posix(),
            )

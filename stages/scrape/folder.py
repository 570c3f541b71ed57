"""A folder of photos: a tree of image files, whose sub-folders are the queries."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

from stages.scrape.manifest import Attempt, keep
from stages.scrape.params import Params
from ungray.errors import UngrayError
from ungray.imaging.reading.formats import NAMES, SUFFIXES
from ungray.system.limits import MAX_BYTES
from ungray.system.progress import Bar


def gather(params: Params, raw: Path) -> Iterator[Attempt]:
    """Copy every image file below ``params.folder``; yield a row for each.

    A file's query is the path of its sub-folder or, at the top, the folder's name; its rank is its position
    by name. A file that cannot be read is a refused row; a folder that cannot be read is one of rank 0.
    """
    params.check_environment()
    top = params.photo_folder()
    found, locked = _walk(top)
    if not found:
        raise UngrayError(f"scrape.folder: {top} contains no image file ({NAMES})")
    for folder, reason in locked.items():
        yield Attempt(
            source="folder",
            query=_query(folder, top),
            rank=0,
            url=folder.relative_to(top).as_posix(),
            status="refused",
            reason=f"folder cannot be read: {reason}",
        )
    bar = Bar(found, desc="copy", unit="photo")
    for parent, paths in groupby(bar, key=lambda path: path.parent):
        for rank, path in enumerate(paths, start=1):
            about: dict[str, Any] = {
                "source": "folder",
                "query": _query(parent, top),
                "rank": rank,
                "url": path.relative_to(top).as_posix(),
            }
            try:
                if path.stat().st_size > MAX_BYTES:
                    yield Attempt(status="refused", reason=f"larger than {MAX_BYTES / 1e9:g} GB", **about)
                    continue
                content = path.read_bytes()
            except OSError as error:
                yield Attempt(status="refused", reason=f"cannot be read: {error.strerror}", **about)
                continue
            yield keep(content, raw=raw, **about)


def _query(folder: Path, top: Path) -> str:
    return (top.name or "photos") if folder == top else folder.relative_to(top).as_posix()


def _walk(top: Path) -> tuple[list[Path], dict[Path, str]]:
    """Return the image files below ``top``, by folder and name, and the unreadable folders with the reason.

    Links to files are followed; links to folders are not, since they may be circular.
    """
    found, locked = [], {}
    folders = [top]
    while folders:
        folder = folders.pop()
        try:
            inside = list(folder.iterdir())
        except OSError as error:
            locked[folder] = str(error.strerror)
            continue
        for path in inside:
            try:
                mode = path.stat().st_mode
            except OSError:
                mode = stat.S_IFREG  # unreadable, or a broken link: reading it reports the error
            if stat.S_ISDIR(mode) and not path.is_symlink():
                folders.append(path)
            elif stat.S_ISREG(mode) and path.suffix.lower() in SUFFIXES:
                found.append(path)
    return sorted(found, key=lambda path: (path.parent, path.name)), dict(sorted(locked.items()))

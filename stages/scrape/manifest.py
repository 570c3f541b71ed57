"""``data/manifest.csv``: one row per attempt to get a photo, sorted; the same photos give the same bytes."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import pandas as pd

from stages.storage import tables
from ungray.imaging import photos
from ungray.system.files import sha256


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """One attempt to get a photo.

    ``file`` is the path below data/raw, empty if nothing was kept. ``photograph`` names the photograph that
    the file was cut from, empty if it is a whole one: files with the same one are in the same duplicate
    group. ``split`` is the split (train, val, test) that the data set assigns to the photo, empty if it
    assigns none. ``status`` is kept or refused, ``reason`` says why it was refused. Bytes, width and height
    are 0 if unknown.
    """

    source: str
    query: str
    rank: int
    source_page: str = ""
    url: str = ""
    status: str
    reason: str = ""
    sha256: str = ""
    bytes: int = 0
    width: int = 0
    height: int = 0
    format: str = ""
    file: str = ""
    photograph: str = ""
    split: str = ""
    license: str = ""
    fetched_at: str = ""

    def __post_init__(self) -> None:
        # So that the row equals the one that is later read from the table.
        tables.clean_row(self)


COLUMNS = [field.name for field in fields(Attempt)]


def keep(
    content: bytes,
    *,
    raw: Path,
    source: str,
    query: str,
    rank: int,
    url: str,
    source_page: str = "",
    photograph: str = "",
    split: str = "",
    license: str = "",
    fetched_at: str = "",
) -> Attempt:
    """Write ``content`` unchanged to ``raw/<query>/<sha256-16>.<ext>`` if it is an image; return its row."""
    query = tables.cell(query)
    about: dict[str, Any] = {
        "source": source,
        "query": query,
        "rank": rank,
        "url": url,
        "source_page": source_page,
        "photograph": photograph,
        "split": split,
        "license": license,
        "fetched_at": fetched_at,
        "sha256": sha256(content),
        "bytes": len(content),
    }
    try:
        image_format, width, height = photos.probe(content)
    except photos.PhotoError as error:
        return Attempt(status="refused", reason=str(error), **about)
    file = f"{folder_name(query)}/{sha256(content)[:16]}.{photos.FORMATS[image_format]}"
    path = raw / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return Attempt(status="kept", width=width, height=height, format=image_format, file=file, **about)


def take_back(attempt: Attempt, *, raw: Path, reason: str) -> Attempt:
    """Remove the photo of a kept ``attempt`` from ``raw``; return its row, now refused for ``reason``."""
    path = raw / attempt.file
    path.unlink(missing_ok=True)
    if path.parent.is_dir() and not any(path.parent.iterdir()):
        path.parent.rmdir()
    return replace(attempt, status="refused", reason=reason, file="")


def write(attempts: Iterable[Attempt], path: Path) -> None:
    """Write ``attempts`` sorted by query, rank and URL."""
    table = pd.DataFrame([asdict(attempt) for attempt in attempts], columns=COLUMNS)
    tables.write_table(table.sort_values(["query", "rank", "url"], kind="stable"), path)


def folder_name(query: str) -> str:
    """Return a folder name for ``query`` that is valid on every system and unique."""
    name = re.sub(r"[^\w\- ]+", "_", query).strip(" _")[:60].rstrip()
    # On some systems, Moon and moon are the same folder, and con or com1 is a device.
    reserved = re.fullmatch(r"con|prn|aux|nul|(com|lpt)\d", name)
    plain = name == query and name == name.lower() and name and not reserved
    return name if plain else f"{name or 'query'}-{sha256(query.encode())[:8]}"

"""Keeps photos that were taken out for good (data/blocked.csv) from coming in again, and adds to them."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from stages import tables
from stages.blocked import BLOCKED, COLUMNS, read
from stages.scrape.manifest import Attempt

REASON = "taken out"
STAYING = ["source", "query", "rank", "sha256"]
"""What the manifest says of them, and what it goes on saying: neither their address nor whose they are."""


def refuse(attempts: Iterable[Attempt], checksums: Container[str], raw: Path) -> Iterator[Attempt]:
    """Pass ``attempts`` on; a photo with one of these ``checksums`` leaves ``raw`` and is a refused row."""
    for attempt in attempts:
        if attempt.sha256 in checksums:
            if attempt.file:
                (raw / attempt.file).unlink(missing_ok=True)
            about: dict[str, Any] = {name: getattr(attempt, name) for name in STAYING}
            attempt = Attempt(status="refused", reason=REASON, **about)
        yield attempt


def add(photos: Mapping[str, str], path: Path = BLOCKED) -> None:
    """Add ``photos``, checksum to perceptual hash, to the table at ``path``, sorted; known ones stay once."""
    known = read(path)
    together = pd.concat([known, pd.DataFrame(photos.items(), columns=list(COLUMNS))])
    # Where a hash was not known before and is now, it counts.
    together = together.sort_values(list(COLUMNS), ascending=[True, False]).drop_duplicates("sha256")
    tables.write(together, path)

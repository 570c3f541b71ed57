"""Which photos were taken out for good (data/blocked.csv), or are copies of one that was."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from stages.storage.blocklist import Blocked
from ungray.imaging.duplicates import Look


def hits(table: pd.DataFrame, looks: Sequence[Look], blocked: pd.DataFrame) -> list[bool]:
    """Say which photos of ``table``, known by ``looks``, are blocked: by their bytes, or as copies."""
    banned, checksums = Blocked(blocked), set(blocked["sha256"])
    return [
        checksum in checksums or bool(look.phash and banned.like(look))
        for checksum, look in zip(table["sha256"], looks, strict=True)
    ]

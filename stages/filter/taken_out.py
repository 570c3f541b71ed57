"""Which photos were taken out for good (data/blocked.csv), or look like one that was."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd


def hits(table: pd.DataFrame, blocked: pd.DataFrame, *, distance: int) -> list[bool]:
    """Say which photos of ``table`` are blocked: by their bytes, or by a hash within ``distance`` bits of
    64."""
    banned = _bits(blocked.loc[blocked["phash"] != "", "phash"].tolist())
    looks = pd.Series(False, index=table.index)
    hashed = table["phash"] != ""
    if hashed.any() and len(banned):
        bits = _bits(table.loc[hashed, "phash"].tolist())
        nearest = np.min([np.bitwise_count(bits ^ one) for one in banned], axis=0)
        looks[hashed] = nearest <= distance
    return (looks | table["sha256"].isin(blocked["sha256"])).tolist()


def _bits(hashes: Sequence[str]) -> np.ndarray[tuple[int], np.dtype[np.uint64]]:
    return np.array([int(value, 16) for value in hashes], dtype=np.uint64)

"""Which photos show the same thing: exact and near duplicates, and files cut from one photograph."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

ROWS_AT_ONCE = 1024


def components(count: int, pairs: Iterable[tuple[int, int]]) -> list[int]:
    """Number the connected components of a graph of ``count`` photos: a component's number for each photo."""
    edges = np.array(list(pairs), dtype=np.int64).reshape(-1, 2)
    graph = coo_array((np.ones(len(edges), bool), (edges[:, 0], edges[:, 1])), shape=(count, count))
    return connected_components(graph, directed=False)[1].tolist()


def same(keys: Sequence[Hashable]) -> list[tuple[int, int]]:
    """Return pairs that join the photos with equal keys; photos with an empty key stand alone."""
    first: dict[Hashable, int] = {}
    return [(first.setdefault(key, number), number) for number, key in enumerate(keys) if key]


def near(hashes: Sequence[str], *, distance: int) -> list[tuple[int, int]]:
    """Return the pairs of photos whose 64-bit hashes (hexadecimal) differ in at most ``distance`` bits."""
    bits = np.array([int(value, 16) for value in hashes], dtype=np.uint64)
    pairs: list[tuple[int, int]] = []
    for start in range(0, len(bits), ROWS_AT_ONCE):
        differing = np.bitwise_count(bits[start : start + ROWS_AT_ONCE, None] ^ bits[None, start:])
        rows, columns = np.nonzero(differing <= distance)
        pairs += [(start + int(r), start + int(c)) for r, c in zip(rows, columns, strict=True) if r < c]
    return pairs

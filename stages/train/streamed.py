"""Train photos streamed from shards, for collections larger than memory and disk."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import imagecodecs
import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from stages.limits import cores
from stages.shards import Shards
from stages.train.data import Pixels, resized

MIXED = 4
"""Photos of so many shards are mixed; while they are trained on, the next so many are fetched."""


class Streamed:
    """The photos of ``rows`` of index.csv, all of one size, brought to ``size`` pixels, read from ``shards``.

    They are numbered as ``rows`` are. ``shape`` is that of an array of all of them.
    """

    def __init__(self, rows: pd.DataFrame, shards: Shards, *, size: int) -> None:
        self.shape = (len(rows), size, size, 3)
        self._shards = shards
        self._files = rows["file"].tolist()
        names, self._shard_of = np.unique(rows["shard"].to_numpy(str), return_inverse=True)
        self._names = names.tolist()

    def __len__(self) -> int:
        return self.shape[0]

    def first(self, photos: int) -> Pixels:
        """Return so many photos from the first shards, or all: uint8 RGB (photos, size, size, 3).

        Shards are filled by digest, so they are as good as drawn by lot.
        """
        batch_size = min(photos, len(self))
        drawn = self.batches(batch_size=batch_size, seed=0, epoch=0, flip=False, shuffle=False)
        return next(drawn)[1].numpy()

    def batches(
        self, *, batch_size: int, seed: int, epoch: int, flip: bool, shuffle: bool = True, skip: int = 0
    ) -> Iterator[tuple[NDArray[np.int64], Tensor]]:
        """As :func:`stages.train.data.batches`, with photos mixed only within :data:`MIXED` shards at a time.

        Which shards these are is drawn anew each epoch. Shards of the ``skip`` batches left out are not
        read, and at most twice :data:`MIXED` are in memory (more only where a batch is larger than these).
        Where not shuffled, shard follows shard.

        Raises:
            UngrayError: a shard cannot be read.
        """
        draws = np.random.default_rng([seed, epoch])
        turns = draws.permutation(len(self._names)) if shuffle else np.arange(len(self._names))
        blocks = [turns[first : first + MIXED] for first in range(0, len(turns), MIXED)]
        order, ends = self._order(blocks, draws if shuffle else None)
        flipped = draws.random(len(self)) < 0.5 if flip else np.zeros(len(self), bool)
        fetching = ThreadPoolExecutor(MIXED, thread_name_prefix="fetch")
        decoding = ThreadPoolExecutor(cores(), thread_name_prefix="decode")
        held: dict[int, dict[int, Future[dict[str, bytes]]]] = {}  # by block and shard
        try:
            for start in range(skip * batch_size, len(order), batch_size):
                chosen = order[start : start + batch_size]
                first, last = np.searchsorted(ends, [start, start + len(chosen) - 1], side="right")
                held = {block: shards for block, shards in held.items() if block >= first}
                for block in range(first, min(max(last, first + 1) + 1, len(blocks))):
                    if block not in held:
                        held[block] = {
                            shard: fetching.submit(self._shards.read, self._names[shard])
                            for shard in blocks[block]
                        }
                at_hand = {shard: future for shards in held.values() for shard, future in shards.items()}
                contents = [
                    at_hand[self._shard_of[number]].result()[self._files[number]] for number in chosen
                ]
                batch = np.stack(list(decoding.map(self._decoded, contents)))
                del at_hand, contents
                turned = flipped[start : start + batch_size]
                batch[turned] = batch[turned, :, ::-1]
                yield chosen, torch.from_numpy(batch)
        finally:
            for pool in (fetching, decoding):
                pool.shutdown(wait=False, cancel_futures=True)

    def _order(
        self, blocks: list[NDArray[np.int64]], draws: np.random.Generator | None
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return all photos' numbers, block after block, mixed in each by ``draws``, and where blocks end."""
        by_shard = np.argsort(self._shard_of, kind="stable")
        parts = np.split(by_shard, np.cumsum(np.bincount(self._shard_of))[:-1])
        numbers = [np.concatenate([parts[shard] for shard in block]) for block in blocks]
        if draws is not None:
            numbers = [draws.permutation(block) for block in numbers]
        return np.concatenate(numbers), np.cumsum([len(block) for block in numbers])

    def _decoded(self, content: bytes) -> Pixels:
        # These bytes have their checksum, so nothing foreign is in them that photos.read_rgb would look for.
        return resized(imagecodecs.jpeg8_decode(content), size=self.shape[1])

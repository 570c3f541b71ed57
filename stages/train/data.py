"""The photos of a split, decoded into a memory-mapped array or streamed from shards, and their batches."""

from __future__ import annotations

import io
import math
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import IO, TypeVar

import cv2
import imagecodecs
import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from stages.storage import cache
from stages.storage.shards import Shards
from ungray.errors import UngrayError
from ungray.imaging import photos
from ungray.system.cgroups import cores
from ungray.system.files import whole_file
from ungray.system.progress import Bar

T = TypeVar("T")

AHEAD = 2
"""Number of batches that are ready, or being read, while the network works on another one."""

DECODED = 256
"""Number of photos that are decoded before they are written."""

Pixels = NDArray[np.uint8]
"""uint8 RGB (photos, size, size, 3), possibly larger than memory."""


def load_pixels(index: pd.DataFrame, prepared: Path, *, size: int, workers: int) -> Pixels:
    """Return the photos of ``index``, decoded once and kept in the working cache, as a memory-mapped array.

    Raises:
        UngrayError: a prepared photo is missing or damaged.
    """
    path, shape = pixels_path(index, size), (len(index), size, size, 3)
    if not _is_whole(path, shape):
        files = [prepared / file for file in index["file"]]
        # Written sequentially: on a full disk, a memory map would end in a bus error.
        with whole_file(path) as unfinished, unfinished.open("wb") as file:
            write_header(file, shape)
            for photo in decoded(files, size=size, workers=workers):
                file.write(photo.tobytes())
    return np.load(path, mmap_mode="r")


def decoded(files: Sequence[Path], *, size: int, workers: int) -> Iterator[Pixels]:
    """Yield the photos in ``files`` at (size, size, 3), decoded by ``workers`` threads, 0 for one per core.

    Raises:
        UngrayError: a photo is missing or damaged.
    """
    with (
        ThreadPoolExecutor(workers or cores(), thread_name_prefix="decode") as pool,
        Bar(total=len(files), desc="decode", unit="photo") as bar,
    ):
        for start in range(0, len(files), DECODED):
            for photo in pool.map(partial(_decode, size=size), files[start : start + DECODED]):
                bar.update()
                yield photo


def pixels_path(index: pd.DataFrame, size: int) -> Path:
    """Return the path of these photos in the cache; it depends on the code and libraries that decode them."""
    code = cache.code_fingerprint(Path(__file__), *photos.CODE)
    libraries = [version(name) for name in photos.LIBRARIES]
    key = cache.fingerprint(index[["file", "digest"]].values.tolist(), size, code, libraries)
    return cache.folder("pixels", key) / "pixels.npy"


def write_header(file: IO[bytes], shape: tuple[int, ...]) -> None:
    """Write the header of a .npy file of uint8 values of this ``shape``."""
    header = {"descr": "|u1", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, header)


def _is_whole(path: Path, shape: tuple[int, ...]) -> bool:
    """Return whether the file exists and has the length of an array of this ``shape``."""
    header = io.BytesIO()
    write_header(header, shape)
    return path.is_file() and path.stat().st_size == len(header.getvalue()) + math.prod(shape)


def batches(
    pixels: Pixels,
    *,
    batch_size: int,
    seed: int,
    epoch: int,
    flip: bool,
    shuffle: bool = True,
    skip: int = 0,
) -> Iterator[tuple[NDArray[np.int64], Tensor]]:
    """Yield the batches of one epoch, shuffled or not: photo numbers, uint8 RGB (batch, size, size, 3).

    Order and flips depend on ``seed`` and ``epoch`` alone, so the first ``skip`` batches can be left out
    without reading them, and training resumes exactly where it stopped.
    """
    draws = np.random.default_rng([seed, epoch])
    order = draws.permutation(len(pixels)) if shuffle else np.arange(len(pixels))
    flipped = draws.random(len(pixels)) < 0.5 if flip else np.zeros(len(pixels), bool)
    for start in range(skip * batch_size, len(order), batch_size):
        chosen = order[start : start + batch_size]
        batch = pixels[chosen]
        turned = flipped[start : start + batch_size]
        batch[turned] = batch[turned, :, ::-1]
        yield chosen, torch.from_numpy(batch)


def ahead(items: Iterator[T]) -> Iterator[T]:
    """Yield ``items``, none of which may be None, each computed by a thread before it is needed.

    So training does not wait for the disk. A single thread computes them in order, so they are the same as
    without it. At most :data:`AHEAD` are waiting. Errors raised by ``items`` are raised here.
    """
    with ThreadPoolExecutor(1, thread_name_prefix="ahead") as pool:
        waiting = deque(pool.submit(next, items, None) for _ in range(AHEAD))
        while (item := waiting.popleft().result()) is not None:
            waiting.append(pool.submit(next, items, None))
            yield item


def batch_count(sizes: Sequence[Pixels | Streamed], batch_size: int) -> int:
    """Return the number of batches in one epoch of :func:`mixed_batches`."""
    return sum(math.ceil(len(pixels) / batch_size) for pixels in sizes)


def mixed_batches(
    sizes: Sequence[Pixels | Streamed],
    *,
    batch_size: int,
    seed: int,
    epoch: int,
    flip: bool,
    shuffle: bool = True,
    skip: int = 0,
) -> Iterator[tuple[NDArray[np.int64], Tensor]]:
    """Yield the batches of one epoch over photos of several sizes, each batch of one size, in mixed order
    (size after size if not shuffled).

    With one size this is the same as :func:`batches`. Photos are numbered consecutively, size after size.
    """
    turns = np.repeat(np.arange(len(sizes)), [batch_count([pixels], batch_size) for pixels in sizes])
    if shuffle:
        np.random.default_rng([seed, epoch, len(sizes)]).shuffle(turns)
    first = np.cumsum([0, *map(len, sizes)])
    drawn = [
        (partial(batches, pixels) if isinstance(pixels, np.ndarray) else pixels.batches)(
            batch_size=batch_size,
            seed=seed,
            epoch=epoch,
            flip=flip,
            shuffle=shuffle,
            skip=int((turns[:skip] == number).sum()),
        )
        for number, pixels in enumerate(sizes)
    ]
    for number in turns[skip:]:
        chosen, batch = next(drawn[number])
        yield first[number] + chosen, batch


def to_rgb(batch: Tensor) -> Tensor:
    """Return uint8 RGB (batch, height, width, 3) as float RGB (batch, 3, height, width) in 0..1."""
    # Contiguous channels in memory, for the color conversions; two passes, the second one in place.
    planes = batch.permute(0, 3, 1, 2).to(torch.float32, memory_format=torch.contiguous_format)
    return planes.div_(255)


def resized(rgb: Pixels, *, size: int) -> Pixels:
    """Return uint8 RGB (height, width, 3) at (size, size, 3)."""
    shrinks = min(rgb.shape[:2]) > size
    return cv2.resize(rgb, (size, size), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC)  # type: ignore[return-value]


def _decode(path: Path, *, size: int) -> Pixels:
    try:
        return resized(photos.read_rgb(path), size=size)
    except (photos.PhotoError, OSError) as error:
        raise UngrayError(f"{path}: {error}; run `dvc repro --force prepare`") from None


MIXED = 4
"""Number of shards whose photos are mixed; meanwhile, as many of the next ones are fetched."""


class Streamed:
    """The photos of ``rows`` of index.csv, all of one size, read from ``shards``, resized to ``size`` pixels.

    A photo's number is the position of its row. ``shape`` is that of an array of all photos.
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
        """Return ``photos`` photos, or all if there are fewer, from the first shards.

        They are uint8 RGB (photos, size, size, 3). Photos are assigned to shards by digest, so the first ones
        are as good as a random sample.
        """
        batch_size = min(photos, len(self))
        drawn = self.batches(batch_size=batch_size, seed=0, epoch=0, flip=False, shuffle=False)
        return next(drawn)[1].numpy()

    def batches(
        self, *, batch_size: int, seed: int, epoch: int, flip: bool, shuffle: bool = True, skip: int = 0
    ) -> Iterator[tuple[NDArray[np.int64], Tensor]]:
        """Like :func:`stages.train.data.batches`, but photos are mixed only within :data:`MIXED` shards.

        These shards are drawn again in each epoch. Shards needed only for the ``skip`` skipped batches are
        not read, and at most twice :data:`MIXED` shards are in memory (more only if a batch is larger than
        these). If not shuffled, shards are read in order.

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
        held: dict[int, dict[int, Future[dict[str, bytes]]]] = {}  # by block, then by shard
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
        """Return all photo numbers, block after block, each shuffled by ``draws``, and the blocks' ends."""
        by_shard = np.argsort(self._shard_of, kind="stable")
        parts = np.split(by_shard, np.cumsum(np.bincount(self._shard_of))[:-1])
        numbers = [np.concatenate([parts[shard] for shard in block]) for block in blocks]
        if draws is not None:
            numbers = [draws.permutation(block) for block in numbers]
        return np.concatenate(numbers), np.cumsum([len(block) for block in numbers])

    def _decoded(self, content: bytes) -> Pixels:
        # The checksum of these bytes was verified, so they need no checks by photos.read_rgb.
        return resized(imagecodecs.jpeg8_decode(content), size=self.shape[1])

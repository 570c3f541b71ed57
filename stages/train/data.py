"""The photos of a split as one memory-mapped array, and the batches of an epoch."""

from __future__ import annotations

import io
import math
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import IO, TYPE_CHECKING, TypeVar

import cv2
import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from stages import cache, photos
from stages.cluster import map_photos
from stages.errors import UngrayError
from stages.files import whole_file

if TYPE_CHECKING:
    from stages.train.streamed import Streamed

T = TypeVar("T")

AHEAD = 2
"""Batches that are ready, or being read, while the network works on one."""

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
        # Written in a row, not through a memory map: on a full disk that would be a bus error.
        with whole_file(path) as unfinished, unfinished.open("wb") as file:
            write_header(file, shape)
            decoded = map_photos(partial(_decode, size=size), files, workers=workers, title="decode")
            for number, photo in enumerate(decoded):
                if isinstance(photo, str):
                    raise UngrayError(f"{files[number]}: {photo}; run `dvc repro --force prepare`")
                file.write(photo.tobytes())
    return np.load(path, mmap_mode="r")


def pixels_path(index: pd.DataFrame, size: int) -> Path:
    """Return where these photos are kept, as this code and these libraries decode them."""
    code = cache.code_fingerprint(Path(__file__), *photos.CODE)
    libraries = [version(name) for name in photos.LIBRARIES]
    key = cache.fingerprint(index[["file", "digest"]].values.tolist(), size, code, libraries)
    return cache.folder("pixels", key) / "pixels.npy"


def write_header(file: IO[bytes], shape: tuple[int, ...]) -> None:
    """Write what stands before the bytes of uint8 values of this ``shape`` in a file of NumPy's."""
    header = {"descr": "|u1", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, header)


def _is_whole(path: Path, shape: tuple[int, ...]) -> bool:
    """Say whether the file is there and as long as one of this ``shape`` is."""
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

    Order and flips depend on ``seed`` and ``epoch`` alone, so ``skip`` batches can be left out without
    drawing them and training goes on exactly where it stopped.
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
    """Yield ``items``, none of which is None, each made by a thread before it is asked for.

    So nobody waits for the disk. One thread makes them all, one after the other: they are the same as without
    it. At most :data:`AHEAD` are waiting. What ``items`` raises is raised here.
    """
    with ThreadPoolExecutor(1, thread_name_prefix="ahead") as pool:
        waiting = deque(pool.submit(next, items, None) for _ in range(AHEAD))
        while (item := waiting.popleft().result()) is not None:
            waiting.append(pool.submit(next, items, None))
            yield item


def batch_count(sizes: Sequence[Pixels | Streamed], batch_size: int) -> int:
    """Return the number of batches that one epoch of :func:`mixed_batches` has."""
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
    (size after size where not shuffled).

    As :func:`batches`, which this is where there is one size only; photos are numbered through all sizes.
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
    # Channel after channel in memory, for the colour conversions; one pass, then one in place.
    planes = batch.permute(0, 3, 1, 2).to(torch.float32, memory_format=torch.contiguous_format)
    return planes.div_(255)


def resized(rgb: Pixels, *, size: int) -> Pixels:
    """Return uint8 RGB (height, width, 3) at (size, size, 3)."""
    shrinks = min(rgb.shape[:2]) > size
    return cv2.resize(rgb, (size, size), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC)  # type: ignore[return-value]


def _decode(path: Path, *, size: int) -> Pixels | str:
    try:
        return resized(photos.read_rgb(path), size=size)
    except (photos.PhotoError, OSError) as error:
        return str(error)

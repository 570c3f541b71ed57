"""CIFAR-10 (Krizhevsky 2009): 60,000 photos of 32x32 pixels in ten classes, split into train and test."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from stages.scrape import datasets, pickled
from stages.scrape.manifest import Attempt, keep
from stages.scrape.params import Params
from ungray.errors import UngrayError
from ungray.system.progress import Bar

PAGE = "https://www.cs.toronto.edu/~kriz/cifar.html"


def gather(params: Params, raw: Path) -> Iterator[Attempt]:
    """Write every photo as PNG, which loses nothing; yield a row for each, its class as query.

    One batch at a time is in memory. A photo's rank is its place in its class, train before test.
    """
    from torchvision.datasets import CIFAR10  # takes seconds, and the other sources do without

    parts = {"train": CIFAR10.train_list, "test": CIFAR10.test_list}
    checksums = dict(CIFAR10.train_list + CIFAR10.test_list) | {CIFAR10.meta["filename"]: CIFAR10.meta["md5"]}
    folder = datasets.find(
        datasets.DataSet(
            source="cifar10",
            folder=CIFAR10.base_folder,
            downloads=[(CIFAR10.url, CIFAR10.tgz_md5)],
            unpack_into=".",
            checksums=checksums,
        ),
        params,
    )
    classes = _classes(folder / CIFAR10.meta["filename"], CIFAR10.meta["key"])
    ranks: Counter[str] = Counter()
    for split, batches in parts.items():
        for batch, _ in batches:
            pixels, labels = _read(folder / batch, classes=len(classes))
            bar = Bar(labels, desc=batch, unit="photo")
            for number, (rgb, label) in enumerate(zip(pixels, bar, strict=True)):
                ranks[classes[label]] += 1
                yield keep(
                    cv2.imencode(".png", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR))[1].tobytes(),
                    raw=raw,
                    source="cifar10",
                    query=classes[label],
                    rank=ranks[classes[label]],
                    url=f"{CIFAR10.base_folder}/{batch}#{number}",
                    source_page=PAGE,
                    split=split,
                )


def _classes(path: Path, key: str) -> list[str]:
    classes = pickled.read(path).get(key)
    if not isinstance(classes, list) or not all(isinstance(name, str) and name for name in classes):
        raise UngrayError(f"{path} names no classes; get it again from its makers")
    return classes


def _read(path: Path, *, classes: int) -> tuple[NDArray[np.uint8], list[int]]:
    """Return the photos of a batch, uint8 RGB (photos, 32, 32, 3), and the number of each one's class."""
    batch: dict[str, Any] = pickled.read(path)
    pixels, labels = batch.get("data"), batch.get("labels")
    if not (
        isinstance(pixels, np.ndarray)
        and isinstance(labels, list)
        and pixels.shape == (len(labels), 3072)
        and all(isinstance(label, int) and 0 <= label < classes for label in labels)
    ):
        raise UngrayError(f"{path} is no batch of CIFAR-10 (rows of 3072 bytes and their labels)")
    # Contiguous: OpenCV takes no transposed view.
    return np.ascontiguousarray(pixels.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)), labels

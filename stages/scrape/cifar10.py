"""CIFAR-10 (Krizhevsky 2009): 60,000 photos of 32x32 pixels in ten classes, split into train and test."""

from __future__ import annotations

import pickle
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from stages.scrape import datasets
from stages.scrape.manifest import Attempt, keep
from stages.scrape.params import Params
from ungray.errors import UngrayError
from ungray.system.progress import Bar

PAGE = "https://www.cs.toronto.edu/~kriz/cifar.html"


def gather(params: Params, raw: Path) -> Iterator[Attempt]:
    """Write every photo as PNG, which is lossless; yield a row for each, with its class as query.

    One batch at a time is in memory. A photo's rank is its position in its class, train before test.
    """
    from torchvision.datasets import CIFAR10  # takes seconds; other sources don't need it

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
            pixels, labels = _read_batch(folder / batch, classes=len(classes))
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
    classes = read_pickle(path).get(key)
    if not isinstance(classes, list) or not all(isinstance(name, str) and name for name in classes):
        raise UngrayError(f"{path} names no classes; download the data set again")
    return classes


def _read_batch(path: Path, *, classes: int) -> tuple[NDArray[np.uint8], list[int]]:
    """Return the photos of a batch, uint8 RGB (photos, 32, 32, 3), and the class number of each."""
    batch = read_pickle(path)
    pixels, labels = batch.get("data"), batch.get("labels")
    if not (
        isinstance(pixels, np.ndarray)
        and isinstance(labels, list)
        and pixels.shape == (len(labels), 3072)
        and all(isinstance(label, int) and 0 <= label < classes for label in labels)
    ):
        raise UngrayError(f"{path} is not a batch of CIFAR-10 (rows of 3072 bytes and their labels)")
    # Contiguous, since OpenCV does not accept transposed views.
    return np.ascontiguousarray(pixels.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)), labels


def read_pickle(path: Path) -> dict[str, Any]:
    """Return the dictionary pickled at ``path``, with arrays as uint8; no function that it names is called.

    torchvision uses plain pickle, which may run any code in the file; it is safe only for files with the
    original checksum, which an excerpt of the data set does not have.

    Raises:
        UngrayError: the file is missing, damaged, not a dictionary, or contains anything but arrays.
    """
    try:
        with path.open("rb") as file:
            content = _Unpickler(file, encoding="latin1").load()  # for Python 2's strings, as in torchvision
        return {key: value.array() if isinstance(value, _Stored) else value for key, value in content.items()}
    except FileNotFoundError:
        raise UngrayError(f"{path} is missing; scrape.dataset_folder must contain it") from None
    except Exception as error:  # damaged and hostile pickles raise anything
        raise UngrayError(
            f"{path} is damaged ({type(error).__name__}: {error}); download the data set again"
        ) from None


class _Stored:
    """Replaces NumPy's arrays and types, which would trust flags in the file."""

    def __init__(self, *_: Any) -> None:
        self.state: tuple[Any, ...] = ()

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.state = state

    def array(self) -> NDArray[np.uint8]:
        _, shape, _, fortran, content = self.state
        content = content.encode("latin1") if isinstance(content, str) else content
        return np.frombuffer(content, np.uint8).reshape(shape, order="F" if fortran else "C")


STAND_INS: dict[str, Any] = {
    **dict.fromkeys(("numpy.core.multiarray._reconstruct", "numpy._core.multiarray._reconstruct"), _Stored),
    **dict.fromkeys(("numpy.ndarray", "numpy.dtype"), _Stored),
    "_codecs.encode": lambda text, _: text.encode("latin1"),  # how Python 3 writes bytes for Python 2
}


class _Unpickler(pickle.Unpickler):
    def find_class(self, module_name: str, global_name: str) -> Any:
        name = f"{module_name}.{global_name}"
        if name not in STAND_INS:
            raise pickle.UnpicklingError(f"it would call {name}, which no data set needs")
        return STAND_INS[name]

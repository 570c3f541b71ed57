"""Oxford 102 Flowers (Nilsback and Zisserman 2008): 8,189 photos of 102 kinds, with a split."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from scipy.io import loadmat

from stages.scrape import datasets
from stages.scrape.manifest import Attempt, keep
from stages.scrape.params import Params
from ungray.errors import UngrayError
from ungray.system.progress import Bar

PAGE = "https://www.robots.ox.ac.uk/~vgg/data/flowers/102/"

CHECKSUMS = {
    "102flowers.tgz": "52808999861908f626f3c1f4e79d11fa",
    "imagelabels.mat": "e0620be6f572b9609742df49c70aed4d",
    "setid.mat": "a5357ecc9cb78c4bef273ce3793fc85c",
}
"""The MD5 of the files on :data:`PAGE`, which are also torchvision's."""

SPLITS = {"train": "trnid", "val": "valid", "test": "tstid"}
"""The names in setid.mat."""


def gather(params: Params, raw: Path) -> Iterator[Attempt]:
    """Copy the photos unchanged, in the order of their numbers; yield a row for each, its query the flower.

    A missing photo is a refused row, so an excerpt of the data set can be used as well.
    """
    from torchvision.datasets import Flowers102  # takes seconds; other sources don't need it

    folder = datasets.find(
        datasets.DataSet(
            source="flowers102",
            folder="flowers-102",
            downloads=[(PAGE + name, md5) for name, md5 in CHECKSUMS.items()],
            unpack_into="flowers-102",
            checksums={name: CHECKSUMS[name] for name in ("imagelabels.mat", "setid.mat")},
        ),
        params,
    )
    labels = _numbers(folder / "imagelabels.mat", "labels")
    splits = {
        number: split for split, name in SPLITS.items() for number in _numbers(folder / "setid.mat", name)
    }
    if not all(0 < number <= len(labels) for number in splits) or not all(
        0 < label <= len(Flowers102.classes) for label in labels
    ):
        raise UngrayError(f"{folder}: labels and split name photos or flowers that do not exist")
    ranks: Counter[str] = Counter()
    for number in Bar(sorted(splits), desc="flowers102", unit="photo"):
        flower, file = Flowers102.classes[labels[number - 1] - 1], f"jpg/image_{number:05d}.jpg"
        ranks[flower] += 1
        about: dict[str, Any] = {
            "source": "flowers102",
            "query": flower,
            "rank": ranks[flower],
            "url": f"flowers-102/{file}",
            "source_page": PAGE,
            "split": splits[number],
        }
        try:
            content = (folder / file).read_bytes()
        except FileNotFoundError:
            yield Attempt(status="refused", reason="the file is missing", **about)
            continue
        except OSError as error:
            yield Attempt(status="refused", reason=f"cannot be read: {error.strerror}", **about)
            continue
        yield keep(content, raw=raw, **about)


def _numbers(path: Path, name: str) -> list[int]:
    """Return the integers stored under ``name`` in the MATLAB file at ``path``."""
    try:
        with path.open("rb") as file:
            return loadmat(file)[name].ravel().astype(int).tolist()
    except FileNotFoundError:
        raise UngrayError(f"{path} is missing; scrape.dataset_folder must contain it") from None
    except Exception as error:  # for other files, scipy raises anything
        raise UngrayError(f"{path} is damaged ({type(error).__name__}: {error}); get it again") from None

"""The built-in sample: the free color photographs in scikit-image and scikit-learn, cut into crops.

They are enough to run every stage without network access, but too few to train or evaluate a colorizer.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from stages.scrape.manifest import Attempt, keep
from stages.scrape.params import Params
from ungray.errors import UngrayError
from ungray.imaging import photos

PHOTOGRAPHS = (
    # package, file, query, license as the package states it
    ("skimage.data", "astronaut.png", "people", "public domain (NASA)"),
    ("skimage.data", "chelsea.png", "animals", "CC0 (Stefan van der Walt)"),
    ("skimage.data", "coffee.png", "food", "CC0 (Rachel Michetti)"),
    ("skimage.data", "hubble_deep_field.jpg", "galaxy", "public domain (NASA)"),
    ("skimage.data", "motorcycle_left.png", "vehicles", "CC0 (Middlebury stereo data set)"),
    ("skimage.data", "retina.jpg", "medicine", "CC0 (Haeggstroem 2014)"),
    ("skimage.data", "ihc.png", "medicine", "no known copyright restrictions"),
    ("skimage.data", "rocket.jpg", "space", "public domain (SpaceX)"),
    ("sklearn.datasets.images", "china.jpg", "buildings", "CC BY 2.0 (danielbuechele)"),
    ("sklearn.datasets.images", "flower.jpg", "flowers", "CC BY 2.0 (vultilion)"),
)


def gather(params: Params, raw: Path) -> Iterator[Attempt]:
    """Cut every photograph into at most ``params.sample_crops`` squares; yield a row for each."""
    for package, name, query, license in PHOTOGRAPHS:
        resource = files(package) / name
        if not resource.is_file():
            raise UngrayError(f"{package} lacks {name}; reinstall it: `pip install --force-reinstall -e .`")
        photo = photos.read_rgb(resource.read_bytes())
        for rank, (top, left) in enumerate(_corners(photo, params), start=1):
            crop = photo[top : top + params.sample_crop_size, left : left + params.sample_crop_size]
            yield keep(
                _png(crop),
                raw=raw,
                source="sample",
                query=query,
                rank=rank,
                url=f"{package}/{name}#xywh={left},{top},{crop.shape[1]},{crop.shape[0]}",
                photograph=f"{package}/{name}",
                license=license,
            )


def _corners(photo: NDArray[np.uint8], params: Params) -> list[tuple[int, int]]:
    """Return the top left corners of evenly spaced squares that overlap by at most about half."""
    size = params.sample_crop_size
    height, width = photo.shape[:2]
    down, across = (max(1, 2 * side // size - 1) for side in (height, width))
    while down * across > params.sample_crops:
        down, across = (down - 1, across) if down >= across else (down, across - 1)
    tops, lefts = (
        np.linspace(0, max(0, side - size), count).astype(int)
        for side, count in ((height, down), (width, across))
    )
    return [(int(top), int(left)) for top in tops for left in lefts]


def _png(rgb: NDArray[np.uint8]) -> bytes:
    return cv2.imencode(".png", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR))[1].tobytes()

"""Example photos for the page: free photographs included in scikit-image and scikit-learn, made gray."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np

from ungray.imaging import photos
from ungray.imaging.upsampling import gray_photo

PHOTOGRAPHS = {
    "flower": ("sklearn", "datasets/images/flower.jpg"),
    "cat": ("skimage", "data/chelsea.png"),
    "temple": ("sklearn", "datasets/images/china.jpg"),
    "astronaut": ("skimage", "data/astronaut.png"),
    "coffee": ("skimage", "data/coffee.png"),
    "rocket": ("skimage", "data/rocket.jpg"),
}
"""Name, package and file in it; stages/scrape/sample.py and data/README.md list the licenses."""

LONG_SIDE = 640


def write_examples(folder: Path) -> list[Path]:
    """Write the gray photos to ``folder`` as JPEG; return their paths. Missing packages are skipped."""
    written = []
    for name, (package, file) in PHOTOGRAPHS.items():
        # Not by importing them, which takes a second, and half a second again when the server ends.
        spec = find_spec(package)
        if spec is None or not spec.submodule_search_locations:
            continue
        path = Path(spec.submodule_search_locations[0], file)
        if not path.is_file():
            continue
        rgb = photos.read_rgb(path.read_bytes())
        scale = min(1.0, LONG_SIDE / max(rgb.shape[:2]))
        small = cv2.resize(rgb, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA).astype(np.uint8)
        written.append(folder / f"{name}.jpg")
        photos.write_rgb(written[-1], gray_photo(small))
    return written

"""Photographs that lie inside scikit-learn, read without importing it, which takes seconds."""

from importlib.util import find_spec
from pathlib import Path

import numpy as np
from PIL import Image


def load_sample_image(name: str) -> np.ndarray:
    """Return ``china.jpg`` or ``flower.jpg``: uint8 RGB (427, 640, 3)."""
    package = find_spec("sklearn")
    assert package is not None
    assert package.origin is not None
    with Image.open(Path(package.origin).parent / "datasets/images" / name) as photo:
        return np.array(photo)

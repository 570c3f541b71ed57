"""Real photographs and all colors there are, for tests of color."""

import numpy as np
from skimage import data
from sklearn.datasets import load_sample_image

PHOTOS = {
    "astronaut": data.astronaut(),
    "chelsea": data.chelsea(),
    "coffee": data.coffee(),
    "china": load_sample_image("china.jpg"),
}


def every_fifth_color() -> np.ndarray:
    """Return uint8 RGB (208, 676, 3) with every fifth level of red, green and blue."""
    values = np.arange(0, 256, 5, dtype=np.uint8)
    return np.stack(np.meshgrid(values, values, values, indexing="ij"), axis=-1).reshape(52 * 4, -1, 3)

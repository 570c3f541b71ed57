"""Real photographs and all colors there are, for tests of color."""

import numpy as np
from skimage import data

from tests.sample_images import load_sample_image
from ungray.imaging import photo_files
from ungray.imaging.prediction import predict

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


def given_color(photo, predict_ab, *, working_size, multiple=16):
    """Return a photo, uint8, in the ab (height, width, 2) that a function gives for a lightness."""

    def run(lightness, hints=None):
        return np.stack([predict_ab(one).transpose(2, 0, 1) for (one,) in lightness])

    taken = photo_files.from_array(photo)
    (prediction,) = predict([taken], run, working_size=working_size, multiple=multiple)
    return prediction.render()

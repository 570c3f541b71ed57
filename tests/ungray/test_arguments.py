"""What a program may do with a colorizer: send it to another process, and be told what it got wrong."""

import pickle

import numpy as np
import pytest

from ungray import ArgumentError, Colorizer

PHOTO = np.linspace(0, 255, 64 * 48, dtype=np.uint8).reshape(64, 48)


def test_a_colorizer_is_pickled_as_its_file_and_colors_as_before(colorizer):
    again = pickle.loads(pickle.dumps(colorizer))
    assert (again.path, again.engine) == (colorizer.path.resolve(), colorizer.engine)
    assert np.array_equal(again.colorize(PHOTO), colorizer.colorize(PHOTO))


@pytest.mark.parametrize("saturation", [-1, float("nan")])
def test_a_wrong_saturation_is_an_error_of_the_callers(colorizer, saturation):
    with pytest.raises(ArgumentError, match="saturation"):
        colorizer.colorize(PHOTO, saturation=saturation)


@pytest.mark.parametrize("photo", ["photo.jpg", None, PHOTO.tolist()])
def test_what_is_no_photo_is_an_error_of_the_callers(colorizer, photo):
    with pytest.raises(ArgumentError, match="no photo"):
        colorizer.colorize(photo)


def test_an_unknown_engine_is_an_error_of_the_callers(colorizer):
    with pytest.raises(ValueError, match="there is no engine magic"):
        Colorizer.load(colorizer.path, engine="magic")

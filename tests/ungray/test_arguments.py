"""What a program may do with a colorizer: send it to another process, and be told what it got wrong."""

import pickle

import numpy as np
import pytest

from ungray import ArgumentError, Colorizer, Hint

PHOTO = np.linspace(0, 255, 64 * 48, dtype=np.uint8).reshape(64, 48)


def test_a_colorizer_is_pickled_as_its_file_and_colors_as_before(colorizer):
    again = pickle.loads(pickle.dumps(colorizer))
    assert (again.path, again.engine) == (colorizer.path.resolve(), colorizer.engine)
    assert np.array_equal(again.colorize(PHOTO), colorizer.colorize(PHOTO))


@pytest.mark.parametrize("saturation", [-1, float("nan"), "strong", None])
def test_a_wrong_saturation_is_an_error_of_the_callers(colorizer, saturation):
    with pytest.raises(ArgumentError, match="saturation"):
        colorizer.colorize(PHOTO, saturation=saturation)


@pytest.mark.parametrize("photo", ["photo.jpg", None, PHOTO.tolist(), PHOTO.astype(float), PHOTO[:0]])
def test_what_is_no_photo_is_an_error_of_the_callers(colorizer, photo):
    with pytest.raises(ArgumentError, match=r"is no(t a)? photo"):
        colorizer.colorize(photo)


@pytest.mark.parametrize(
    ("arguments", "words"), [({"model": 3}, "3 is no model"), ({"threads": -1}, "threads is -1")]
)
def test_what_names_no_model_or_no_number_of_threads_is_an_error_of_the_callers(arguments, words):
    with pytest.raises(ArgumentError, match=words):
        Colorizer.load(**arguments)


@pytest.mark.parametrize("place", [("a", 1), (float("inf"), 1), (None, 1)])
def test_a_hint_without_a_place_is_an_error_of_the_callers(place):
    with pytest.raises(ArgumentError, match="a hint's place"):
        Hint(*place, "#aa3322")


def test_an_unknown_engine_is_an_error_of_the_callers(colorizer):
    with pytest.raises(ValueError, match="unknown engine magic"):
        Colorizer.load(colorizer.path, engine="magic")

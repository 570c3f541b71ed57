"""A photo as reference: what looks alike lends its color; a model without features says so."""

import cv2
import numpy as np
import pytest
from PIL import Image
from skimage import data

from ungray import Colorizer, hints_from_reference, palette
from ungray.errors import ArgumentError, UngrayError
from ungray.imaging.color import rgb_to_lab


@pytest.fixture(scope="module")
def colorizer(hinted):
    return Colorizer.load(hinted)


@pytest.fixture(scope="module")
def photo():
    return np.asarray(Image.fromarray(data.coffee()).resize((150, 100), Image.Resampling.BOX))


def test_a_photo_lends_itself_the_colors_that_its_places_have(colorizer, photo):
    hints = hints_from_reference(colorizer, cv2.cvtColor(photo, cv2.COLOR_RGB2GRAY), photo)
    assert len(hints) > 50
    lab = rgb_to_lab(cv2.blur(photo, (13, 13)))
    errors = [np.hypot(*(hint.ab() - lab[int(hint.y), int(hint.x), 1:])) for hint in hints]
    spread = np.hypot(*(lab[..., 1:] - lab[..., 1:].mean(axis=(0, 1))).std(axis=(0, 1)))
    assert np.mean(errors) < spread / 2
    assert all(0.6 < hint.weight <= 0.9 for hint in hints)
    assert colorizer.colorize(photo, hints=hints).shape == photo.shape


def test_hints_are_few_if_few_are_wanted_and_the_same_each_time(colorizer, photo):
    hints = hints_from_reference(colorizer, photo, photo, most=5)
    assert len(hints) == 5
    assert hints == hints_from_reference(colorizer, Image.fromarray(photo), Image.fromarray(photo), most=5)


def test_both_engines_find_the_same_places(hinted, photo):
    other = np.ascontiguousarray(photo[:, ::-1])
    found = [
        {(hint.x, hint.y) for hint in hints_from_reference(Colorizer.load(hinted, engine=name), photo, other)}
        for name in ("torch", "onnxruntime")
    ]
    assert len(found[0] & found[1]) >= 0.9 * len(found[0] | found[1]) > 9


def test_a_gray_reference_lends_gray(colorizer, photo):
    gray = cv2.cvtColor(cv2.cvtColor(photo, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    assert all(np.hypot(*hint.ab()) < 2 for hint in hints_from_reference(colorizer, photo, gray))


@pytest.mark.parametrize("shape", [(1, 1), (20, 300), (300, 20)])
def test_photos_of_any_shape_are_matched(colorizer, photo, shape):
    other = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    for one, reference in ((photo, other), (other, photo)):
        hints = hints_from_reference(colorizer, one, reference)
        assert colorizer.colorize(one, hints=hints).shape == one.shape


def test_a_file_without_features_says_so_and_still_colors(featureless, hinted, photo):
    colorizer = Colorizer.load(featureless)
    with pytest.raises(UngrayError, match=r"featureless\.onnx has no features, which a reference"):
        hints_from_reference(colorizer, photo, photo)
    plain = Colorizer.load(hinted.with_suffix(".onnx")).colorize(photo)
    assert (colorizer.colorize(photo) == plain).all()


def test_what_is_no_photo_in_color_and_a_model_without_hints_are_refused(colorizer, colorful, photo):
    for reference in (photo[..., 0], photo.astype(float), "photo.jpg", photo[:0]):
        with pytest.raises(ArgumentError, match="no photo in color"):
            hints_from_reference(colorizer, photo, reference)
    with pytest.raises(ArgumentError, match="takes no hints"):
        hints_from_reference(Colorizer.load(colorful), photo, photo)


def test_a_palette_has_the_colors_of_a_photo_the_most_frequent_first():
    picture = np.zeros((60, 90, 3), np.uint8)
    picture[:, :50], picture[:, 50:80], picture[:, 80:] = (170, 51, 34), (40, 90, 160), (128, 128, 128)
    assert palette(picture)[:3] == ["#aa3322", "#285aa0", "#808080"]
    assert palette(Image.fromarray(picture), number=1) == ["#aa3322"]

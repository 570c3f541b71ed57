"""Variants are colorings to go on from, likely colors are what a picker offers."""

import numpy as np
import pytest
from PIL import Image
from skimage import data

from ungray import Colorizer, Hint, likely_colors
from ungray.errors import ArgumentError
from ungray.imaging.color import hex_color, rgb_to_lab
from ungray.variants import variants

KNOWN = [Hint(10, 20, "#aa3322")]


@pytest.fixture(scope="module")
def colorizer(hinted):
    return Colorizer.load(hinted)


@pytest.fixture(scope="module")
def photo():
    return Image.fromarray(data.chelsea()).convert("L").resize((90, 60))


def test_variants_are_different_colorings_that_start_from_what_is_known(colorizer, photo):
    found = variants(colorizer, photo, hints=KNOWN)
    assert len(found) == 4
    assert all(hints[:1] == KNOWN and len(hints) > 1 for hints in found)
    colored = [np.asarray(colorizer.colorize(photo, hints=hints)).astype(int) for hints in [KNOWN, *found]]
    for number, one in enumerate(colored):
        for other in colored[:number]:
            assert np.abs(one - other).mean() > 1
    assert variants(colorizer, photo, hints=KNOWN) == found


def test_two_variants_begin_as_four_do(colorizer, photo):
    assert variants(colorizer, photo, number=2) == variants(colorizer, photo, number=4)[:2]


@pytest.mark.parametrize("shape", [(1, 1), (3, 2), (20, 400), (700, 30)])
def test_a_photo_of_any_size_has_variants_inside_it(colorizer, shape):
    photo = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    for hints in variants(colorizer, photo, number=12):
        assert colorizer.colorize(photo, hints=hints).shape == (*shape, 3)


@pytest.mark.parametrize("number", [0, 13, 2.0, "4"])
def test_another_number_of_variants_is_refused(colorizer, photo, number):
    with pytest.raises(ArgumentError, match="must be 1 to 12 variants"):
        variants(colorizer, photo, number=number)


def test_a_model_without_hints_has_no_variants(colorful, photo):
    with pytest.raises(ArgumentError, match="takes no hints"):
        variants(Colorizer.load(colorful), photo)


def test_likely_colors_have_the_lightness_of_the_place_and_the_models_answer_comes_first(colorizer, photo):
    found = likely_colors(colorizer, photo, 45, 30)
    assert len(found) == len(set(found)) == 6
    levels = [[int(color[n : n + 2], 16) for n in (1, 3, 5)] for color in found]
    lab = rgb_to_lab(np.array([levels], np.uint8))[0]
    place = rgb_to_lab(np.asarray(photo.convert("RGB")))[28:33, 43:48, 0].mean()
    assert np.abs(lab[:, 0] - place).max() < 8
    answer = rgb_to_lab(np.asarray(colorizer.colorize(photo)))[28:33, 43:48].mean(axis=(0, 1))
    assert np.abs(lab[0, 1:] - answer[1:]).max() < 8
    assert len(likely_colors(colorizer, photo, 45, 30, number=2)) == 2


def test_what_is_known_changes_what_is_likely(colorizer, photo):
    (first, *_) = likely_colors(colorizer, photo, 45, 30, hints=[Hint(45, 30, "#2050c0")])
    assert first != likely_colors(colorizer, photo, 45, 30)[0]


def test_a_place_beside_the_photo_has_no_colors(colorizer, photo):
    for x, y in ((90, 0), (0, -1), (float("nan"), 0)):
        with pytest.raises(ArgumentError, match=r"beside the photo of 90x60 pixels|must be numbers"):
            likely_colors(colorizer, photo, x, y)


def test_a_model_without_hints_has_likely_colors(colorful, photo):
    assert len(likely_colors(Colorizer.load(colorful), photo, 0, 0)) > 2


def test_a_color_outside_srgb_loses_chroma_and_keeps_lightness_and_hue():
    inside = rgb_to_lab(np.array([[[170, 51, 34]]], np.uint8))[0, 0]
    assert hex_color(inside[0], inside[1:]) == "#aa3322"
    color = hex_color(30.0, np.array([0, 90], np.float32))
    lab = rgb_to_lab(np.array([[[int(color[n : n + 2], 16) for n in (1, 3, 5)]]], np.uint8))[0, 0]
    assert lab[0] == pytest.approx(30, abs=2.5)
    assert abs(lab[1]) < 3
    assert 20 < lab[2] < 60

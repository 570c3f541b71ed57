"""Color on arrays: Lab, chroma, gray photos."""

import numpy as np
import pytest
from skimage.color import lab2rgb, rgb2lab

from tests.ungray.colors import PHOTOS, every_fifth_color
from ungray.imaging import color
from ungray.imaging.upsampling import gray_photo


@pytest.mark.parametrize("name", PHOTOS)
def test_lab_of_a_photo_is_scikit_images(name):
    ours, theirs = color.rgb_to_lab(PHOTOS[name]), rgb2lab(PHOTOS[name])
    assert ours.dtype == np.float32
    assert ours.shape == PHOTOS[name].shape
    # OpenCV interpolates the cube root in a table: off by up to 0.19 in L, 0.43 in a, over all colors.
    assert np.abs(ours - theirs).max() < 0.5
    assert np.abs(ours[..., 0] - theirs[..., 0]).max() < 0.2
    assert np.abs((ours - theirs).mean(axis=(0, 1))).max() < 0.1


@pytest.mark.parametrize("name", PHOTOS)
def test_rgb_of_lab_is_scikit_images_to_one_level(name):
    lab = rgb2lab(PHOTOS[name]).astype(np.float32)
    theirs = np.round(255 * lab2rgb(lab)).astype(int)
    ours = color.lab_to_rgb(lab)
    assert ours.dtype == np.uint8
    assert np.abs(ours.astype(int) - theirs).max() <= 1


def test_white_black_and_red_have_their_textbook_lab():
    found = color.rgb_to_lab(np.array([[[255, 255, 255], [0, 0, 0], [255, 0, 0]]], np.uint8))[0]
    np.testing.assert_allclose(found, [[100, 0, 0], [0, 0, 0], [53.24, 80.09, 67.20]], atol=0.5)


def test_every_color_comes_back_from_lab_within_one_level():
    rgb = every_fifth_color()
    back = color.lab_to_rgb(color.rgb_to_lab(rgb))
    assert np.abs(back.astype(int) - rgb).max() <= 1


def test_lab_beyond_white_black_and_the_gamut_is_clipped_and_does_not_wrap_around():
    lab = np.array([[[150, 0, 0], [-20, 0, 0], [50, 300, 0], [50, -300, 0]]], np.float32)
    white, black, red, green = color.lab_to_rgb(lab)[0].astype(int)
    assert white.tolist() == [255, 255, 255]
    assert black.tolist() == [0, 0, 0]
    assert red[0] == 255
    assert green[0] == 0


def test_chroma_is_the_distance_from_gray():
    lab = np.array([[[50, 3, 4], [10, -6, 8], [90, 0, 0]]], np.float32)
    np.testing.assert_allclose(color.chroma(lab), [[5, 10, 0]])


@pytest.mark.parametrize("name", PHOTOS)
def test_the_gray_photo_is_neutral_and_keeps_the_lightness(name):
    gray = gray_photo(PHOTOS[name])
    assert gray.dtype == np.uint8
    assert gray.shape == PHOTOS[name].shape
    assert np.ptp(gray, axis=-1).max() == 0
    # Two neighboring 8-bit grays are at most 0.51 apart in L, so half of that is what rounding costs.
    assert np.abs(rgb2lab(gray)[..., 0] - rgb2lab(PHOTOS[name])[..., 0]).max() < 0.27


def test_the_gray_photo_of_every_gray_is_that_gray():
    grays = np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 3, axis=-1)
    np.testing.assert_array_equal(gray_photo(grays), grays)

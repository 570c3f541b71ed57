"""Compiled loops over pixels: beside the same in double precision, and at the ends of their ranges."""

import subprocess
import sys

import numpy as np
import pytest
from skimage.color import lab2rgb, rgb2lab

from tests.ungray.colors import PHOTOS, every_fifth_color
from ungray.errors import UngrayError
from ungray.imaging import kernels, upsampling

EVERY_GRAY = np.arange(65536, dtype=np.uint16)
GRAYS = np.dstack([EVERY_GRAY / 65535] * 3)


def _gray(rgb):
    gray = np.empty(rgb.size // 3, np.uint16)
    kernels.gray_of_rgb(rgb.reshape(-1), gray)
    return gray.astype(int)


def test_every_gray_of_8_and_16_bits_stays_itself():
    eight = np.arange(256, dtype=np.uint8)
    np.testing.assert_array_equal(_gray(np.repeat(eight, 3)), 257 * eight.astype(int))
    np.testing.assert_array_equal(_gray(np.repeat(EVERY_GRAY, 3)), EVERY_GRAY)


def test_the_gray_of_a_color_has_its_lightness():
    rgb = every_fifth_color()
    lightness = rgb2lab(rgb)[..., 0].reshape(-1)
    of_gray = rgb2lab(GRAYS)[0, :, 0][_gray(rgb)]
    np.testing.assert_allclose(of_gray, lightness, atol=0.005)


def test_a_fourth_channel_says_nothing():
    rgb = np.ascontiguousarray(every_fifth_color().reshape(-1, 3))
    padded = np.column_stack([rgb, np.arange(len(rgb)).astype(np.uint8)])
    gray = np.empty(len(rgb), np.uint16)
    kernels.gray_of_rgb(padded.reshape(-1), gray)
    np.testing.assert_array_equal(gray, _gray(rgb))


def test_the_lightness_of_every_gray_is_that_of_cie_lab():
    lightness = np.empty(65536, np.float32)
    kernels.lightness_of_gray(EVERY_GRAY.astype(np.float32), lightness)
    np.testing.assert_allclose(lightness, rgb2lab(GRAYS)[0, :, 0], atol=0.002)


def test_levels_beyond_their_ends_are_cut():
    lightness = np.empty(2, np.float32)
    kernels.lightness_of_gray(np.float32([-900, 70000]), lightness)  # as cubic interpolation has them
    np.testing.assert_allclose(lightness, [0, 100], atol=0.002)


@pytest.mark.parametrize(("rows", "fewer"), [(7, 7), (7, 3), (100, 64), (64, 16), (5, 1)])
def test_shrunk_rows_are_means_by_area(rows, fewer):
    gray = np.random.default_rng(0).integers(0, 65536, (rows, 5), dtype=np.uint16)
    shrunk = np.empty((fewer, 5), np.float32)
    kernels.shrink_rows(gray, shrunk)
    means = np.repeat(gray.astype(float), fewer, axis=0).reshape(fewer, rows, 5).mean(axis=1)
    np.testing.assert_allclose(shrunk, means, rtol=1e-5)


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("width", [1, 511, 512, 513])
def test_gray_painted_with_no_color_is_that_gray(bits, width):
    gray = np.resize(EVERY_GRAY[::7], (130, width))
    rgb = upsampling.apply_color(gray, np.zeros((3, 4, 4), np.float32), bits=bits).astype(int)
    assert (np.ptp(rgb, axis=-1) == 0).all()
    assert np.abs(rgb[..., 0] - gray / (257 if bits == 8 else 1)).max() <= (0.51 if bits == 8 else 1)


@pytest.mark.filterwarnings("ignore:Conversion from CIE-LAB")
def test_the_gamut_ends_where_a_little_more_chroma_is_beyond_srgb():
    levels = np.linspace(0.1, 0.9, 9, dtype=np.float32)
    reach = kernels.gamut(levels)
    assert reach.shape == (9, kernels.HUES + 1)
    np.testing.assert_array_equal(reach[:, 0], reach[:, -1])
    hue = np.arange(kernels.HUES + 1) * 4 / kernels.HUES
    across = np.where(hue < 2, 1 - hue, hue - 3)
    along = np.where(hue < 2, 1 - np.abs(across), np.abs(across) - 1)
    lightness = np.empty(9, np.float32)
    kernels.lightness_of_gray(65535 * levels, lightness)

    def comes_back(share):
        a, b = 500 * share * reach * across, -200 * share * reach * along
        lab = np.dstack([np.repeat(lightness[:, None], len(hue), axis=1), a, b])
        return np.abs(rgb2lab(lab2rgb(lab)) - lab).max(axis=-1) < 0.5

    assert comes_back(0.98).all()
    assert comes_back(1.1).mean() < 0.01


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_colors_that_are_no_numbers_are_refused(bad):
    fits = np.zeros((3, 4, 4), np.float32)
    fits[1, 2, 3] = bad
    with pytest.raises(UngrayError, match="no numbers"):
        upsampling.apply_color(np.zeros((10, 10), np.uint16), fits)


@pytest.mark.parametrize("saturation", [1e3, 1e10, 1e300])
def test_any_saturation_keeps_the_lightness(saturation):
    gray = upsampling.gray_levels(PHOTOS["coffee"])
    fits = np.random.default_rng(0).normal(0, 10, (12, 18, 4)).astype(np.float32)
    shown = _gray(upsampling.apply_color(gray, fits, saturation=saturation, bits=16))
    assert np.abs(shown.reshape(gray.shape) - gray.astype(int)).max() <= 257


def test_where_nothing_can_be_kept_a_warning_says_so_and_the_loop_works():
    with pytest.warns(UserWarning, match="compiles them again.*NUMBA_CACHE_DIR"):
        doubled = kernels.compiled(eval("lambda value: 2 * value"))  # of no file
    assert doubled(21) == 42


def test_a_process_that_starts_anew_has_what_was_compiled():
    code = """
import numpy as np
from ungray.imaging import kernels
kernels.lightness_of_gray(np.zeros(1, np.float32), np.zeros(1, np.float32))
print(sum(kernels.lightness_of_gray.stats.cache_hits.values()))
"""
    for _ in range(2):
        ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout == "1\n"

"""Worn prints, as a network sees them: black again, without their grain; clean photos stay."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from skimage import data

from ungray.colorizer import Colorizer
from ungray.engines import Engine
from ungray.hints import Hint
from ungray.imaging import restoration
from ungray.imaging.photo_files import from_array
from ungray.imaging.upsampling import small_copy

GRAY = cv2.cvtColor(cv2.resize(data.coffee(), (256, 192), interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2GRAY)


def copy_of(gray):
    return small_copy(from_array(gray).gray, short_side=128, multiple=32)


CLEAN = copy_of(GRAY)
DRAWS = np.random.default_rng(0)
GRAIN = DRAWS.normal(0, 2, CLEAN.shape).astype(np.float32)


def faded(lightness, black=30):
    return (black + lightness * (100 - black) / 100).astype(np.float32)


def test_a_clean_photo_is_left_alone():
    assert restoration.restored(CLEAN) is CLEAN


def test_small_photos_are_left_alone_since_their_texture_looks_like_grain():
    tiny = (CLEAN + GRAIN)[:63]
    assert restoration.restored(tiny) is tiny


def test_faded_blacks_become_black_and_whites_stay():
    found = restoration.restored(faded(CLEAN))
    black, white = np.percentile(found, (0.5, 99.5))
    assert black == pytest.approx(restoration.BLACK, abs=0.5)
    assert white == pytest.approx(np.percentile(faded(CLEAN), 99.5), abs=0.5)
    order = np.argsort(CLEAN, axis=None)
    assert (np.diff(found.reshape(-1)[order]) > -1).all()  # to the step of 8 bits


def test_fog_does_not_become_night():
    fog = (80 + CLEAN / 10).astype(np.float32)
    found = restoration.restored(fog)
    assert np.ptp(found) <= restoration.MOST_CONTRAST * np.ptp(fog) * 1.01
    assert found.min() > 50


def test_one_tone_has_no_contrast_to_raise():
    flat = np.full((128, 128), 40, np.float32)
    assert np.array_equal(restoration.restored(flat), flat)


@pytest.mark.parametrize("deviation", [0.5, 2.0, 4.0])
def test_noise_is_measured_where_the_photo_is_smooth(deviation):
    height, width = CLEAN.shape
    photo = np.tile(np.linspace(20, 80, width, dtype=np.float32), (height, 1))
    photo[: height // 2] += 30 * (np.indices((height // 2, width)).sum(axis=0) % 2)  # texture, in one half
    noisy = photo + DRAWS.normal(0, deviation, photo.shape).astype(np.float32)
    assert restoration.noise(photo) == pytest.approx(0, abs=0.01)
    assert restoration.noise(noisy) == pytest.approx(deviation, rel=0.25)


def test_grain_is_taken_out():
    found = restoration.restored(CLEAN + GRAIN)
    assert np.std(found - CLEAN) < 0.75 * np.std(GRAIN)
    smooth = np.tile(np.linspace(2, 98, 128, dtype=np.float32), (128, 1))
    assert np.std(restoration.restored(smooth + GRAIN[:128, :128]) - smooth) < 0.5 * np.std(GRAIN)


@pytest.fixture
def spied():
    """A model that takes hints, and the small copies that its network has seen."""
    seen = []

    def run(lightness, hints=None, /):
        seen.extend(copy[0] for copy in lightness)
        return np.repeat(np.zeros_like(lightness), 2, axis=1)

    def extract(lightness):
        seen.extend(copy[0] for copy in lightness)
        return np.zeros((1, 4, 8, 8), np.float32)

    engine = Engine(
        "stand-in", Path("model.onnx"), run, 32, {"working_size": 128, "hints": True}, {}, extract=extract
    )
    return Colorizer(engine), seen


WORN = np.clip(90 + GRAY * 0.5 + DRAWS.normal(0, 12, GRAY.shape), 0, 255).astype(np.uint8)
HINT = Hint(20, 20, "#aa3322")
WAYS = {
    "colorize": lambda colorizer: colorizer.colorize(WORN),
    "hints": lambda colorizer: colorizer.colorize(WORN, hints=[HINT]),
    "films": lambda colorizer: list(colorizer.colorize_frames([WORN, WORN])),
    "films with hints": lambda colorizer: list(colorizer.colorize_frames([WORN], hints={0: [HINT]})),
    "bare answers": lambda colorizer: colorizer.network_output(
        copy_of(WORN), np.zeros((2, 3, *CLEAN.shape), np.float32)
    ),
    "features": lambda colorizer: colorizer.features(copy_of(WORN)),
}


@pytest.mark.parametrize("way", WAYS)
def test_every_way_to_colors_shows_the_network_a_restored_photo(way, spied):
    colorizer, seen = spied
    WAYS[way](colorizer)
    expected = restoration.restored(copy_of(WORN))
    assert seen
    assert all(np.array_equal(copy, expected) for copy in seen)
    assert np.abs(expected - copy_of(WORN)).max() > 10


def test_the_colored_photo_keeps_its_own_lightness_grain_and_all(spied):
    colorizer, _ = spied
    assert np.array_equal(colorizer.colorize(WORN), np.dstack([WORN] * 3))

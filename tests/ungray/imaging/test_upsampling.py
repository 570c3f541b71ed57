"""Predicted color on gray photos: lightness, the gamut, full resolution."""

import cv2
import numpy as np
import pytest
from skimage import data
from skimage.color import lab2rgb, rgb2lab

from tests.sample_images import load_sample_image
from tests.ungray.colors import PHOTOS, every_fifth_color, given_color
from ungray.imaging import color, upsampling


def _hue(lab: np.ndarray) -> np.ndarray:
    return np.degrees(np.arctan2(lab[..., 2], lab[..., 1]))


def _gray_level(lightness: np.ndarray) -> np.ndarray:
    """Gray in 0..255, not rounded, of a lightness: CIE 15 and sRGB, written out once more."""
    y = np.where(lightness > 8, ((lightness + 16) / 116.0) ** 3, lightness / 903.3)
    return 255 * np.where(y > 0.0031308, 1.055 * y ** (1 / 2.4) - 0.055, 12.92 * y)


def _wild_lab(chroma: float) -> np.ndarray:
    """Every lightness, every hue, one chroma: (97, 360, 3)."""
    lightness, hue = np.meshgrid(np.arange(2.0, 99.0), np.radians(np.arange(360)), indexing="ij")
    return np.stack([lightness, chroma * np.cos(hue), chroma * np.sin(hue)], axis=-1).astype(np.float32)


def _painted(lab: np.ndarray, *, bits: int = 8) -> np.ndarray:
    """Lab as a network's answer on a photo of the very size of its small copy."""
    gray = np.uint16(257 * _gray_level(lab[..., 0]) + 0.5)
    return upsampling.apply_color(
        gray, np.dstack([0 * lab[..., 1:], lab[..., 1:]]).astype(np.float32), bits=bits
    )


def test_colors_a_screen_can_show_are_left_alone():
    for rgb in (every_fifth_color(), *PHOTOS.values()):
        found = _painted(rgb2lab(rgb)).astype(int)
        assert np.abs(found - rgb).max() <= 2
        assert (np.abs(found - rgb) > 1).mean() < 0.001


@pytest.mark.parametrize("chroma", [60, 90, 127])
def test_colors_no_screen_can_show_keep_their_lightness_to_one_gray_level(chroma):
    lab = _wild_lab(chroma)
    shown = rgb2lab(_painted(lab))
    assert np.abs(_gray_level(shown[..., 0]) - _gray_level(lab[..., 0])).max() <= 1


@pytest.mark.parametrize("chroma", [60, 90, 127])
def test_colors_no_screen_can_show_keep_their_hue_to_a_few_degrees(chroma):
    lab = _wild_lab(chroma)
    shown = rgb2lab(_painted(lab))
    colorful = color.chroma(shown) > 20  # below, one 8-bit level is several degrees
    assert colorful.mean() > 0.3
    turned = np.abs((_hue(shown) - _hue(lab) + 180) % 360 - 180)[colorful]
    worst = lab[colorful][turned.argmax()]
    assert turned.max() < 4, f"Lab {worst} turned by {turned.max():.0f} degrees"


@pytest.mark.filterwarnings("ignore:Conversion from CIE-LAB")
@pytest.mark.parametrize("chroma", [60, 127])
def test_colors_no_screen_can_show_lose_only_the_chroma_they_must(chroma):
    lab = _wild_lab(chroma)
    reduced = rgb2lab(_painted(lab, bits=16) / 65535).astype(np.float32)
    np.testing.assert_allclose(reduced[..., 0], lab[..., 0], atol=0.02)
    kept = color.chroma(reduced) / chroma
    assert kept.max() <= 1.001
    # Where chroma was taken, 5 % more of the original would no longer fit: on the way to RGB it is clipped.
    taken = kept < 0.9
    assert taken.mean() > 0.1
    more = (reduced + np.float32([0, 0.05, 0.05]) * lab)[taken][None]
    back = rgb2lab(lab2rgb(more))
    assert (np.abs(back - more).max(axis=-1) > 0.5).mean() > 0.95


def _odd_photo() -> np.ndarray:
    """A real photograph of 427x641."""
    return cv2.copyMakeBorder(load_sample_image("flower.jpg"), 0, 0, 0, 1, cv2.BORDER_REFLECT)


@pytest.mark.parametrize(
    "photo", [_odd_photo(), PHOTOS["china"], data.rocket()], ids=["flower", "china", "rocket"]
)
def test_a_colored_photo_keeps_its_lightness_at_full_resolution_however_wild_the_colors(photo):
    def rainbow(small):
        angle = np.linspace(0, 20, small.size).reshape(small.shape)
        return 110 * np.dstack([np.cos(angle), np.sin(angle)]).astype(np.float32)

    found = given_color(photo, rainbow, working_size=64)
    assert found.shape == photo.shape
    assert found.dtype == np.uint8
    assert color.chroma(color.rgb_to_lab(found)).mean() > 20
    off = np.abs(_gray_level(rgb2lab(found)[..., 0]) - _gray_level(rgb2lab(photo)[..., 0]))
    assert off.max() <= 1


def test_a_photo_gets_its_own_colors_back_softened_when_they_are_predicted():
    photo = _odd_photo()
    lab = color.rgb_to_lab(photo)

    def truth(small):
        return cv2.resize(lab, small.shape[::-1], interpolation=cv2.INTER_AREA)[..., 1:]

    found = given_color(photo, truth, working_size=128)
    gray = upsampling.gray_photo(photo)
    assert np.abs(found.astype(int) - photo).mean() < 0.3 * np.abs(gray.astype(int) - photo).mean()


@pytest.mark.parametrize("multiple", [1, 4, 16, 32])
def test_the_network_is_asked_once_on_sides_it_can_take(multiple):
    asked = []

    def predict_ab(small):
        asked.append(small)
        return np.zeros((*small.shape, 2), np.float32)

    given_color(_odd_photo(), predict_ab, working_size=128, multiple=multiple)
    (small,) = asked
    assert small.dtype == np.float32
    assert small.shape[0] % multiple == small.shape[1] % multiple == 0
    assert min(small.shape) == 128
    assert small.shape[1] / small.shape[0] == pytest.approx(641 / 427, abs=multiple / 128)
    assert small.min() >= -1
    assert small.max() <= 101


@pytest.mark.parametrize(
    ("width", "height", "expected"),
    [
        (640, 480, (176, 128)),  # landscape: 170.7 is nearest to 176
        (480, 640, (128, 176)),  # portrait
        (300, 300, (128, 128)),
        (64, 48, (80, 64)),  # smaller than the network's photos: not brought up,
        (30, 60, (64, 128)),  # but to half of its size at least
        (4000, 400, (512, 128)),  # panorama: at most four times the short side
        (1, 1000, (64, 256)),
        (1, 1, (64, 64)),
    ],
)
def test_the_small_copy_has_the_networks_short_side_and_the_photos_shape(width, height, expected):
    assert upsampling.small_size(width, height, short_side=128, multiple=16) == expected


def test_the_small_copy_never_has_a_side_of_no_pixels():
    assert upsampling.small_size(10, 10, short_side=4, multiple=16) == (16, 16)


@pytest.mark.parametrize(("height", "width"), [(1, 1), (2, 3), (1, 50), (5, 400), (400, 5), (37, 41)])
def test_tiny_photos_and_strips_are_colored(height, width):
    photo = data.astronaut()[100 : 100 + height, 50 : 50 + width]

    def reddish(small):
        assert small.shape[0] % 16 == small.shape[1] % 16 == 0
        return np.broadcast_to(np.float32([30, 10]), (*small.shape, 2))

    found = given_color(photo, reddish, working_size=64)
    assert found.shape == (height, width, 3)
    assert (found[..., 0] >= found[..., 1]).all()
    off = np.abs(_gray_level(rgb2lab(found)[..., 0]) - _gray_level(rgb2lab(photo)[..., 0]))
    assert off.max() <= 1


def test_the_strips_a_photo_is_painted_in_leave_no_seams(monkeypatch):
    gray = upsampling.gray_levels(PHOTOS["china"])
    fits = np.random.default_rng(0).normal(0, 10, (24, 36, 4)).astype(np.float32)
    at_once = upsampling.apply_color(gray, fits, bits=16)
    monkeypatch.setattr(upsampling, "STRIP", 5 * gray.shape[1])
    assert np.abs(upsampling.apply_color(gray, fits, bits=16).astype(int) - at_once).max() <= 1
    assert (upsampling.gray_levels(PHOTOS["china"]) == gray).all()

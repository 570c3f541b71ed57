"""Mounts and frames stay gray; what only reaches the edge of a photo does not."""

import cv2
import numpy as np
import pytest
from skimage import data

from tests.sample_images import load_sample_image
from tests.ungray.colors import PHOTOS, given_color
from ungray.imaging import borders, color, upsampling

PHOTO = cv2.resize(load_sample_image("flower.jpg"), (480, 320), interpolation=cv2.INTER_AREA)
TONES = {"white": 250, "cream": 229, "gray": 128, "black": 12}
WEAR = {
    "clean": {},
    "grain": {"grain": 3},
    "light falls off": {"falls_off": 0.08},
    "JPEG": {"jpeg": 60},
    "all of it": {"grain": 2, "falls_off": 0.05, "jpeg": 85},
}


def mounted(photo, tone, sides, *, grain=0, falls_off=0.0, jpeg=0, aslant=0.0):
    """A gray photo, uint8, with a border of so many pixels at top, bottom, left, right; and where it is."""
    gray = cv2.copyMakeBorder(
        cv2.cvtColor(photo, cv2.COLOR_RGB2GRAY), *sides, cv2.BORDER_CONSTANT, value=tone
    ).astype(np.float32)
    border = cv2.copyMakeBorder(np.zeros(photo.shape[:2]), *sides, cv2.BORDER_CONSTANT, value=1)
    height, width = gray.shape
    if aslant:
        turn = cv2.getRotationMatrix2D((width / 2, height / 2), aslant, 1)
        gray = cv2.warpAffine(gray, turn, (width, height), borderMode=cv2.BORDER_REPLICATE)
        border = cv2.warpAffine(border, turn, (width, height), borderMode=cv2.BORDER_REPLICATE)
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    gray *= 1 - falls_off * (x * x + y * y) / 2
    gray += np.random.default_rng(0).normal(0, grain, gray.shape) if grain else 0
    gray = gray.clip(0, 255).astype(np.uint8)
    if jpeg:
        content = cv2.imencode(".jpg", gray, [cv2.IMWRITE_JPEG_QUALITY, jpeg])[1]
        gray = cv2.imdecode(content, cv2.IMREAD_GRAYSCALE)
    return gray, border > 0.999


def painted(gray, *, bits=8):
    """The chroma of each pixel where the network says blue everywhere, as it does to much paper."""
    fits = np.broadcast_to(np.float32([0, 0, 5, -30]), (32, 48, 4))
    rgb = upsampling.apply_color(upsampling.gray_levels(gray), np.ascontiguousarray(fits), bits=bits)
    rgb = rgb if bits == 8 else np.round(rgb / 257).astype(np.uint8)
    return color.chroma(color.rgb_to_lab(rgb))


def stays_gray(gray, border):
    chroma = painted(gray)
    border = cv2.erode(border.astype(np.uint8), np.ones((3, 3)), borderValue=1) > 0  # its edge is blended
    inside = ~(cv2.dilate(border.astype(np.uint8), np.ones((9, 9))) > 0) & (gray > 30)  # black has no color
    return chroma[border].max() < 1 and np.mean(chroma[inside] > 1) > 0.98


@pytest.mark.parametrize("wear", WEAR)
@pytest.mark.parametrize("tone", TONES)
@pytest.mark.parametrize("sides", [(6, 5, 5, 7), (30, 48, 28, 33), (100, 110, 95, 90)], ids=str)
def test_a_border_stays_gray_and_the_photo_in_it_does_not(tone, wear, sides):
    assert stays_gray(*mounted(PHOTO, TONES[tone], sides, **WEAR[wear]))


@pytest.mark.parametrize("name", PHOTOS)
@pytest.mark.parametrize("sides", [(20, 20, 0, 0), (0, 0, 31, 33), (25, 60, 40, 40)], ids=str)
def test_bars_and_mounts_that_are_deeper_here_than_there(name, sides):
    assert stays_gray(*mounted(PHOTOS[name], 20, sides))


def test_a_scan_that_lies_crooked():
    assert stays_gray(*mounted(PHOTO, 240, (40, 45, 42, 40), aslant=0.8, grain=1, jpeg=90))


def test_a_print_with_a_white_edge_on_a_dark_mount_under_a_scanners_lid():
    gray, _ = mounted(PHOTO, 245, (12, 12, 12, 12))
    for tone, side in ((60, 40), (225, 25)):
        gray = cv2.copyMakeBorder(gray, *[side] * 4, cv2.BORDER_CONSTANT, value=tone)
    border = np.ones(gray.shape, bool)
    border[77:-77, 77:-77] = False
    chroma = painted(gray)
    for first, last in ((0, 24), (27, 63), (67, 76)):  # without the blended pixels between them
        assert chroma[first:last, 100:-100].max() < 1
        assert chroma[100:-100, -last : -first or None].max() < 1
    assert np.mean(chroma[~border] > 1) > 0.95


def test_a_caption_and_dust_on_the_mount_and_a_white_sky_that_runs_into_it():
    photo = PHOTO.copy()
    photo[:90, 60:420] = 250
    gray, border = mounted(photo, 250, (40, 60, 40, 40))
    cv2.putText(gray, "Ungray 1936", (150, 405), cv2.FONT_HERSHEY_SIMPLEX, 0.7, 40, 1)
    for at in np.random.default_rng(0).integers(0, 38, (40, 2)):
        gray[tuple(at)] = 90
    assert painted(gray)[border].max() < 1


def _gray_sky(height, width, difference):
    """A photo, uint8, whose sky differs so much from level 150; hills and a field below it are rough."""
    y, x = np.arange(height)[:, None], np.arange(width)
    hills = 0.55 * height + 12 * np.sin(x / 40)
    field = 110 + 30 * np.sin(x / 5) * np.cos(y / 4)
    gray = np.where(y < hills, 150 - difference + 3 * y / height, field)
    return np.dstack([gray.clip(0, 255).astype(np.uint8)] * 3)


@pytest.mark.parametrize("difference", [-4, 4, 8])
def test_a_gray_sky_that_runs_into_a_gray_mount(difference):
    sides = (60, 35, 45, 50)
    gray, border = mounted(_gray_sky(320, 480, difference), 150, sides, grain=1.5, jpeg=90)
    chroma = painted(gray)
    assert chroma[border].mean() < 1
    photo = chroma[sides[0] : -sides[1], sides[2] : -sides[3]]
    assert np.mean(photo > 1) > 0.98


def test_fog_that_is_a_little_darker_than_the_mount():
    fog = cv2.GaussianBlur(np.random.default_rng(1).normal(0, 1, (320, 480)), (0, 0), 20)
    fog = np.dstack([(145 + 2.5 * fog / np.abs(fog).max()).astype(np.uint8)] * 3)
    gray, border = mounted(fog, 150, (40, 60, 35, 45), grain=1.5, falls_off=0.02)
    chroma = painted(gray)
    assert chroma[border].mean() < 1
    assert np.mean(chroma[42:-62, 37:-47] > 1) > 0.98


def test_the_border_is_where_it_is_in_a_large_scan_and_in_16_bits():
    large = cv2.resize(PHOTO, None, fx=6, fy=6, interpolation=cv2.INTER_CUBIC)
    gray, _ = mounted(large, 235, (151, 203, 98, 120), grain=2)
    found = borders.find(upsampling.gray_levels(gray))
    edges = [found.top, found.bottom, found.left, found.right]
    assert [round(edge.offset) for edge in edges] == pytest.approx([151, 203, 98, 120], abs=1)
    assert painted(gray[::4, ::4], bits=16)[:30].max() < 1
    rgb = upsampling.apply_color(upsampling.gray_levels(gray), np.full((32, 48, 4), 9, np.float32), bits=16)
    assert (rgb[:150] == upsampling.gray_levels(gray)[:150, :, None]).all()


def _moon():
    y, x = np.mgrid[-1:1:300j, -1:1:300j]
    return np.where(np.hypot(x, y) < 0.6, 160 + 60 * np.sin(9 * x) * np.cos(7 * y), 6)


def _object_on_white():
    y, x = np.mgrid[-1:1:300j, -1:1:400j]
    return np.where((x / 0.7) ** 2 + (y / 0.8) ** 2 < 1, 90 + 60 * x, 250)


def _sea_under_an_empty_sky():
    rows = np.where(np.arange(300) < 120, 230 - np.arange(300) / 6, 90)[:, None]
    sea = np.random.default_rng(0).normal(0, 12, (300, 400)) * (np.arange(300) >= 120)[:, None]
    return rows + sea


def _snow_and_a_white_sky():
    ridge = 130 + 25 * np.sin(np.arange(400) / 30) + 12 * np.sin(np.arange(400) / 7)
    slope = 200 + 15 * np.sin(np.arange(400) / 40)
    y = np.arange(300)[:, None]
    return np.where((y > ridge) & (y < slope), 110.0, 246.0)


def _studio():
    y, x = np.mgrid[-1:1:300j, -1:1:300j]
    return 200 - 70 * (x * x + y * y)


def _clouds():
    noise = np.random.default_rng(2).normal(0, 1, (300, 400))
    soft = cv2.GaussianBlur(noise, (0, 0), 12)
    return 150 + 3 * soft / soft.std() + noise


SCENES = {
    "gray clouds": _clouds(),
    "moon": _moon(),
    "object on white": _object_on_white(),
    "sea under an empty sky": _sea_under_an_empty_sky(),
    "snow and a white sky": _snow_and_a_white_sky(),
    "studio": _studio(),
    "nothing at all": np.full((200, 300), 240.0),
    "a caption strip below": np.vstack([cv2.cvtColor(PHOTO, cv2.COLOR_RGB2GRAY), np.full((40, 480), 250.0)]),
}


@pytest.mark.parametrize("scene", SCENES)
def test_what_reaches_the_edge_is_no_border(scene):
    assert borders.find(upsampling.gray_levels(SCENES[scene].clip(0, 255).astype(np.uint8))) is None


@pytest.mark.parametrize("photo", [*PHOTOS.values(), PHOTO, data.rocket()], ids=[*PHOTOS, "flower", "rocket"])
def test_a_photo_has_none(photo):
    assert borders.find(upsampling.gray_levels(photo)) is None


@pytest.mark.parametrize("shape", [(1, 1), (1, 50), (20, 3), (15, 400), (16, 16), (40, 17)], ids=str)
@pytest.mark.parametrize("tone", [0, 255])
def test_tiny_photos_and_strips(shape, tone):
    assert borders.find(np.full(shape, tone * 257, np.uint16)) is None


def test_a_border_that_a_person_has_told_a_color_gets_one():
    gray = upsampling.gray_levels(mounted(PHOTO, 240, (30, 30, 30, 30))[0])
    fits = np.ascontiguousarray(np.broadcast_to(np.float32([0, 0, 5, -30]), (32, 48, 4)))
    for known, colored in (((10.5, 200.0), True), ((530.0, 370.0), True), ((200.0, 200.0), False)):
        corner = upsampling.apply_color(gray, fits, known=[known])[:20, :20]
        assert bool(np.ptp(corner, axis=-1).max() > 5) == colored


def test_every_coloring_passes_there():
    gray, border = mounted(PHOTO, 240, (30, 30, 30, 30))

    def blue(small):
        return np.broadcast_to(np.float32([5, -30]), (*small.shape, 2))

    found = given_color(gray, blue, working_size=64)
    assert color.chroma(color.rgb_to_lab(found))[border].max() < 1

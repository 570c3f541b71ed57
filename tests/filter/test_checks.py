"""Each check, on real photos altered by known means: what it must reject, and what it must leave alone."""

import io
import re
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image
from skimage import data

from stages.filter.checks import CHECKS, Objection, objection
from stages.filter.measures import Measures, measure
from stages.filter.params import Params
from stages.params import load_all
from tests.sample_images import load_sample_image

PARAMS = load_all(Path(__file__).parents[2] / "params.yaml")["filter"]
PHOTOS = {
    "astronaut": data.astronaut(),
    "chelsea": data.chelsea(),
    "coffee": data.coffee(),
    "rocket": data.rocket(),
    "hubble": data.hubble_deep_field(),
    "china": load_sample_image("china.jpg"),
    "flower": load_sample_image("flower.jpg"),
}
SEPIA = np.array([[0.393, 0.769, 0.189], [0.349, 0.686, 0.168], [0.272, 0.534, 0.131]])
"""The usual sepia of photo editors, applied to RGB."""


@pytest.fixture
def judge(tmp_path):
    """A function that says which check rejects a photo as it comes from a file, empty if none does."""

    def judged(photo: np.ndarray, *, quality: int | None = None, params: Params = PARAMS) -> str:
        found = objection(measured(photo, quality=quality), params)
        return found.check if found else ""

    def measured(photo: np.ndarray, *, quality: int | None = None) -> Measures:
        stream = io.BytesIO()
        image = Image.fromarray(np.ascontiguousarray(photo).clip(0, 255).astype(np.uint8))
        image.save(stream, "JPEG", quality=quality) if quality else image.save(stream, "PNG")
        (tmp_path / "photo").write_bytes(stream.getvalue())
        return measure(tmp_path / "photo")

    judged.measured = measured
    return judged


def toned(photo: np.ndarray, dark: tuple, light: tuple) -> np.ndarray:
    """A print in one tone: gray mapped to a line of colors."""
    gray = (photo @ [0.299, 0.587, 0.114])[..., None] / 255
    return np.array(dark) * (1 - gray) + np.array(light) * gray


def exposed(photo: np.ndarray, stops: float) -> np.ndarray:
    """The photo with more or less light, as a camera would have clipped it."""
    return np.clip((photo / 255) ** 2.2 * 2.0**stops, 0, 1) ** (1 / 2.2) * 255


def framed(photo: np.ndarray, color: int | tuple, **sides: int) -> np.ndarray:
    """The photo with bars of ``color`` at its sides: top, bottom, left, right in pixels."""
    widths = [sides.get(side, 0) for side in ("top", "bottom", "left", "right")]
    value = (color,) * 3 if isinstance(color, int) else color
    return cv2.copyMakeBorder(photo, *widths, cv2.BORDER_CONSTANT, value=value)


def moon(radius: int) -> np.ndarray:
    """A small yellow moon, with the moon's own craters, in the middle of a black sky."""
    disc = cv2.resize(data.moon(), (2 * radius, 2 * radius), interpolation=cv2.INTER_AREA)
    rows, columns = np.ogrid[-radius:radius, -radius:radius]
    disc = np.where(rows**2 + columns**2 < radius**2, disc, 0)
    sky = np.zeros((512, 512, 3))
    sky[256 - radius : 256 + radius, 256 - radius : 256 + radius] = disc[..., None] * [1.2, 1.1, 0.7]
    return sky


def fog(photo: np.ndarray) -> np.ndarray:
    """The photo in fog that grows from the bottom to the top, as it does with distance."""
    thickness = np.linspace(0.95, 0.5, len(photo))[:, None, None]
    return photo * (1 - thickness) + np.array([190, 200, 215]) * thickness


@pytest.mark.parametrize("name", PHOTOS)
@pytest.mark.parametrize("quality", [None, 75])
def test_a_good_photo_passes_every_check(name, quality, judge):
    assert judge(PHOTOS[name], quality=quality) == ""


@pytest.mark.parametrize("quality", [None, 90, 60])
@pytest.mark.parametrize("name", ["chelsea", "coffee", "flower", "rocket"])
def test_a_sepia_print_is_rejected_for_its_one_tone(name, quality, judge):
    assert judge(PHOTOS[name] @ SEPIA.T, quality=quality) == "tint"


@pytest.mark.parametrize("name", ["chelsea", "flower", "rocket"])
def test_a_brown_and_cream_print_is_rejected_too(name, judge):
    assert judge(toned(PHOTOS[name], (40, 26, 13), (250, 236, 205)), quality=85) == "tint"


@pytest.mark.parametrize("name", ["chelsea", "coffee", "astronaut"])
def test_a_cyanotype_is_rejected_where_all_hues_are_asked_for(name, judge):
    photo = toned(PHOTOS[name], (10, 30, 80), (235, 245, 250))
    assert judge(photo, quality=85) == ""
    assert judge(photo, quality=85, params=PARAMS.model_copy(update={"tint_hues": (0, 360)})) == "tint"


def test_a_colored_thing_in_a_gray_photo_saves_it(judge):
    gray = np.dstack([data.camera()] * 3)
    assert judge(gray, quality=85) == "gray"
    gray[300:380, 60:140] = (190, 40, 30)
    assert judge.measured(gray, quality=85).chroma_p95 < PARAMS.min_chroma_p95
    assert judge(gray, quality=85) == ""
    assert judge(gray, quality=85, params=PARAMS.model_copy(update={"max_gray_spread": 100.0})) == "gray"


def test_one_colored_thing_in_a_sepia_print_saves_it(judge):
    photo = PHOTOS["chelsea"] @ SEPIA.T
    photo[100:160, 200:260] = (30, 90, 200)
    assert judge(photo, quality=90) == ""


def test_a_fire_is_of_one_hue_and_kept(judge):
    glow = np.linspace(0, 1, 300)[:, None] * np.abs(np.sin(np.linspace(0, 20, 400)))
    assert judge(np.dstack([255 * glow**0.5, 255 * glow**1.5, 80 * glow**4])) == ""


@pytest.mark.parametrize("stops", [-9, -11])
def test_a_photo_in_which_nothing_is_lit_is_rejected_as_exposure(stops, judge):
    assert judge(exposed(PHOTOS["chelsea"], stops)) in ("exposure", "gray")
    under = PARAMS.model_copy(update={"min_chroma_p95": 0.0, "min_tint_spread": 0.0})
    assert judge(exposed(PHOTOS["chelsea"], stops), params=under) == "exposure"


@pytest.mark.parametrize("name", ["chelsea", "coffee", "china"])
def test_a_photo_that_is_blown_out_is_rejected_as_exposure(name, judge):
    flooded = 250 + 0.4 * PHOTOS[name]  # stray light fills the shadows too
    assert judge(flooded, params=PARAMS.model_copy(update={"min_chroma_p95": 0.0})) == "exposure"


@pytest.mark.parametrize("stops", [-3, -1, 1, 2])
@pytest.mark.parametrize("name", ["astronaut", "chelsea", "coffee", "china"])
def test_a_photo_some_stops_off_is_kept(name, stops, judge):
    assert judge(exposed(PHOTOS[name], stops)) == ""


@pytest.mark.parametrize("radius", [32, 60, 120, 240])
def test_a_moon_on_black_is_kept_whatever_its_size(radius, judge):
    colors_aside = PARAMS.model_copy(update={"min_chroma_p95": 0.0, "min_tint_spread": 0.0})
    assert judge(moon(radius), params=colors_aside) == ""
    assert judge(moon(radius), quality=85, params=colors_aside) == ""


def test_stars_on_black_are_kept(judge):
    assert judge(exposed(PHOTOS["hubble"], -1), quality=95) == ""


@pytest.mark.parametrize("name", ["astronaut", "chelsea", "coffee", "china", "flower", "rocket"])
@pytest.mark.parametrize("quality", [None, 85])
def test_a_photo_blurred_beyond_use_is_rejected(name, quality, judge):
    photo = cv2.resize(PHOTOS[name], (600, 400))
    assert judge(cv2.GaussianBlur(photo, (0, 0), 8), quality=quality) == "blur"


def test_a_thumbnail_blown_up_is_rejected(judge):
    small = cv2.resize(PHOTOS["astronaut"], (32, 32), interpolation=cv2.INTER_AREA)
    assert judge(cv2.resize(small, (512, 512), interpolation=cv2.INTER_CUBIC)) == "blur"


@pytest.mark.parametrize("name", ["china", "coffee", "rocket", "flower"])
def test_a_photo_in_fog_is_kept(name, judge):
    weak = PARAMS.model_copy(update={"min_chroma_p95": 0.0, "min_tint_spread": 0.0})
    assert judge(fog(PHOTOS[name]), quality=85, params=weak) == ""


@pytest.mark.parametrize("name", ["astronaut", "coffee", "china"])
def test_a_photo_sharp_in_one_place_only_is_kept(name, judge):
    photo = PHOTOS[name].copy()
    blurred = cv2.GaussianBlur(photo, (0, 0), 8)
    blurred[100:300, 100:300] = photo[100:300, 100:300]
    assert judge(blurred) == ""


@pytest.mark.parametrize("name", ["astronaut", "china"])
def test_sharpness_means_the_same_for_every_size(name, judge):
    photo = cv2.resize(PHOTOS[name], (1024, 1024), interpolation=cv2.INTER_AREA)
    half = cv2.resize(photo, (512, 512), interpolation=cv2.INTER_AREA)
    assert judge.measured(photo).sharpness == pytest.approx(judge.measured(half).sharpness, rel=0.1)


@pytest.mark.parametrize(
    "sides",
    [
        {"top": 60, "bottom": 60},
        {"left": 80, "right": 80},
        {"bottom": 40},
        {"top": 12},
        {"left": 20},
        {"top": 15, "bottom": 15, "left": 15, "right": 15},
    ],
)
@pytest.mark.parametrize("color", [0, 255, 128, (20, 90, 160)])
def test_bars_are_rejected_at_every_side_and_in_every_color(sides, color, judge):
    assert judge(framed(PHOTOS["coffee"], color, **sides), quality=85) == "strip"


def captioned(photo: np.ndarray, text: str) -> np.ndarray:
    """The photo with a black strip below, as picture agencies add it."""
    photo = framed(photo, 0, bottom=44)
    return cv2.putText(photo, text, (12, len(photo) - 14), cv2.FONT_HERSHEY_SIMPLEX, 0.8, (255,) * 3, 2)


@pytest.mark.parametrize("name", ["chelsea", "coffee"])
def test_a_strip_with_a_caption_is_rejected(name, judge):
    assert judge(captioned(PHOTOS[name], "agency   ID 2AB3CD"), quality=85) == "strip"


def test_writing_in_the_photo_itself_is_no_strip(judge):
    photo = cv2.putText(
        PHOTOS["coffee"].copy(), "good morning", (20, 380), cv2.FONT_HERSHEY_SIMPLEX, 1.5, (255,) * 3, 3
    )
    assert judge(photo) == ""


@pytest.mark.parametrize("ground", [0, 255])
def test_a_thing_on_a_plain_ground_has_no_strip(ground, judge):
    rows, columns = np.ogrid[-256:256, -256:256]
    inside = (rows**2 + columns**2 < 200**2)[..., None]
    assert judge(np.where(inside, PHOTOS["astronaut"], ground), quality=90) == ""


def test_a_horizon_under_a_clear_sky_is_no_strip(judge):
    photo = PHOTOS["coffee"].copy()
    sky = np.linspace(0, 60, 100)[:, None, None] + np.array([110, 160, 230]) - 30
    photo[:100] = np.broadcast_to(sky, (100, 600, 3))
    assert judge(photo, quality=85) == ""


@pytest.mark.parametrize(
    ("key", "neutral", "photo", "check"),
    [
        ("min_chroma_p95", 0.0, np.dstack([data.camera()] * 3), "gray"),
        ("min_tint_spread", 0.0, PHOTOS["chelsea"] @ SEPIA.T, "tint"),
        ("min_lightness_p99", 0.0, exposed(PHOTOS["rocket"], -7), "exposure"),
        ("max_white", 1.0, 250 + 0.4 * PHOTOS["coffee"], "exposure"),
        ("min_sharpness", 0.0, cv2.GaussianBlur(PHOTOS["coffee"], (0, 0), 9), "blur"),
        ("max_strip", 1.0, framed(PHOTOS["coffee"], 0, top=40), "strip"),
        ("max_aspect", 1000.0, PHOTOS["coffee"][100:230], "aspect"),
        ("min_short_side", 16, PHOTOS["coffee"][100:200, 100:200], "size"),
    ],
)
def test_every_check_can_be_switched_off_by_the_value_that_params_yaml_names(
    key, neutral, photo, check, judge
):
    others = {"min_chroma_p95": 0.0, "min_tint_spread": 0.0, "min_lightness_p99": 0.0, "max_white": 1.0}
    alone = PARAMS.model_copy(update=others | {key: getattr(PARAMS, key)})
    assert judge(photo, params=alone) == check
    assert judge(photo, params=alone.model_copy(update={key: neutral})) == ""


def test_every_check_named_by_an_objection_is_in_the_list():
    source = (Path(__file__).parents[2] / "stages/filter/checks.py").read_text()
    named = set(re.findall(r'Objection\("(\w+)"', source))
    assert named <= set(CHECKS)
    assert set(CHECKS) == named | {"exact_duplicate", "near_duplicate"}


@pytest.mark.parametrize("size", [(1, 1), (1, 400), (400, 1), (2, 2), (5, 3), (17, 17), (3000, 20)])
@pytest.mark.parametrize("color", [0, 128, 255])
def test_photos_of_any_size_and_of_one_color_are_measured(size, color, judge):
    measured = judge.measured(np.full((*size, 3), color, np.uint8))
    assert (measured.height, measured.width) == size
    assert measured.chroma_p95 < 1
    assert isinstance(objection(measured, PARAMS), Objection)

"""Which photos are taken for copies of one another, or for cut from one another, and which are not."""

import io

import cv2
import numpy as np
import pytest
from PIL import Image
from skimage import data

from stages.prepare.geometry import rotate
from tests.sample_images import load_sample_image
from ungray.imaging import duplicates

NAMES = ("astronaut", "chelsea", "coffee", "rocket", "china", "flower", "hubble", "retina")


def _photos() -> list[np.ndarray]:
    china, flower = load_sample_image("china.jpg"), load_sample_image("flower.jpg")
    shipped = [data.astronaut(), data.chelsea(), data.coffee(), data.rocket(), china, flower]
    return [*shipped, data.hubble_deep_field(), data.retina()]


PHOTOS = _photos()


def _framed(photo: np.ndarray) -> np.ndarray:
    wide = photo.shape[1] // 12
    return cv2.copyMakeBorder(photo, wide, wide, wide, wide, cv2.BORDER_CONSTANT, value=(255, 255, 255))


def _cut(photo: np.ndarray, top: float, left: float, bottom: float, right: float) -> np.ndarray:
    """Return ``photo`` without these shares of its height and width."""
    height, width = photo.shape[:2]
    return photo[
        round(top * height) : height - round(bottom * height),
        round(left * width) : width - round(right * width),
    ]


COPIES = {
    "small": lambda photo: cv2.resize(photo, None, fx=0.4, fy=0.4, interpolation=cv2.INTER_AREA),
    "bright": lambda photo: (photo * 1.2).clip(0, 255).astype(np.uint8),
    "warm": lambda photo: (photo * (1.1, 1, 0.8)).clip(0, 255).astype(np.uint8),
    "middle, 10 %": lambda photo: _cut(photo, 0.05, 0.05, 0.05, 0.05),
    "corner, 10 %": lambda photo: _cut(photo, 0, 0.1, 0.1, 0),
    "middle, 20 %": lambda photo: _cut(photo, 0.1, 0.1, 0.1, 0.1),
    "corner, 20 %": lambda photo: _cut(photo, 0.2, 0, 0, 0.2),
    "rotated by 5 degrees": lambda photo: rotate(photo, degrees=5, border="inner"),
    "mirrored": lambda photo: photo[:, ::-1],
    "mirrored and cut": lambda photo: _cut(photo[:, ::-1], 0.05, 0.05, 0.05, 0.05),
    "upside down": lambda photo: photo[::-1],
    "turned by 90 degrees": lambda photo: np.rot90(photo),
    "turned by 180 degrees": lambda photo: np.rot90(photo, 2),
    "turned and mirrored": lambda photo: np.rot90(photo)[::-1],
    "framed": _framed,
    "framed and mirrored": lambda photo: _framed(photo[:, ::-1]),
}

MISSED = {("middle, 20 %", "rocket")}
"""Where almost no corner is left in the copy: tests/benchmarks/likeness.py says how often."""


def _saved(photo: np.ndarray) -> np.ndarray:
    stream = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(photo)).save(stream, "JPEG", quality=80)
    return np.asarray(Image.open(stream))


@pytest.fixture(scope="module")
def looks() -> list[duplicates.Signature]:
    return [duplicates.signature(photo) for photo in PHOTOS]


def test_different_photos_are_no_copies(looks):
    assert duplicates.copies(looks, distance=8) == []
    assert duplicates.near([one.phash for one in looks], distance=8) == []


@pytest.mark.parametrize("kind", COPIES)
def test_a_copy_is_linked_to_its_photo_and_to_no_other(looks, kind):
    copies = [duplicates.signature(_saved(COPIES[kind](photo))) for photo in PHOTOS]
    count = len(looks)
    expected = [(number, count + number) for number in range(count)]
    found = duplicates.copies(looks + copies, distance=8)
    assert not set(found) - set(expected)
    assert {(kind, NAMES[number]) for number, _ in set(expected) - set(found)} <= MISSED
    assert duplicates.copies(looks + copies, distance=8, first=count) == found


SKETCHED = sorted(set(COPIES) - {"mirrored and cut", "middle, 20 %", "corner, 20 %", "framed and mirrored"})


@pytest.mark.parametrize("kind", SKETCHED)
def test_a_copy_is_known_by_what_is_left_of_its_photo(looks, kind):
    known = duplicates.Sketched(
        [one.phash for one in looks], [duplicates.sketch(one.corners) for one in looks]
    )
    copies = [duplicates.signature(_saved(COPIES[kind](photo))) for photo in PHOTOS]
    found = [known.like(copy) for copy in copies]
    assert {NAMES[at] for at, number in enumerate(found) if number != at} <= {"rocket"}


def test_a_photo_is_like_nothing_that_is_left_of_others(looks):
    for number, look in enumerate(looks):
        others = [one for one in looks if one is not look]
        sketches = [duplicates.sketch(one.corners) for one in others]
        assert duplicates.Sketched([one.phash for one in others], sketches).like(look) is None, NAMES[number]
    assert duplicates.Sketched([], []).like(looks[0]) is None
    assert duplicates.Sketched([""], [duplicates.sketch(looks[0].corners)[:0]]).like(looks[0]) is None


def test_only_pairs_across_the_first_and_the_others_are_asked_for(looks):
    twice = [looks[0], looks[1], looks[0], looks[1], looks[0]]
    assert duplicates.copies(twice, distance=8) == [(0, 2), (0, 4), (1, 3), (2, 4)]
    assert duplicates.copies(twice, distance=8, first=2) == [(0, 2), (0, 4), (1, 3)]


def test_photos_counted_in_several_rounds_are_linked_all_the_same(looks, monkeypatch):
    copies = [duplicates.signature(_saved(COPIES["corner, 20 %"](photo))) for photo in PHOTOS]
    at_once = duplicates.copies(looks + copies, distance=8)
    monkeypatch.setattr(duplicates, "PHOTOS_AT_ONCE", 3)
    monkeypatch.setattr(duplicates, "ROWS_AT_ONCE", 3)
    assert duplicates.copies(looks + copies, distance=8) == at_once


def test_a_watermark_alone_makes_no_copies():
    marked = []
    for photo in PHOTOS:
        photo = cv2.resize(photo, (512, 512), interpolation=cv2.INTER_AREA)
        cv2.putText(photo, "UNGRAY 0123", (20, 480), cv2.FONT_HERSHEY_DUPLEX, 1.2, (255, 255, 255), 2)
        marked.append(duplicates.signature(photo))
    assert duplicates.copies(marked, distance=8) == []


@pytest.mark.parametrize("size", [(1, 1), (8, 300), (40, 40), (64, 64), (64, 4000), (700, 65)])
@pytest.mark.parametrize("flat", [True, False])
def test_photos_of_any_size_with_something_to_see_or_nothing_are_known_by_something(size, flat):
    noise = np.random.default_rng(1).integers(0, 256, (*size, 3)).astype(np.uint8)
    photo = np.full((*size, 3), 128, np.uint8) if flat else noise
    look = duplicates.signature(photo)
    assert len(look.phash) == 16
    assert look.corners.dtype == duplicates.CORNER
    assert flat or min(size) < duplicates.LEAST_SIDE or max(size) > 1000 or len(look.corners)
    assert duplicates.copies([look, look], distance=0) == [(0, 1)]


def test_a_photo_without_hash_or_corners_is_like_no_other(looks):
    unknown = duplicates.Signature("", np.empty(0, duplicates.CORNER))
    assert duplicates.copies([unknown, looks[0], unknown, looks[0]], distance=8) == [(1, 3)]
    assert duplicates.near(["", looks[0].phash, "", looks[0].phash], distance=8) == [(1, 3)]
    assert duplicates.copies([], distance=8) == duplicates.near([], distance=8) == []
    assert duplicates.distances("", [looks[0].phash]) == duplicates.distances(looks[0].phash, [""]) == [64]


@pytest.mark.parametrize("kind", ["mirrored", "upside down", "turned by 90 degrees", "turned and mirrored"])
def test_the_hash_of_a_turned_photo_is_known_from_the_photos_own(looks, kind):
    for photo, look in zip(PHOTOS, looks, strict=True):
        other = duplicates.phash(np.ascontiguousarray(COPIES[kind](photo)))
        assert duplicates.distances(look.phash, [look.phash, other])[0] == 0
        assert (
            duplicates.distances(look.phash, [look.phash, other])[1] <= 16
        )  # bits of a turned photo count twice
        assert duplicates.near([look.phash, other], distance=8) == []

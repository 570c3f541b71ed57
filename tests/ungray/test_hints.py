"""Hints from Python: places and colors, alike in both engines, and clear words where they can't be."""

import dataclasses

import numpy as np
import pytest

from stages.export.to_onnx import check_onnx
from ungray import networks
from ungray.colorizer import Colorizer
from ungray.errors import ArgumentError
from ungray.hints import Hint, drawn
from ungray.imaging import spreading
from ungray.imaging.color import rgb_to_lab
from ungray.imaging.prediction import Memory
from ungray.imaging.spreading import corrected


@pytest.fixture(scope="module")
def model(hinted):
    """The path of a model that takes hints, .safetensors, the .onnx beside it; its hints do something."""
    lightness = 100 * np.random.default_rng(0).random((64, 96), np.float32)
    saved = networks.load_model(hinted)
    assert check_onnx(hinted.with_suffix(".onnx"), saved, [lightness], tolerance=0.25) < 0.25
    return hinted


@pytest.fixture(scope="module")
def photo():
    return np.random.default_rng(1).integers(0, 256, (80, 100), dtype=np.uint8)


def test_a_color_is_its_a_and_b():
    red = rgb_to_lab(np.array([[[170, 51, 34]]], np.uint8))[0, 0, 1:]
    assert Hint(3, 4, "#aa3322").ab() == pytest.approx(red)
    assert Hint(3, 4, "#808080").ab() == pytest.approx([0, 0], abs=0.01)


def test_hints_are_patches_at_their_places_on_the_small_copy():
    hints = [Hint(99, 0, "#aa3322"), Hint(50, 40, "#2233aa", weight=0.5)]
    channels = drawn(hints, photo=(80, 100), small=(64, 96))
    assert channels.shape == (3, 64, 96)
    assert channels[2].sum() == 4 + 9 * 0.5, "the first is in a corner"
    assert channels[:2, 0, 95] == pytest.approx(hints[0].ab())
    assert channels[:2, 32, 48] == pytest.approx(hints[1].ab())
    assert channels[2, 32, 48] == 0.5


@pytest.mark.parametrize("engine", ["torch", "onnxruntime"])
def test_hints_change_the_photo_and_each_photo_has_its_own(model, photo, engine):
    colorizer = Colorizer.load(model, engine=engine)
    assert colorizer.takes_hints
    red = [Hint(50, 40, "#ff0000")]
    plain, hinted = colorizer.colorize(photo), colorizer.colorize(photo, hints=red)
    assert (plain != hinted).any()
    several = colorizer.colorize_batch([photo, photo], hints=[(), red])
    for one, other in zip(several, (plain, hinted), strict=True):
        assert np.abs(one.astype(int) - other).max() <= 1
    strong = colorizer.predict(photo, hints=red).render(saturation=1.0)
    assert (strong == hinted).all()


@pytest.mark.parametrize("engine", ["torch", "onnxruntime"])
def test_each_further_set_of_hints_runs_the_network_once_and_gives_the_same_colors(model, photo, engine):
    colorizer = Colorizer.load(model, engine=engine)
    network, runs = colorizer._engine.run, []

    def counted(lightness, hints=None):
        runs.append(len(lightness))
        return network(lightness, hints)

    asked = Colorizer(dataclasses.replace(colorizer._engine, run=counted))
    memory = Memory()
    weak = [Hint(8, 8, "#2233aa", weight=0.5)]
    red, green = Hint(50, 40, "#ff0000"), Hint(70, 60, "#22aa33")
    for hints, needed in (
        ([], 1), ([red], 1), ([red, green], 1), ([], 0), (weak, 1), ([*weak, red], 1), ([*weak, green], 1)
    ):  # fmt: skip
        runs.clear()
        found = asked.predict(photo, hints=hints, memory=memory).render()
        assert runs == [1] * needed, hints
        assert np.array_equal(found, colorizer.colorize(photo, hints=hints)), hints
    other = np.rot90(photo, 2).copy()
    assert np.array_equal(
        asked.predict(other, hints=[red], memory=memory).render(), colorizer.colorize(other, hints=[red])
    ), "the memory of another photo is of no use, and does no harm"


def test_both_engines_take_hints_alike(model, photo):
    red = [Hint(50, 40, "#ff0000", weight=0.7), Hint(2, 3, "#00ff00")]
    one, other = (
        Colorizer.load(model, engine=engine).colorize(photo, hints=red).astype(int)
        for engine in ("torch", "onnxruntime")
    )
    assert np.abs(one - other).max() <= 2


def test_a_model_without_hints_says_so_in_one_sentence(colorizer, photo):
    assert not colorizer.takes_hints
    with pytest.raises(ArgumentError, match=r"takes no hints; .*train\.hints\.share"):
        colorizer.colorize(photo, hints=[Hint(1, 1, "#ff0000")])
    assert colorizer.colorize(photo, hints=[]).shape == (80, 100, 3)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"x": float("nan")}, "both must be numbers of pixels"),
        ({"color": "red"}, "must be sRGB such as #aa3322"),
        ({"color": 7}, "must be sRGB such as #aa3322"),
        ({"weight": 0.0}, "must be over 0 and at most 1"),
        ({"weight": 1.5}, "must be over 0 and at most 1"),
    ],
)
def test_a_hint_that_is_none_is_refused(arguments, says):
    with pytest.raises(ArgumentError, match=says):
        Hint(**{"x": 1, "y": 1, "color": "#ff0000"} | arguments)


def test_a_hint_beside_the_photo_and_hints_for_other_photos_are_refused(model, photo):
    colorizer = Colorizer.load(model)
    with pytest.raises(ArgumentError, match="lies at 100, 3, beside the photo of 100x80 pixels"):
        colorizer.colorize(photo, hints=[Hint(100, 3, "#ff0000")])
    with pytest.raises(ArgumentError, match="is no hint; give Hint"):
        colorizer.colorize(photo, hints=[(10, 3, "#ff0000")])
    with pytest.raises(ArgumentError, match="hints for 1 photos, and 2 photos"):
        colorizer.colorize_batch([photo, photo], hints=[()])


def test_a_hint_is_met_at_its_place_and_followed_more_where_the_photo_is_alike(model):
    gray = np.full((128, 160), 90, np.uint8)
    gray[:, 80:] = 200
    colorizer = Colorizer.load(model)
    red = Hint(30, 60, "#8a4a4a")
    lab = rgb_to_lab(colorizer.colorize(gray, hints=[red]))[..., 1:]
    plain = rgb_to_lab(colorizer.colorize(gray))[..., 1:]
    assert np.abs(lab[60, 30] - red.ab()).max() < 3
    change = np.hypot(*(lab - plain).T).T
    assert change[60, 30] > 15
    assert change[60, 30] > change[60, 50] > change[60, 70], "the nearer the more"
    assert change[60, 70] > 2 * change[60, 90], "beyond an edge"


def test_what_is_hardly_trusted_leaves_the_networks_answer():
    lightness = np.full((32, 48), 50, np.float32)
    ab = np.zeros((32, 48, 2), np.float32)
    hints = np.zeros((3, 32, 48), np.float32)
    assert np.abs(corrected(lightness, ab, hints)).max() == 0
    hints[:, 10:13, 10:13] = np.array([60, 40, 1])[:, None, None]
    assert np.abs(corrected(lightness, ab, hints)[11, 11] - [60, 40]).max() < 1
    hints[2] *= 0.2
    assert np.abs(corrected(lightness, ab, hints)).max() < 2


def test_a_large_correction_reaches_less_far_than_a_small_one():
    lightness = np.full((64, 64), 50, np.float32)
    ab = np.zeros((64, 64, 2), np.float32)
    shares = []
    for size in (4, 60):
        hints = np.zeros((3, 64, 64), np.float32)
        hints[:, 31:34, 31:34] = np.array([size, 0, 1])[:, None, None]
        found = corrected(lightness, ab, hints)[..., 0] / size
        assert found[32, 32] == pytest.approx(1, abs=0.02)
        assert found[32, 33] > found[32, 40] > found[32, 63] > 0
        shares.append(found[32, 2])
    assert shares[0] > 1.5 * shares[1]


def test_each_patch_is_one_point_and_many_points_are_thinned(monkeypatch):
    rng = np.random.default_rng(0)
    lightness = rng.uniform(20, 80, (24, 40)).astype(np.float32)
    ab = rng.normal(0, 10, (24, 40, 2)).astype(np.float32)
    hints = np.zeros((3, 24, 40), np.float32)
    hints[:, :2, :2] = np.array([20, 0, 1])[:, None, None]  # a patch in a corner
    hints[:, 9:12, 9:12] = np.array([20, -30, 1])[:, None, None]
    hints[:, 9:12, 12] = np.array([5, 5, 1])[:, None]  # of another, which the one before overlaps
    assert sorted(spreading._points(hints)[0]) == [0, 9 * 40 + 12, 10 * 40 + 10, 10 * 40 + 12, 11 * 40 + 12]
    hints[:2] = rng.normal(0, 10, (2, 24, 40))
    hints[2] = 1
    found = corrected(lightness, ab, hints)
    assert np.abs(found - hints[:2].transpose(1, 2, 0)).mean() < 10, "960 pixels, of which 240 count"
    assert len(spreading._points(hints)[0]) <= spreading.MOST
    monkeypatch.setattr(spreading, "MOST", 5000)
    exact = corrected(lightness, ab, hints)
    assert np.abs(exact - hints[:2].transpose(1, 2, 0)).max() < 2


def test_hints_that_are_not_certain_are_told_from_the_others():
    hints = np.zeros((3, 8, 8), np.float32)
    hints[:, 1, 1] = 20, 30, 1
    hints[:, 5, 5] = 20, 30, 0.6
    seen = spreading.doubtful(hints)
    assert not seen[:, 1, 1].any()
    assert (seen[:, 5, 5] == hints[:, 5, 5]).all()

"""Hints from Python: places and colors, alike in both engines, and clear words where they can't be."""

import numpy as np
import pytest
import torch

from stages.export.to_onnx import check_onnx, write_onnx
from ungray import networks
from ungray.colorizer import Colorizer
from ungray.errors import ArgumentError
from ungray.hints import Hint, drawn
from ungray.imaging.color import rgb_to_lab
from ungray.imaging.spreading import corrected

CONFIGURATION = {
    "architecture": "lite_unet", "working_size": 64, "decoder": [16, 16, 8, 8], "hints": True,
}  # fmt: skip


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """The path of a model that takes hints, .safetensors, the .onnx beside it; its hints do something."""
    torch.manual_seed(0)
    network = networks.build(CONFIGURATION)
    for layer in (network.encoder.stem_hints, *network.merge_hints):
        torch.nn.init.normal_(layer.weight, std=0.5)
    with torch.no_grad():
        network.head.weight *= 0.1
    path = tmp_path_factory.mktemp("hinted") / "model.safetensors"
    networks.save_model(path, networks.Model(network.eval(), {}))
    saved = networks.load_model(path)
    write_onnx(path.with_suffix(".onnx"), saved, opset=18)
    lightness = 100 * np.random.default_rng(0).random((64, 96), np.float32)
    assert check_onnx(path.with_suffix(".onnx"), saved, [lightness], tolerance=0.25) < 0.25
    return path


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


def test_a_hint_is_met_at_its_place_and_followed_as_far_as_lightness_is_even(model):
    gray = np.full((128, 160), 90, np.uint8)
    gray[:, 80:] = 200
    colorizer = Colorizer.load(model)
    red = Hint(30, 60, "#8a4a4a")
    lab = rgb_to_lab(colorizer.colorize(gray, hints=[red]))
    plain = rgb_to_lab(colorizer.colorize(gray))
    assert np.abs(lab[60, 30, 1:] - red.ab()).max() < 3
    assert np.abs(lab[100, 60, 1:] - red.ab()).max() < 15, "the same even surface"
    assert np.abs(lab[60, 30, 1:] - plain[60, 30, 1:]).max() > 15
    assert np.abs(lab[60, 120, 1:] - red.ab()).max() > 15, "beyond an edge"


def test_what_is_hardly_trusted_leaves_the_networks_answer():
    lightness = np.full((32, 48), 50, np.float32)
    ab = np.zeros((32, 48, 2), np.float32)
    hints = np.zeros((3, 32, 48), np.float32)
    assert np.abs(corrected(lightness, ab, hints)).max() == 0
    hints[:, 10:13, 10:13] = np.array([60, 40, 1])[:, None, None]
    assert np.abs(corrected(lightness, ab, hints)[11, 11] - [60, 40]).max() < 1
    hints[2] *= 0.2
    assert np.abs(corrected(lightness, ab, hints)).max() < 2

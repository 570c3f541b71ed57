"""Hints in training: what is drawn, that it can be drawn again, and that a network learns from it."""

import numpy as np
import pytest
import torch
from skimage import data

from stages.train.hints import Hints, dense, points
from stages.train.params import HintsParams
from ungray.imaging.color import rgb_to_lab

SHARE = {"share": 1.0, "points": 8.0, "patch": 5, "dense": 0.0}


def photos():
    """Four crops of two photos, uint8 (4, 48, 48, 3)."""
    crops = [scene[y : y + 48, 100:148] for scene in (data.astronaut(), data.coffee()) for y in (0, 150)]
    return torch.from_numpy(np.stack(crops))


def drawn(epoch=3, numbers=(5, 6, 7, 8), **changes):
    hints = Hints(HintsParams(**SHARE | changes), seed=1)
    chosen = [number - 5 for number in numbers]
    return hints.batch(photos()[chosen], numbers=np.array(numbers), epoch=epoch)


def test_points_are_the_mean_color_of_small_patches():
    ab = np.random.default_rng(0).normal(0, 20, (2, 40, 60)).astype(np.float32)
    hints = np.zeros((3, 40, 60), np.float32)
    points(hints, ab, count=1, largest=1, draws=np.random.default_rng(4))
    ((row, column),) = np.argwhere(hints[2])
    assert hints[2, row, column] == 1
    assert hints[:2, row, column] == pytest.approx(ab[:, row, column], abs=5)
    hints[:] = 0
    points(hints, ab, count=300, largest=9, draws=np.random.default_rng(4))
    assert (hints[2] == 1).mean() > 0.3
    assert hints[2].max() == 1


def test_the_lower_the_weight_of_a_point_the_further_it_is_off():
    ab = np.zeros((2, 32, 32), np.float32)
    off, weights = [], []
    for seed in range(400):
        hints = np.zeros((3, 32, 32), np.float32)
        points(hints, ab, count=1, largest=1, draws=np.random.default_rng(seed))
        off.append(np.abs(hints[:2]).max())
        weights.append(hints[2].max())
    off, weights = np.array(off), np.array(weights)
    assert off[weights == 1].mean() < 3
    assert off[weights < 0.5].mean() > 10
    assert 0.7 < (weights == 1).mean() < 0.9


def test_the_number_of_points_is_geometric_about_means_up_to_what_is_asked_for():
    few = [int((drawn(epoch, patch=1)[:, 2] > 0).sum()) / 4 for epoch in range(60)]
    many = [int((drawn(epoch, patch=1, points=200.0)[:, 2] > 0).sum()) / 4 for epoch in range(60)]
    assert 2 < np.mean(few) < 7
    assert np.mean(many) > 3 * np.mean(few)


def test_only_a_share_of_photos_gets_hints():
    got = [bool(some.any()) for epoch in range(100) for some in drawn(epoch, share=0.3)]
    assert 0.2 < np.mean(got) < 0.4


def test_hints_follow_from_seed_epoch_and_photo_alone():
    assert torch.equal(drawn(), drawn())
    assert torch.equal(drawn()[1:3], drawn(numbers=(6, 7)))
    assert not torch.equal(drawn(), drawn(epoch=4))


def test_dense_hints_are_about_the_photos_own_colors_or_hardly_trusted():
    lab = rgb_to_lab(photos().numpy()[0])
    own = np.ascontiguousarray(np.moveaxis(lab[..., 1:], -1, 0))
    other = own + 60
    for seed in range(60):
        hints = np.zeros((3, 48, 48), np.float32)
        dense(hints, own, other, draws=np.random.default_rng(seed))
        known = hints[2] > 0
        assert known.mean() > 0.05
        assert not hints[:2, ~known].any()
        weight = np.unique(hints[2][known])
        assert len(weight) == 1
        error = np.median(np.abs(hints[:2] - own)[:, known])
        assert error < 15 or weight <= 0.3, (seed, error, weight)


def test_hints_are_for_the_architecture_that_takes_them_and_others_train_without(tiny):
    hints = tiny["train"].hints.model_copy(update={"share": 0.5})
    configurations = {
        name: tiny["train"].model_copy(update={"architecture": name, "hints": hints}).network()
        for name in ("lite_unet", "unet", "cnn")
    }
    assert configurations["lite_unet"]["hints"]
    assert not [name for name in ("unet", "cnn") if "hints" in configurations[name]]


def test_a_training_with_hints_is_the_same_again_and_makes_a_network_that_takes_them(trained):
    changes = {
        "architecture": "lite_unet",
        "working_size": 32,
        "hints": HintsParams(**SHARE | {"share": 0.7, "dense": 0.3}),
        "tones": 0.5,
        "epochs": 1,
    }
    result, model = trained(**changes)
    assert result.model.network.takes_hints
    assert result.model.network.encoder.stem_hints.weight.abs().max() > 0
    assert all(layer.weight.abs().max() > 0 for layer in result.model.network.merge_hints)
    assert trained(**changes)[1] == model

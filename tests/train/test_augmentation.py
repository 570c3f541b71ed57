import os
import signal
import sys
from pathlib import Path
from typing import get_args

import cv2
import numpy as np
import pytest
import torch
from PIL import Image
from skimage import data

from stages import params as params_file
from stages.train import losses, objective
from stages.train.augmentation import EFFECTS, Augmentation, tone_curve
from stages.train.params import Effect
from ungray.errors import UngrayError
from ungray.imaging.color import lab_to_rgb
from ungray.imaging.upsampling import gray_photo

from .conftest import files, model_bytes
from .conftest import trained_model as train

ROOT = Path(__file__).parents[2]
SIDE = 128
PHOTOS = np.stack(
    [
        cv2.resize(photo[:300, :300], (SIDE, SIDE), interpolation=cv2.INTER_AREA)
        for photo in (data.astronaut(), data.coffee(), data.chelsea(), data.rocket())
    ]
)


@pytest.fixture
def augmentation(tiny):
    """A function that makes the augmentation of the tiny params, all photos degraded, with changes."""

    def make(**changes):
        usual = {"tones": 0.0, "degradation": 1.0, "degradation_effects": tuple(EFFECTS), "seed": 1}
        return Augmentation(tiny["train"].model_copy(update=usual | changes))

    return make


@pytest.fixture
def degraded(augmentation):
    """A function that returns what one effect makes of a photo, the times it was drawn.

    The other times the photo is plain gray.
    """
    return lambda effect, photo: degrade_often(augmentation(degradation_effects=(effect,)), photo)


def gray(rgb):
    return gray_photo(rgb)[..., 0]


def degrade_often(augmentation, photo, *, times=40):
    made = [augmentation.degrade(photo, np.random.default_rng([1, 2, n])) for n in range(times)]
    assert all((picture == picture[..., :1]).all() for picture in made), "gray"
    changed = [picture[..., 0] for picture in made if (picture[..., 0] != gray(photo)).any()]
    assert 0.25 * times < len(changed) < 0.75 * times, "on every other photo"
    return changed


def test_the_effects_in_params_are_those_there_are():
    assert set(get_args(Effect)) == set(EFFECTS)


def test_sepia_changes_tones_by_color(degraded):
    # Blue and purple of one lightness are two tones on a sepia print.
    flat = np.full((2, SIDE, SIDE, 3), 50, np.float32)
    flat[0, ..., 1:], flat[1, ..., 1:] = (0, -40), (45, -30)
    blue, purple = (lab_to_rgb(lab) for lab in flat)
    assert abs(int(gray(blue)[0, 0]) - int(gray(purple)[0, 0])) <= 1
    tones = [int(degraded("sepia", photo)[0][0, 0]) for photo in (blue, purple)]
    assert abs(tones[0] - tones[1]) > 10


@pytest.mark.parametrize("photo", PHOTOS)
def test_blur_takes_detail_away_and_grain_adds_it(degraded, photo):
    def detail(picture):
        return cv2.Laplacian(picture.astype(np.float32), cv2.CV_32F).var()

    assert all(detail(picture) < detail(gray(photo)) for picture in degraded("blur", photo))
    for picture in degraded("grain", photo):
        assert detail(picture) > detail(gray(photo))
        assert abs(picture.mean() - gray(photo).mean()) < 4
        # The darkest of these photos has the least contrast of its own.
        assert np.corrcoef(picture.ravel(), gray(photo).ravel())[0, 1] > 0.6


@pytest.mark.parametrize("photo", PHOTOS)
def test_fading_turns_black_to_gray_and_takes_contrast_away(degraded, photo):
    def detail(picture):  # what is left of a photo without its light and shade
        return picture - cv2.GaussianBlur(picture.astype(np.float32), (0, 0), 3)

    before = gray(photo)
    for picture in degraded("fading", photo):
        assert np.percentile(picture, 1) > np.percentile(before, 1)
        assert detail(picture).std() < detail(before).std()
        assert np.corrcoef(detail(picture).ravel(), detail(before).ravel())[0, 1] > 0.7


@pytest.mark.parametrize("photo", PHOTOS)
def test_borders_lie_at_the_edge_and_scratches_leave_most_as_it_was(degraded, photo):
    for picture in degraded("borders", photo):
        changed = picture != gray(photo)
        inside = changed[SIDE // 10 : -SIDE // 10, SIDE // 10 : -SIDE // 10]
        assert not inside.any()
        assert changed.any()
    for picture in degraded("scratches", photo):
        changed = picture != gray(photo)
        assert 0 < changed.mean() < 0.2
        assert np.abs(picture.astype(int) - gray(photo)).max() > 10


def test_all_effects_together_leave_the_photo_to_be_seen(augmentation):
    every = augmentation()
    for number in range(60):
        photo = PHOTOS[number % len(PHOTOS)]
        picture = every.degrade(photo, np.random.default_rng([3, number]))[..., 0]
        middle = np.s_[SIDE // 8 : -SIDE // 8, SIDE // 8 : -SIDE // 8]
        likeness = np.corrcoef(picture[middle].ravel(), gray(photo)[middle].ravel())[0, 1]
        assert likeness > 0.5, number


def test_effects_come_independently_of_one_another(augmentation):
    both = augmentation(degradation_effects=("borders", "scratches"))
    seen = set()
    flat = np.full((SIDE, SIDE, 3), 128, np.uint8)
    for number in range(60):
        changed = both.degrade(flat, np.random.default_rng([1, number]))[..., 0] != gray(flat)
        seen.add((bool(changed[:, 0].mean() > 0.9), bool(changed[20:-20, 20:-20].any())))
    assert seen == {(False, False), (False, True), (True, False), (True, True)}


@pytest.mark.parametrize("share", [0.2, 0.7])
def test_a_share_of_the_photos_is_degraded_and_the_others_are_untouched(augmentation, share):
    rgb = torch.from_numpy(np.tile(PHOTOS[:, ::4, ::4], (100, 1, 1, 1)))
    before = rgb.clone()
    seen = augmentation(degradation=share).batch(rgb, numbers=np.arange(400), epoch=0)
    assert torch.equal(rgb, before), "what the color is taken from stays as it was"
    changed = (seen != rgb).flatten(1).any(1)
    assert abs(changed.float().mean() - share) < 0.08
    assert (seen[changed] == seen[changed][..., :1]).all()


def test_what_happens_to_a_photo_follows_from_seed_epoch_and_number_alone(augmentation):
    rgb = torch.from_numpy(PHOTOS)
    numbers = np.array([7, 3, 11, 5])

    def batch(order=(0, 1, 2, 3), *, seed=1, epoch=2):
        order = list(order)
        changing = augmentation(tones=0.5, degradation=0.5, seed=seed)
        return changing.batch(rgb[order], numbers=numbers[order], epoch=epoch)

    first = batch()
    assert torch.equal(first, batch())
    assert torch.equal(first[[2, 0]], batch((2, 0)))
    assert torch.equal(first[1:2], batch((1,)))
    assert not torch.equal(first, batch(seed=2))
    assert not torch.equal(first, batch(epoch=3))


@pytest.mark.parametrize("architecture", ["unet", "cnn"])
def test_the_network_sees_degraded_photos_and_is_to_find_the_true_color(
    tiny, prepared, here, monkeypatch, architecture
):
    l1 = losses.LOSSES["l1"]
    asked = []

    def record(answer, target):
        asked.append((answer.detach().clone(), target.detach().clone()))
        return l1(answer, target)

    monkeypatch.setitem(losses.LOSSES, "l1", record)
    first = {}
    for degradation in (0.0, 1.0):
        asked.clear()
        changes = {"architecture": architecture, "epochs": 1, "degradation": degradation}
        train(tiny, prepared, here / str(degradation), **changes)
        first[degradation] = asked[0]
    assert torch.equal(first[0.0][1], first[1.0][1]), "the target"
    assert not torch.equal(first[0.0][0], first[1.0][0]), "the answer"


def test_tones_change_brightness_and_nothing_else_and_can_be_drawn_again(augmentation):
    rgb = torch.from_numpy(PHOTOS)
    tones = augmentation(tones=1.0, degradation=0.0, seed=2)
    seen = tones.batch(rgb, numbers=np.arange(4), epoch=1)
    assert torch.equal(seen, tones.batch(rgb, numbers=np.arange(4), epoch=1))
    assert torch.equal(seen[2:], tones.batch(rgb[2:], numbers=np.array([2, 3]), epoch=1))
    assert not torch.equal(seen, rgb)
    for seed in range(50):
        levels = tone_curve(np.random.default_rng(seed)).astype(int)
        assert (np.diff(levels) >= 0).all(), "what was brighter stays so"
        assert 60 < levels[128] < 196
    off = augmentation(tones=0.0, degradation=0.0, seed=2)
    assert torch.equal(off.batch(rgb, numbers=np.arange(4), epoch=1), rgb)


def test_val_photos_stay_clean_so_losses_can_be_compared(tiny, prepared, here):
    # With a learning rate of next to nothing only what the network sees could change the val loss.
    for degradation in (0.0, 1.0):
        changes = {"degradation": degradation, "lr": 1e-12, "epochs": 1, "architecture": "cnn"}
        train(tiny, prepared, here / str(degradation), **changes)
    for name in ("gray", "val"):
        found = [
            float((here / f"{degradation}/plots/metrics/loss/{name}.tsv").read_text().split()[-1])
            for degradation in (0.0, 1.0)
        ]
        # Batch-norm's statistics are of the degraded photos.
        assert found[0] == pytest.approx(found[1], rel=0 if name == "gray" else 0.3)


def test_off_changes_nothing_and_imports_nothing(tiny, prepared, here, monkeypatch):
    assert tiny["train"].degradation == tiny["train"].tones == 0
    monkeypatch.setitem(sys.modules, "stages.train.augmentation", None)  # importing it would fail
    monkeypatch.setitem(sys.modules, "albumentations", None)
    first = train(tiny, prepared, here / "a")
    second = train(tiny, prepared, here / "b", degradation_effects=("grain",))
    for name, value in first.network.state_dict().items():
        assert torch.equal(value, second.network.state_dict()[name])
    assert files(here / "a") == files(here / "b")


def test_interrupted_and_started_again_it_goes_on_with_the_very_same_photos(
    tiny, prepared, here, monkeypatch
):
    whole = model_bytes(train(tiny, prepared, here / "whole", degradation=0.8), here / "whole.safetensors")
    seen = []
    set_lr = objective.set_lr

    def interrupt(optimizer, lr):
        seen.append(lr)
        if len(seen) == 3:
            os.kill(os.getpid(), signal.SIGINT)
        set_lr(optimizer, lr)

    monkeypatch.setattr(objective, "set_lr", interrupt)
    with pytest.raises(KeyboardInterrupt):
        train(tiny, prepared, here / "halves", degradation=0.8)
    resumed = model_bytes(train(tiny, prepared, here / "halves", degradation=0.8), here / "h.safetensors")
    assert resumed == whole
    assert files(here / "halves") == files(here / "whole")


def test_progress_grids_show_old_scans_where_they_are_trained_on(tiny, prepared, here):
    widths = {}
    for degradation in (0.0, 0.5):
        train(tiny, prepared, here / str(degradation), degradation=degradation)
        with Image.open(here / f"{degradation}/plots/images/grid/0002.jpg") as grid:
            widths[degradation] = grid.width
    assert widths[0.5] > 1.5 * widths[0.0]


@pytest.mark.parametrize(
    ("line", "wrong", "words"),
    [
        ("degradation: 0.0", "degradation: 1.5", ["train.degradation = 1.5", "less than or equal to 1"]),
        ("[sepia, blur,", "[sepia, rust,", ["train.degradation_effects.1 = 'rust'", "scratches"]),
    ],
)
def test_a_wrong_value_is_named_with_what_is_allowed(here, line, wrong, words):
    shipped = (ROOT / "params.yaml").read_text(encoding="utf-8")
    assert line in shipped
    (here / "params.yaml").write_text(shipped.replace(line, wrong), encoding="utf-8")
    with pytest.raises(UngrayError) as error:
        params_file.load_all(here / "params.yaml")
    assert all(word in str(error.value) for word in words)

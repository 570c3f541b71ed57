"""``python -m stages.doctor check``: what is odd about data, network or learning rate, before a long run."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from stages.doctor import oddities
from stages.doctor.range_test import RangeTest, range_test
from stages.doctor.rehearsal import ByHeart

ROOT = Path(__file__).parents[2]
TINY = ["train.architecture=unet", "train.start_from=nothing", "train.working_size=32", "train.batch_size=8"]
TINY += ["train.unet.channels=[4,6,8,10]", "train.lr=0.001"]
TINY += ["machine.device=cpu", "machine.precision=fp32", "machine.threads=1"]
TINY = [word for setting in TINY for word in ("-S", setting)]


@pytest.fixture
def here(tmp_path, prepared):
    """A checkout whose sample is prepared."""
    shutil.copy(ROOT / "params.yaml", tmp_path)
    shutil.copytree(prepared, tmp_path / "data/prepared")
    return tmp_path


def test_what_is_found_is_told_and_lies_in_the_working_cache(here, command):
    run = command("stages.doctor", "check", "--seconds", "0", *TINY, folder=here)
    assert run.returncode == 0, run.stderr
    lines = {line[:18].strip(): line[18:].strip() for line in run.stdout.splitlines()}
    assert lines["batch"].startswith("8 photos; about ")
    assert "the range test proposes" in lines["learning rate"]
    assert lines["by heart"].startswith("8 photos in ")
    assert "% less (gray 0." in lines["by heart"]
    assert "fewer than evaluate.min_groups = 20" in run.stdout, "of the sample"
    assert {path.name for path in here.iterdir()} == {"params.yaml", "data", ".cache"}, "DVC's files stay"
    assert [path.name for path in (here / ".cache").iterdir()] == ["check"]
    with Image.open(here / ".cache/check/photos.jpg") as grid:
        assert grid.width > grid.height
    with Image.open(here / ".cache/check/learning_rate.png") as curve:
        assert curve.width > 800


def test_gray_photos_end_it_with_1(here, command):
    for photo in (here / "data/prepared").rglob("*.jpg"):
        with Image.open(photo) as image:
            image.convert("L").convert("RGB").save(photo)
    run = command("stages.doctor", "check", "--seconds", "0", "--json", *TINY, folder=here)
    assert run.returncode == 1
    found = json.loads(run.stdout)
    assert found["odd"][0].startswith("all ")
    assert "train photos looked at are gray" in found["odd"][0]


def test_without_photos_it_names_the_stage_that_makes_them(here, command):
    (here / "data/prepared/index.csv").unlink()
    run = command("stages.doctor", "check", *TINY, folder=here)
    assert run.returncode == 1
    assert "`dvc repro prepare` makes it" in run.stderr
    wrong = command("stages.doctor", "check", "--seconds", "-1", folder=here)
    assert "--seconds -1 is not allowed" in wrong.stderr


@pytest.mark.parametrize("curvature", [1.0, 100.0])
def test_the_proposal_is_well_below_the_rate_at_which_the_loss_explodes(curvature):
    # Gradient descent on curvature * x^2 / 2 diverges over a rate of 2 / curvature.
    at = 1.0

    def step(rate):
        nonlocal at
        loss = curvature * at**2 / 2
        at -= rate * curvature * at
        return loss

    found = range_test(step, steps=100)
    assert 0.001 / curvature < found.proposal < 2 / curvature
    assert len(found.rates) == len(found.losses) <= 100


def test_no_rate_is_proposed_where_none_makes_the_loss_fall():
    assert range_test(lambda rate: 1.0, steps=40).proposal is None
    found = range_test(lambda rate: float("nan"), steps=40)
    assert (found.rates, found.proposal) == ([], None)


@pytest.fixture
def colors():
    """Photos with random colors, uint8 RGB."""
    return np.random.default_rng(1).integers(0, 256, (10, 8, 8, 3)).astype(np.uint8)


def test_gray_photos_and_a_color_cast_are_odd(colors):
    assert oddities.of_data(colors) == []
    assert oddities.without_color(colors) == ""
    some = colors.copy()
    some[:3] = some[:3, :, :, :1]
    (sentence,) = oddities.of_data(some)
    assert sentence.startswith("3 of 10 train photos looked at are gray")
    (sentence,) = oddities.of_data((colors[..., :1] * [1.0, 0.7, 0.3]).astype(np.uint8))
    assert "one color cast (mean a +" in sentence


def test_duplicates_and_photos_on_both_sides_are_odd():
    rows = [(f"{split}{n}", split, f"{split}{n}", 0) for split in ("train", "test") for n in range(30)]
    index = pd.DataFrame(rows, columns=["digest", "split", "group", "copy"])
    assert oddities.of_index(index, min_groups=20) == []
    (few,) = oddities.of_index(index, min_groups=31)
    assert "test has 30 groups" in few
    index.loc[:4, "digest"] = "train9"
    index.loc[30, "digest"] = "train20"
    twice, both = oddities.of_index(index, min_groups=20)
    assert twice == "5 of 30 train photos are exact duplicates of others"
    assert both.startswith("1 of 30 train photos are in test too")
    index["digest"] = range(60)
    index.loc[:29, "group"] = "one"
    (crops,) = oddities.of_index(index, min_groups=20)
    assert "the groups of 30 train photos, copies or crops of one another, number 1" in crops


def test_a_loss_that_stays_or_is_not_a_number_is_odd_and_so_is_a_far_learning_rate(tiny):
    params, colored = tiny["train"].model_copy(update={"lr": 0.001}), [np.zeros((8, 8, 3), np.uint8)] * 8

    def said(losses, proposal=0.001, **changes):
        learned = ByHeart(losses, 0.1, 0.001, colored)
        return oddities.of_training(params.model_copy(update=changes), RangeTest([], [], proposal), learned)

    assert said([0.1, 0.05]) == []
    assert "the loss is not falling" in said([0.1, 0.099])[0]
    assert "from 0.1000 to 0.0990 in 2 steps" in said([0.1, 0.099])[0]
    assert "the loss is nan at step 2" in said([0.1, float("nan"), float("nan")])[0]
    assert "train.lr = 0.001 is 100 times the proposed 1e-05" in said([0.1, 0.05], 1e-5)[0]
    assert "100 times lower than the proposed 0.1: from nothing" in said([0.1, 0.05], 0.1)[0]
    assert said([0.1, 0.05], 0.1, start_from="base") == [], "a fine-tuning may be careful"
    assert said([0.1, 0.05], None) == []

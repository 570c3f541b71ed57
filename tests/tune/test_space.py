from pathlib import Path

import pytest
from ruamel.yaml import YAML

from stages.params import Machine, load
from stages.train.params import Params as TrainParams
from stages.tune.params import Params
from stages.tune.run import prepare
from stages.tune.space import defaults
from ungray.errors import UngrayError

ROOT = Path(__file__).parents[2]


def begin(path):
    params, machine = load("tune", Params, path=path), load("machine", Machine, path=path)
    prepare(params, load("train", TrainParams, path=path), machine, prepared=path.parent)


def sentence(tmp_path, **changes):
    """What is said of params.yaml with a changed section ``tune``, before any trial."""
    yaml = YAML()
    content = yaml.load(ROOT / "params.yaml")
    content["tune"] |= changes
    path = tmp_path / "params.yaml"
    yaml.dump(content, path)
    with pytest.raises(UngrayError) as caught:
        begin(path)
    said = str(caught.value)
    assert "\n" not in said
    return said


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ([], "a list with at least one choice"),
        ([0.1, 0.2, 0.1], "no choice is repeated"),
        (0.1, "a list of choices, or a range such as {low: 1, high: 5}"),
        (None, "a list of choices"),
        ({"low": 0.5, "high": 0.1}, "low is under its high"),
        ({"low": 0.1, "high": 0.1}, "low is under its high"),
        ({"low": 0.1}, "low and high"),
        ({"low": 0.1, "high": "0.5"}, "are numbers"),
        ({"low": 0.1, "high": float("nan")}, "are numbers"),
        ({"low": False, "high": True}, "are numbers"),
        ({"low": 0.1, "high": 0.5, "hihg": 1}, "without hihg"),
        ({"low": 0, "high": 1, "log": True}, "low is over 0, as log requires"),
        ({"low": 0.1, "high": 1.0, "log": 1}, "log is true or false"),
        ({"low": 1, "high": 5, "log": True, "step": 2}, "log or step, not both"),
        ({"low": 1, "high": 5, "step": 0}, "step is over 0"),
        ({"low": 1, "high": 5, "step": 0.5}, "step is a whole number"),
    ],
)
def test_bad_values_are_refused_with_the_key_and_what_is_allowed(tmp_path, values, words):
    said = sentence(tmp_path, space={"train.lr": values})
    assert "tune.space.train.lr = " in said
    assert words in said


@pytest.mark.parametrize("part", ["space", "fixed"])
@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("train.batchsize", "train.batchsize is unknown; did you mean train.batch_size?"),
        ("batch_size", "batch_size is unknown; did you mean train.batch_size?"),
        ("train.lab_autoencoder.layers", "did you mean train.lab_autoencoder.num_layers?"),
        ("prepare.photo_size", "prepare.photo_size can't be set, only keys of train can"),
        ("train.epochs", "can't set train.epochs: tune.epochs sets it"),
        ("train.minutes", "can't set train.minutes: tune.minutes sets it"),
    ],
)
def test_an_unknown_key_is_named_with_the_one_that_was_meant(tmp_path, part, key, words):
    said = sentence(tmp_path, **{part: {key: [1, 2] if part == "space" else 1}})
    assert f"tune.{part}" in said
    assert words in said


@pytest.mark.parametrize(
    ("space", "words"),
    [
        ({"train.lr": [0.001, 2.0]}, "tune.space.train.lr holds 2.0: train.lr = 2.0 is not allowed"),
        ({"train.lr": {"low": 0.001, "high": 3.0}}, "train.lr holds 3.0"),
        ({"train.batch_size": [8, 1]}, "train.batch_size holds 1"),
        ({"train.batch_size": {"low": 8.0, "high": 16.0}}, "integer"),
        ({"train.shuffle": [True, "no"]}, "train.shuffle holds 'no'"),
        ({"train.architecture": ["unet", "vit"]}, "train.architecture holds 'vit'"),
    ],
)
def test_a_choice_that_training_would_refuse_is_refused_before_the_first_trial(tmp_path, space, words):
    assert words in sentence(tmp_path, space=space)


def test_a_fixed_value_that_training_would_refuse_is_refused(tmp_path):
    assert "train.lr = 'fast' is not allowed" in sentence(tmp_path, fixed={"train.lr": "fast"})


def test_no_space_at_all_is_refused(tmp_path):
    assert "tune.space = {} is not allowed" in sentence(tmp_path, space={})


def test_the_shipped_space_is_the_ancestors_five_and_is_right(tmp_path):
    params = load("tune", Params, path=ROOT / "params.yaml")
    params.check_environment()
    assert set(params.space) == {
        "train.batch_size",
        "train.shuffle",
        "train.optimizer",
        "train.lab_autoencoder.num_layers",
        "train.lab_autoencoder.filters",
    }
    assert params.trials == 50
    # All is well but for the photos.
    assert "index.csv not found" in sentence(tmp_path)


def test_the_defaults_are_taken_as_far_as_the_space_contains_them():
    content = {"lr": 0.001, "loss": "l1", "batch_size": 30, "epochs": 3, "unet": {"channels": [4, 8]}}
    space = {
        "train.lr": {"low": 0.0001, "high": 0.01, "log": True},
        "train.loss": ["mse"],
        "train.unet.channels": [[4, 8], [8, 16]],
        "train.batch_size": {"low": 10, "high": 50, "step": 10},
        "train.epochs": {"low": 2, "high": 8, "step": 2},
    }
    assert defaults(content, space) == {
        "train.lr": 0.001,
        "train.unet.channels": [4, 8],
        "train.batch_size": 30,
    }

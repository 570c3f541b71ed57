import shlex
import subprocess
from pathlib import Path

import pytest
from dvc.utils.hydra import apply_overrides
from ruamel.yaml import YAML

from stages import params
from stages.recipes import overlay
from ungray.errors import UngrayError

ROOT = Path(__file__).parents[2]
NAMES = {
    "bing-cnn", "lab-autoencoder", "flowers-gan", "flowers-autoencoder", "flowers102-resnet18", "cifar-cnn",
    "unet", "base",
}  # fmt: skip
recipes = pytest.mark.parametrize("name", sorted(NAMES))


def load(path):
    return YAML(typ="safe", pure=True).load(path)


def flat(content, above=""):
    pairs = {}
    for key, value in content.items():
        pairs |= flat(value, f"{above}{key}.") if isinstance(value, dict) else {f"{above}{key}": value}
    return pairs


@pytest.fixture
def start(command, here):
    """A function that runs ``python -m stages.recipes arguments`` in ``here``."""
    return lambda *arguments: command("stages.recipes", *arguments, folder=here)


def test_there_is_a_recipe_for_every_ancestor_and_ours():
    assert set(overlay.names()) == NAMES


@recipes
def test_dvc_takes_what_a_recipe_sets_and_the_params_are_right_with_it(name, here):
    found = overlay.overrides(name, [])
    overlay.apply(found, here / "params.yaml")
    *command, first = overlay.command(name, found)[:6]
    assert command == ["dvc", "exp", "run", "-n", name]
    assert first == "-S"
    settings = overlay.command(name, found)[6::2]
    before = flat(load(here / "params.yaml"))
    apply_overrides("params.yaml", settings)  # as `dvc exp run -S` does
    after = flat(load(here / "params.yaml"))
    assert after == before | found
    assert after.keys() == before.keys(), "no key of a recipe is unknown"
    params.load_all(here / "params.yaml")


def test_one_recipe_after_another_is_that_recipe():
    # `dvc exp run` leaves its values in params.yaml, so what one recipe sets the others set as well.
    arguments = {"unet", "lite_unet", "lab_autoencoder", "dense_autoencoder", "resnet18", "adversarial"}
    keys = {
        name: {
            key
            for key in overlay.overrides(name, [])
            if key == "train.adversarial.weight" or key.split(".")[1] not in arguments
        }
        for name in NAMES
    }
    assert len({frozenset(found) for found in keys.values()}) == 1, keys


def test_what_another_run_left_in_params_yaml_does_not_get_into_a_recipe():
    shown = {"base", "freeze_batch_norm", "grid_every", "grid_photos", "seed"}
    shown |= {"degradation_effects", "decay"}  # unused without degradation and the schedule "stable"
    plain = {key for key, value in load(ROOT / "params.yaml")["train"].items() if not isinstance(value, dict)}
    wanted = {f"train.{key}" for key in plain - shown} | {"train.hints.share"}
    for name in NAMES:
        assert wanted <= overlay.overrides(name, []).keys(), name


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("bing-cnn", {"scrape.source": "bing", "prepare.photo_size": 256, "prepare.rotated_copies": 2,
                      "train.architecture": "cnn", "train.working_size": 256, "train.loss": "l1",
                      "train.batch_size": 30, "train.optimizer": "adam", "train.lr": 0.0005,
                      "train.schedule": "constant", "train.epochs": 90, "train.warmup_steps": 0}),
        ("flowers102-resnet18", {"scrape.source": "flowers102", "train.loss": "mse",
                                 "train.optimizer": "adam", "train.lr": 0.001, "train.batch_size": 128}),
        ("cifar-cnn", {"scrape.source": "cifar10", "filter.min_short_side": 32,
                       "prepare.photo_size": 32, "train.working_size": 32, "train.loss": "mse"}),
        ("flowers-gan", {"train.working_size": 128, "train.dense_autoencoder.embedding": 512,
                         "train.loss": "l1"}),
        ("flowers-autoencoder", {"train.architecture": "plain_autoencoder", "train.adversarial.weight": 0}),
    ],
)  # fmt: skip
def test_a_recipe_is_what_its_ancestor_was(name, expected):
    found = overlay.overrides(name, [])
    assert {key: found[key] for key in expected} == expected


def test_the_gan_has_a_discriminator():
    assert overlay.overrides("flowers-gan", [])["train.adversarial.weight"] > 0


def test_without_a_name_recipes_are_listed_with_a_line_each(start):
    lines = start().stdout.splitlines()
    assert [line.split()[0] for line in lines] == sorted(NAMES)
    assert all(len(line) < 120 and line.endswith(".") and len(line.split()) > 4 for line in lines)


def test_a_wrong_name_lists_the_right_ones_or_the_one_that_was_meant(start):
    wrong = start("vgg")
    assert wrong.returncode == 1
    assert all(name in wrong.stderr for name in NAMES)
    assert "did you mean unet?" in start("unte").stderr


def test_it_prints_and_runs_the_experiment_with_what_the_user_sets_on_top(here, fake_dvc, start):
    (here / "my photos").mkdir()
    more = ["scrape.source=folder", "scrape.folder=my photos", "train.minutes=10"]
    done = start("unet", *more)
    assert done.returncode == 3, "DVC's own exit code"
    asked = (here / "asked").read_text().splitlines()
    assert shlex.split(done.stdout) == ["dvc", *asked]
    assert asked[:4] == ["exp", "run", "-n", "unet"]
    assert [asked[at + 1] for at, word in enumerate(asked) if word == "-S"] == asked[5::2]
    assert set(more) <= set(asked)
    assert "scrape.source=bing" not in asked


def test_a_recipe_that_was_run_before_is_an_experiment_of_another_name(here, fake_dvc, start):
    listing = '#!/bin/sh\n[ "$2" = list ] && echo "unet\nunet-2\ncnn" && exit\n'
    fake_dvc.write_text(fake_dvc.read_text().replace("#!/bin/sh\n", listing))
    for name, expected in (("unet", "unet-3"), ("bing-cnn", "bing-cnn")):
        assert start(name).returncode == 3
        assert (here / "asked").read_text().splitlines()[:4] == ["exp", "run", "-n", expected]


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("train.unet.chanels=[1,2,3,4]", "train.unet.chanels is unknown; did you mean channels?"),
        ("train.lab_autoencoder.filters=many", "train.lab_autoencoder.filters = 'many'"),
        ("train.lr.much=3", "train.lr.much is unknown"),
        ("trian.lr=3", "trian is unknown; did you mean train?"),
        ("minutes", "write section.key=value"),
        ("train.lr=[1", "write section.key=value"),
        ("scrape.folder=nowhere", "nowhere is not a folder"),
    ],
)
def test_a_wrong_setting_is_named_before_anything_runs(setting, words, here, fake_dvc, start):
    done = start("flowers-gan", setting)
    assert done.returncode == 1
    assert words in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (here / "asked").exists()


@pytest.mark.parametrize(
    "value",
    ["a,b", "it's", "[x]", "", "(a", "a=b", "ä", 'say "hi"', " ", "null", "a\\", "b\\'c", "C:\\x y"],
)
def test_any_text_reaches_params_yaml_as_it_is(value, here):
    apply_overrides("params.yaml", overlay.command("x", {"prepare.split_salt": value})[6:])
    assert load(here / "params.yaml")["prepare"]["split_salt"] == value


def test_a_list_of_texts_reaches_params_yaml_as_it_is(here):
    queries = ["red roses", "cats, dogs", "10"]
    apply_overrides("params.yaml", overlay.command("x", {"scrape.queries": queries})[6:])
    assert load(here / "params.yaml")["scrape"]["queries"] == queries


def test_make_recipe_calls_it():
    dry = ["make", "--dry-run", "recipe", "NAME=unet", "SET=train.minutes=10 train.lr=0.002"]
    done = subprocess.run(dry, cwd=ROOT, capture_output=True, text=True, check=True)
    assert "python -m stages.recipes unet train.minutes=10 train.lr=0.002" in done.stdout


def test_a_nested_value_is_taken_by_dvc_as_readme_says(here):
    apply_overrides("params.yaml", ["train.lab_autoencoder.filters=512"])
    loaded = params.load_all(here / "params.yaml")["train"]
    network = loaded.model_copy(update={"architecture": "lab_autoencoder"}).network()
    assert network["filters"] == 512
    with pytest.raises(UngrayError, match="filters = 2000"):
        overlay.apply({"train.lab_autoencoder.filters": 2000}, here / "params.yaml")

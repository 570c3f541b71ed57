"""`make repro PRESET=...`: what it costs is said, then DVC runs it with the preset's values."""

import shlex
import subprocess
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from stages.doctor import cost
from stages.doctor.cost import Cost
from stages.presets.__main__ import FOLDER
from stages.recipes import overlay

ROOT = Path(__file__).parents[2]
PRESETS = ["best", "good", "quick"]


@pytest.fixture
def start(command, here, monkeypatch):
    """A function that runs ``python -m stages.presets arguments`` where a step takes a known time."""
    pace = Cost(
        device="cpu", precision="fp32", parameters=1, measured_batch=30, photos_per_second=10.0,
        validated_per_second=20.0, memory=1, gpu_memory=None, fits=True, largest_batch=100, model_file=1,
        checkpoint_file=1,
    )  # fmt: skip
    monkeypatch.setattr(cost, "cost", lambda *arguments, **options: pace)
    return lambda *arguments: command("stages.presets", *arguments, folder=here)


def shipped():
    """The shipped value of a dotted key."""
    content = YAML(typ="safe", pure=True).load(ROOT / "params.yaml")

    def value(key):
        found = content
        for part in key.split("."):
            found = found[part]
        return found

    return value


def test_good_is_what_params_yaml_is_shipped_with_and_one_after_another_is_that_one():
    found = {name: overlay.overrides(name, [], FOLDER) for name in PRESETS}
    assert overlay.names(FOLDER) == PRESETS
    value = shipped()
    assert found["good"] == {key: value(key) for key in found["good"]}
    assert found["quick"].keys() == found["good"].keys() == found["best"].keys()
    # What a recipe left in the section train does not get into a preset.
    recipe = {key for key in overlay.overrides("unet", []) if key.startswith("train.")}
    assert recipe - found["good"].keys() == {"train.unet.channels"}
    assert {key.partition(".")[0] for key in found["good"]} == {"train"}, "photos are the user's"


@pytest.mark.parametrize("name", PRESETS)
def test_its_cost_is_said_before_dvc_runs_it(name, here, fake_dvc, start):
    done = start(name, "--force")
    assert done.returncode == 3, "DVC's own exit code"
    said, line = done.stdout.splitlines()
    epochs = {"quick": 3, "good": 10, "best": 40}[name]
    minutes = epochs * (2000 / 10 + 200 / 20) / 60
    shown = f"{minutes:.2g} minutes" if minutes < 100 else f"{minutes / 60:.2g} hours"
    assert f"{name}, from base: training takes about {shown} here, {epochs} epochs of 2000 photos" in said
    assert "assumed, as nothing is prepared yet" in said
    asked = (here / "asked").read_text().splitlines()
    assert shlex.split(line) == ["dvc", *asked]
    assert asked[:4] == ["exp", "run", "-n", name]
    assert asked[-1] == "--force"
    assert f"train.epochs={epochs}" in asked


def test_from_nothing_is_one_word_and_brings_its_learning_rate(here, fake_dvc, start):
    start("good", "--from", "nothing")
    asked = (here / "asked").read_text().splitlines()
    assert {"train.start_from=nothing", "train.lr=0.001"} <= set(asked)
    assert not {"train.start_from=base", "train.lr=3e-05", "train.lr=0.00003"} & set(asked)
    start("quick", "--from", "nothing", "train.lr=0.002")
    assert "train.lr=0.002" in (here / "asked").read_text().splitlines(), "what the user sets comes last"


def test_what_is_wrong_is_named_and_nothing_runs(here, fake_dvc, start):
    assert "no preset 'god'; did you mean good?" in start("god").stderr
    assert "train.epochs = 'many'" in start("good", "train.epochs=many").stderr
    assert not (here / "asked").exists()
    dry = start("best", "--dry-run")
    assert dry.returncode == 0
    assert "dvc exp run -n best" in dry.stdout
    assert "run" not in (here / "asked").read_text().splitlines(), "it asked for the names alone"
    assert [line.split()[0] for line in start().stdout.splitlines()] == PRESETS


def test_make_repro_calls_it():
    def make(*settings):
        dry = ["make", "--dry-run", "repro", *settings]
        return subprocess.run(dry, cwd=ROOT, capture_output=True, text=True, check=True).stdout

    assert "python -m stages.presets best " in make("PRESET=best")
    assert "python -m stages.presets good --from nothing train.epochs=3" in make(
        "FROM=nothing", "SET=train.epochs=3"
    )
    assert "stages.presets" not in make()
    assert "dvc repro" in make()

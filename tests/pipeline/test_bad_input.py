import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image
from ruamel.yaml import YAML

from .conftest import TINY

ROOT = Path(__file__).parents[2]


def sentence(done):
    lines = done.stderr.strip().splitlines()
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("error: ")
    return lines[0]


class Folder:
    """A folder with params.yaml, the blocklist and nothing else, in which stages run without DVC."""

    def __init__(self, path, command):
        self.path, self.run = path, command
        self.params = YAML(typ="safe", pure=True).load(ROOT / "params.yaml")
        self.set(**TINY)
        (path / "data").mkdir()
        shutil.copy(ROOT / "data/blocked.csv", path / "data")

    def set(self, **changes):
        """Change params.yaml; keys are section.key."""
        for key, value in changes.items():
            section, _, name = key.partition(".")
            self.params[section][name] = value
        YAML(typ="safe").dump(self.params, self.path / "params.yaml")

    def do(self, stage):
        done = self.run(f"stages.{stage}", folder=self.path)
        assert done.returncode == 0, done.stderr

    def refusal(self, stage):
        return sentence(self.run(f"stages.{stage}", folder=self.path))


@pytest.fixture
def folder(tmp_path, command):
    (tmp_path / "here").mkdir()
    return Folder(tmp_path / "here", command)


def made(folder):
    data = folder.path / "data"
    folders = [data / "raw", data / "prepared"]
    models = [*data.glob("models/*.safetensors"), *data.glob("models/*.onnx")]
    return sorted(path.name for path in [*folders, *models] if path.exists())


def test_a_typo_in_params_is_named_with_the_key_that_was_meant_before_anything_runs(folder):
    params = folder.path / "params.yaml"
    params.write_text(params.read_text().replace("batch_size:", "bach_size:"))
    for name in ("scrape", "train"):
        assert "train.bach_size is unknown; did you mean batch_size?" in folder.refusal(name)
    assert made(folder) == []


def test_what_takes_seconds_to_import_is_imported_after_params_are_checked(folder):
    folder.set(**{"train.lr": -1})
    for stage in ("train", "evaluate", "export", "tune"):
        code = (
            "import atexit, runpy, sys\n"
            "atexit.register(lambda: print({'torch', 'matplotlib'} & {*sys.modules}))\n"
            f"runpy.run_module('stages.{stage}', run_name='__main__')"
        )
        environment = os.environ | {"PYTHONPATH": str(ROOT)}
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=folder.path, env=environment, capture_output=True, text=True
        )
        assert "train.lr = -1 is not allowed" in sentence(done), stage
        assert done.stdout == "set()\n", stage


def test_folder_troubles_are_named(folder, tmp_path):
    photos = tmp_path / "my photos"
    folder.set(**{"scrape.source": "folder", "scrape.folder": str(photos)})
    assert "scrape.folder" in folder.refusal("scrape")
    photos.mkdir()
    assert "contains no image file" in folder.refusal("scrape")
    (photos / "letter.jpg").write_text("Dear Bing")
    assert "none of 1 files is a photo" in folder.refusal("scrape")
    folder.set(**{"scrape.folder": "../photos"})
    assert "scrape.folder = '../photos' is not allowed" in folder.refusal("scrape")
    assert made(folder) == []


@pytest.mark.pipeline
def test_a_missing_folder_is_named_by_dvc_repro_too(tiny_clone):
    tiny_clone.set(scrape__source="folder", scrape__folder="/nowhere/photos")
    assert "/nowhere/photos" in tiny_clone.run("dvc", "repro", fails=True).stderr


def test_nothing_left_after_the_filter_says_why(folder, tmp_path):
    photos = tmp_path / "photos"
    photos.mkdir()
    Image.new("RGB", (1, 1), "red").save(photos / "dot.png")
    Image.new("RGB", (400, 400), "gray").save(photos / "wall.png")
    folder.set(**{"scrape.source": "folder", "scrape.folder": str(photos)})
    folder.do("scrape")
    said = folder.refusal("filter")
    assert "no photo is left after the filter" in said
    assert "short side under 128" in said
    assert "gray" in said
    assert not (folder.path / "data/verdicts.csv").is_file()


def test_too_few_groups_for_the_split_say_so(folder):
    folder.do("scrape")
    folder.do("filter")
    folder.set(**{"prepare.split_salt": "d"})
    said = folder.refusal("prepare")
    assert "10 groups of photos are too few for the split: val and test would be empty" in said
    assert made(folder) == ["raw"]


def test_no_network_names_the_way_out(folder, monkeypatch):
    folder.set(**{"scrape.source": "bing", "scrape.queries": ["cats"], "scrape.timeout": 5})
    # A proxy that does not answer: no network, whatever this machine has.
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    done = folder.run("stages.scrape", folder=folder.path)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("error: Bing gave no link for any of 1 queries")
    assert "set scrape.source in params.yaml to sample or folder" in last
    assert made(folder) == []


@pytest.mark.parametrize("name", ["scrape", "filter", "prepare", "train", "evaluate", "export"])
def test_every_stage_has_a_help_with_examples(command, name, tmp_path):
    shown = command(f"stages.{name}", "--help", folder=tmp_path).stdout
    assert f"python -m stages.{name}" in shown
    assert "dvc" in shown


@pytest.mark.parametrize("name", ["filter", "prepare", "train", "evaluate", "export"])
def test_a_stage_run_too_early_says_which_one_comes_first(folder, name):
    assert "`dvc repro" in folder.refusal(name)


EMPTY = {"scrape.folder": None, "scrape.urls": "", "train.base": None, "evaluate.base": ""}


@pytest.mark.pipeline
def test_an_empty_path_is_a_sentence_of_dvcs(clone):
    shipped = clone.read("params.yaml")
    for key, value in EMPTY.items():
        clone.path.joinpath("params.yaml").write_text(shipped)
        clone.set(**{key.replace(".", "__"): value})
        said = clone.run("dvc", "repro", "--single-item", key.split(".")[0], fails=True).stderr
        assert said.count("ERROR: ") == 1, key
        assert "unexpected error" not in said
        assert "Traceback" not in said


@pytest.mark.parametrize("key", EMPTY)
def test_an_empty_path_is_a_sentence_of_ours_that_names_it(folder, key):
    for value in (None, ""):
        folder.set(**{key: value})
        said = folder.refusal("params")
        assert said.startswith(f"error: params.yaml: {key} = {value!r} is not allowed")

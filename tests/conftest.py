"""What many tests need: the shipped params made tiny, and the sample's photos prepared once."""

import logging
import os
import runpy
import shutil
import signal
import subprocess
import sys
import warnings
from pathlib import Path

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
# The networks here are so small that a second thread costs ten times what it saves: they wait for each other,
# spinning, on cores that other tests use.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
# The hundreds of processes that tests start would each compile our modules anew.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

import pytest
from filelock import FileLock
from ruamel.yaml import YAML

import stages  # noqa: F401 (first of all, so that everybody's `ungray` is the one beside it)

# What takes long to import (torch, pandas, SciPy) is imported by the fixtures that need it: this file is
# loaded by every run, also by one of a few quick tests.

# A run that a script started in the background ignores Ctrl-C, and what it starts would as well.
signal.signal(signal.SIGINT, signal.default_int_handler)

ROOT = Path(__file__).parents[1]
HOSTILE = """<img src=x onerror="document.title='injected'">'&amp;"""

TINY = {
    "scrape": {"sample_crops": 3},
    "filter": {},
    "prepare": {"photo_size": 64, "rotated_copies": 1},
    "train": {
        "architecture": "unet",
        "start_from": "nothing",
        "lr": 0.001,
        "keep": "last",
        "working_size": 32,
        "unet": {"channels": (4, 6, 8, 10)},
        "lab_autoencoder": {"num_layers": 1, "filters": 16},
        "dense_autoencoder": {"embedding": 32, "pooling": "average", "downsampling": 2},
        "resnet18": {"pretrained": False},  # nothing is downloaded
        "lite_unet": {"decoder": (8, 8, 8, 8), "encoder": "lite0", "pretrained": False},
        "hints": {"share": 0.0, "points": 64, "patch": 9, "dense": 0.25},
        "batch_size": 8,
        "epochs": 2,
        "grid_every": 1,
        "grid_photos": 2,
        "warmup_steps": 2,
    },
    "evaluate": {"bootstrap_samples": 100, "grid_rows": 2},
    "export": {},
    "machine": {"workers": 1, "device": "cpu", "precision": "fp32", "threads": 1},
}


LONG = ("train", "pipeline", "tune", "browser", "remotes")
"""Folders whose files take minutes: begun last, one would keep one of the two processes waiting.

The first of them compiles what the clones of the second take along.
"""


def pytest_collection_modifyitems(items):
    """Begin with the folders that take longest; within and after them the order stays.

    A process is given whole files (``--dist loadfile``), so their fixtures are made once. With pytest 9.2
    xdist 3.8's groups (``loadgroup``) do nothing: it adds their names to a ``_nodeid`` that nobody reads.
    """
    rank = {ROOT / "tests" / folder: number for number, folder in enumerate(LONG)}
    items.sort(key=lambda item: rank.get(item.path.parent, len(LONG)))


@pytest.fixture(autouse=True)
def seeded():
    """Untrained weights are the same whichever tests ran before in this process."""
    if torch := sys.modules.get("torch"):
        torch.manual_seed(0)


@pytest.fixture
def command(monkeypatch, capfd):
    """A function that does what ``python -m module arguments`` in ``folder`` does, without a new process.

    It returns a CompletedProcess. A new process takes seconds to import what is imported here already; tests
    of signals, threads or what a process leaves behind start one all the same.
    """

    def run(module, *arguments, folder):
        # What our commands change in their process, which is the tests' here.
        monkeypatch.setattr(sys, "excepthook", sys.excepthook)
        monkeypatch.setattr(logging, "lastResort", logging.lastResort)
        monkeypatch.setattr(sys, "argv", [module, *map(str, arguments)])
        monkeypatch.chdir(folder)
        code, last = 0, ""
        capfd.readouterr()
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "'stages.* found in sys.modules", RuntimeWarning)
            try:
                runpy.run_module(module, run_name="__main__", alter_sys=True)
            except SystemExit as end:  # a text is printed, and the exit code is 1
                code, last = (end.code or 0, "") if isinstance(end.code, int | None) else (1, f"{end.code}\n")
        out, err = capfd.readouterr()
        return subprocess.CompletedProcess([module, *arguments], code, out, err + last)

    return run


@pytest.fixture(scope="session")
def tiny():
    """Every section of the shipped params.yaml, made so small that a training takes a second."""
    from stages import params as params_file

    shipped = params_file.load_all(ROOT / "params.yaml")
    return {
        name: type(shipped[name]).model_validate(shipped[name].model_dump() | changes)
        for name, changes in TINY.items()
    }


@pytest.fixture(scope="session")
def prepared(tiny, tmp_path_factory):
    """The folder data/prepared of the sample, made by the stages' own functions."""
    from stages.filter import verdicts
    from stages.prepare import build
    from stages.scrape import gather, manifest
    from stages.storage.tables import read_table

    top = tmp_path_factory.mktemp("data")
    (top / "raw").mkdir()
    (top / "prepared").mkdir()
    attempts = gather.run(tiny["scrape"], top / "raw")
    manifest.write(attempts, top / "manifest.csv")
    table = verdicts.run(
        tiny["filter"], read_table(top / "manifest.csv", made_by="scrape"), top / "raw", workers=1
    )
    (top / "cached").mkdir()
    build.run(tiny["prepare"], table, top / "raw", top / "prepared", cached=top / "cached", workers=1)
    return top / "prepared"


@pytest.fixture
def packed(prepared, tmp_path):
    """A function that packs train photos into shards, in a copy of ``prepared``, which it returns."""
    from stages.prepare import shards
    from stages.storage.tables import read_table, write_table

    def pack(photos):
        folder = tmp_path / f"shards-of-{photos}"
        shutil.copytree(prepared, folder)
        index = read_table(folder / "index.csv", made_by="prepare")
        index["shard"] = shards.assign(index, photos=photos)
        shards.pack(index, folder)
        write_table(index, folder / "index.csv")
        return folder

    return pack


@pytest.fixture(scope="session")
def judged(tiny, prepared, tmp_path_factory):
    """A folder in which the stage evaluate judged an untrained model beside another such one.

    Its test photos are of a query whose name is an attack on web pages.
    """
    import numpy as np
    import pandas as pd
    import torch

    from stages.evaluate.__main__ import main as evaluate
    from stages.storage.tables import read_table, write_table
    from ungray import networks
    from ungray.imaging.grids import write_jpeg

    top = tmp_path_factory.mktemp("judged")
    yaml = YAML()
    content = yaml.load(ROOT / "params.yaml")
    content["evaluate"] |= TINY["evaluate"]
    yaml.dump(content, top / "params.yaml")
    shutil.copytree(prepared, top / "data/prepared")
    index = read_table(prepared / "index.csv", made_by="prepare")
    index["query"] = index["query"].where(index["split"] != "test", HOSTILE)
    write_table(index, top / "data/prepared/index.csv")
    originals = index[index["copy"] == 0]
    about = {"sha256": originals["photo"], "width": 300, "height": range(300, 300 + len(originals))}
    write_table(pd.DataFrame(about), top / "data/verdicts.csv")
    about = {"query": originals["query"], "status": "kept", "source": "folder", "license": ""}
    about |= {
        "sha256": originals["photo"] + 48 * "0",
        "url": "my%20photos/" + originals["photo"].str[:4] + HOSTILE,
    }
    write_table(pd.DataFrame(about), top / "data/manifest.csv")
    for number, folder in enumerate(("models", "base")):
        torch.manual_seed(number)
        network = networks.build(tiny["train"].network())
        networks.save_model(top / "data" / folder / "colorizer.safetensors", networks.Model(network, {}))
    plots = top / "reports/train/plots"
    for name in ("train", "val", "gray"):
        table = pd.DataFrame({"step": [1, 2, 3], name: [0.5, 0.3, 0.2]})
        (plots / "metrics/loss").mkdir(parents=True, exist_ok=True)
        table.to_csv(plots / f"metrics/loss/{name}.tsv", sep="\t", index=False)
    for epoch in range(3):
        tile = np.full((120, 180, 3), 40 + 80 * epoch, np.uint8)
        write_jpeg(plots / f"images/grid/{epoch:04}.jpg", tile)
    write_jpeg(plots / "images/learning.jpg", tile)
    # In this process, which has PyTorch: tests/evaluate/test_stage.py compares it with another one.
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(top)
        evaluate()
    return top


@pytest.fixture(scope="session")
def made_once(tmp_path_factory):
    """A function that returns the folder ``name``, which ``fill`` wrote: once for all processes of xdist.

    As pytest-xdist's documentation shows. Leave the folder as it is: all processes read it.
    """
    from ungray.system.files import whole_folder

    top = tmp_path_factory.getbasetemp()
    top = top.parent if "PYTEST_XDIST_WORKER" in os.environ else top

    def make(name, fill):
        folder = top / f"once-{name}"
        with FileLock(f"{folder}.lock"):
            if not folder.exists():
                with whole_folder(folder) as partial:
                    fill(partial)
        return folder

    return make


@pytest.fixture(scope="session")
def hinted(made_once):
    """The path of a model that takes hints, .safetensors, whose hints do something; the .onnx beside it."""
    return made_once("hinted", _write_hinted) / "model.safetensors"


def _write_hinted(folder):
    import torch

    from stages.export.to_onnx import write_onnx
    from ungray import networks

    torch.manual_seed(0)
    network = networks.build(
        {"architecture": "lite_unet", "working_size": 64, "decoder": [16, 16, 8, 8], "hints": True}
    )
    for layer in (network.encoder.stem_hints, *network.merge_hints):
        torch.nn.init.normal_(layer.weight, std=0.5)
    with torch.no_grad():
        network.head.weight *= 0.1
    path = folder / "model.safetensors"
    networks.save_model(path, networks.Model(network.eval(), {}))
    write_onnx(path.with_suffix(".onnx"), networks.load_model(path), opset=18)

"""Training on several processes, and in parts: the gradient is always that of the whole batch."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from stages.train import devices
from ungray import networks

ROOT = Path(__file__).parents[2]

# A network without batch-norm, whose statistics would be those of a process's own photos.
TRAIN = """
from pathlib import Path

from torch import nn

from stages.params import Machine
from stages.train.params import Params
from stages.train.run import run
from ungray import networks
from ungray.networks.unet import UNet


class Plain(UNet):
    ARCHITECTURE = "plain"

    def __init__(self, *, working_size):
        super().__init__(working_size=working_size, channels=[8, 8, 8, 8])
        self.configuration = {"architecture": "plain", "working_size": working_size}
        for name, module in list(self.named_modules()):
            for child, inner in list(module.named_children()):
                if isinstance(inner, nn.BatchNorm2d):
                    setattr(module, child, nn.Identity())


def train(prepared, changes, machine):
    networks.ARCHITECTURES["plain"] = Plain
    params = Params.model_validate(changes | {"architecture": "unet"})
    params = params.model_copy(update={"architecture": "plain"})
    machine = Machine.model_validate(machine)
    return run(params, machine, prepared=Path(prepared), report=Path("report"))
"""
SCRIPT = (
    TRAIN
    + """
import json
import sys

from ungray.system.console import run_command


def main():
    result = train(sys.argv[1], json.loads(sys.argv[2]), json.loads(sys.argv[3]))
    if result.first_process:
        networks.save_model(Path("m.safetensors"), result.model)
        print("LOG", json.dumps(result.state.log))
        print("torchmetrics was imported:", "torchmetrics" in sys.modules)


run_command(main)
"""
)


@pytest.fixture(scope="module")
def settings(tiny):
    """The section train, and a function that returns the section machine with changes."""
    params = tiny["train"].model_dump(mode="json") | {
        # Of 24 photos the processes get 12 and 11, and of the last batch 1 and none.
        "batch_size": 23, "epochs": 3, "optimizer": "sgd", "lr": 0.02,
    }  # fmt: skip
    return params, lambda **changes: tiny["machine"].model_dump() | changes


@pytest.fixture(scope="module")
def train_here(settings, prepared, tmp_path_factory):
    """A function that trains in this process and returns the log."""
    params, machine = settings

    def run(**changes):
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(tmp_path_factory.mktemp("here"))
            patch.setattr(networks, "ARCHITECTURES", dict(networks.ARCHITECTURES))
            exec(TRAIN, made := {"__name__": "plain"})
            return made["train"](prepared, params, machine(**changes)).state.log

    return run


@pytest.fixture(scope="module")
def alone(train_here):
    """The log of one process that takes each batch whole."""
    return train_here()


@pytest.fixture(scope="module")
def two(settings, prepared, tmp_path_factory):
    """The log of two processes that share each batch."""
    params, machine = settings
    top = tmp_path_factory.mktemp("distributed")
    (top / "script.py").write_text(SCRIPT)
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    done = subprocess.run(
        [*launcher, "script.py", str(prepared), json.dumps(params), json.dumps(machine())],
        cwd=top, capture_output=True, text=True, timeout=300,
        env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    logs = [line for line in done.stdout.splitlines() if "LOG " in line]
    assert len(logs) == 1, "one process writes"
    assert done.stdout.count("train: epoch 3/3") == 1
    assert "torchmetrics was imported: False" in done.stdout, "it would take seconds of every start"
    return json.loads(logs[0].partition("LOG ")[2])


def test_two_processes_end_where_one_does(alone, two):
    assert len(alone) == len(two) == 3
    for one, together in zip(alone, two, strict=True):
        assert abs(one["psnr/val"] - together["psnr/val"]) < 0.02
        for name, value in one.items():
            assert together[name] == pytest.approx(value, rel=1e-3), name


def test_a_batch_in_parts_ends_where_a_whole_one_does(train_here, alone):
    for whole, parts in zip(alone, train_here(accumulation=3), strict=True):
        for name, value in whole.items():
            assert parts[name] == pytest.approx(value, rel=1e-3), name


@pytest.mark.parametrize("photos", [1, 2, 3, 7, 30])
@pytest.mark.parametrize("ranks", [1, 2, 4])
@pytest.mark.parametrize("accumulation", [1, 3])
def test_every_photo_counts_the_same_however_a_batch_divides(photos, ranks, accumulation):
    weights = torch.zeros(photos)
    for rank in range(ranks):
        found = devices.shares(photos, ranks=ranks, rank=rank, accumulation=accumulation)
        assert found, "every process takes part in every step"
        for where, share in found:
            # Parts add up, processes are averaged, and a part's loss is the mean over its photos.
            weights[where] += share / len(weights[where]) / ranks
    torch.testing.assert_close(weights, torch.full((photos,), 1 / photos))

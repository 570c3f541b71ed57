"""Training on several processes, and in parts: the gradient is always that of the whole batch."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from stages.train import distributed

ROOT = Path(__file__).parents[2]

# A network without batch-norm, whose statistics would be those of a process's own photos.
SCRIPT = """
import json
import sys
from pathlib import Path

import torch
from torch import nn

from stages.params import Machine
from stages.train.params import Params
from stages.train.run import run
from ungray import networks
from ungray.networks.unet import UNet
from ungray.system.console import run_command


class Plain(UNet):
    ARCHITECTURE = "plain"

    def __init__(self, *, working_size):
        super().__init__(working_size=working_size, channels=[8, 8, 8, 8])
        self.configuration = {"architecture": "plain", "working_size": working_size}
        for name, module in list(self.named_modules()):
            for child, inner in list(module.named_children()):
                if isinstance(inner, nn.BatchNorm2d):
                    setattr(module, child, nn.Identity())


def main():
    networks.ARCHITECTURES["plain"] = Plain
    prepared, changes, machine = Path(sys.argv[1]), json.loads(sys.argv[2]), json.loads(sys.argv[3])
    architecture = changes.pop("architecture")
    params = Params.model_validate(changes | {"architecture": "unet"})
    params = params.model_copy(update={"architecture": architecture})
    machine = Machine.model_validate(machine)
    result = run(params, machine, prepared=prepared, report=Path("report"))
    if result.first_process:
        networks.save_model(Path("m.safetensors"), result.model)
        print("LOG", json.dumps(result.state.log))


run_command(main)
"""


@pytest.fixture
def train(tiny, prepared, tmp_path):
    """A function that trains in a process of its own, or several, and returns the log."""

    def run(name, *, ranks=1, machine=(), **changes):
        top = tmp_path / name
        top.mkdir()
        (top / "script.py").write_text(SCRIPT)
        params = tiny["train"].model_dump(mode="json") | {
            # Of 24 photos the processes get 12 and 11, and of the last batch 1 and none.
            "architecture": "plain", "batch_size": 23, "epochs": 3, "optimizer": "sgd", "lr": 0.02,
        } | changes  # fmt: skip
        options = tiny["machine"].model_dump() | dict(machine)
        launcher = [sys.executable]
        if ranks > 1:
            launcher += ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={ranks}"]
        done = subprocess.run(
            [*launcher, "script.py", str(prepared), json.dumps(params), json.dumps(options)],
            cwd=top, capture_output=True, text=True, timeout=300,
            env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        logs = [line for line in done.stdout.splitlines() if "LOG " in line]
        assert len(logs) == 1, "one process writes"
        assert done.stdout.count("train: epoch 3/3") == 1
        return json.loads(logs[0].partition("LOG ")[2])

    return run


def test_two_processes_end_where_one_does(train):
    one, two = train("one"), train("two", ranks=2)
    assert len(one) == len(two) == 3
    for alone, together in zip(one, two, strict=True):
        assert abs(alone["psnr/val"] - together["psnr/val"]) < 0.02
        for name, value in alone.items():
            assert together[name] == pytest.approx(value, rel=1e-3), name


def test_a_batch_in_parts_ends_where_a_whole_one_does(train):
    whole, parts = train("whole"), train("parts", machine={"accumulation": 3})
    for alone, together in zip(whole, parts, strict=True):
        for name, value in alone.items():
            assert together[name] == pytest.approx(value, rel=1e-3), name


@pytest.mark.parametrize("photos", [1, 2, 3, 7, 30])
@pytest.mark.parametrize("ranks", [1, 2, 4])
@pytest.mark.parametrize("accumulation", [1, 3])
def test_every_photo_counts_the_same_however_a_batch_divides(photos, ranks, accumulation):
    weights = torch.zeros(photos)
    for rank in range(ranks):
        found = distributed.shares(photos, ranks=ranks, rank=rank, accumulation=accumulation)
        assert found, "every process takes part in every step"
        for where, share in found:
            # Parts add up, processes are averaged, and a part's loss is the mean over its photos.
            weights[where] += share / len(weights[where]) / ranks
    torch.testing.assert_close(weights, torch.full((photos,), 1 / photos))

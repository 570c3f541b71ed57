"""Training stopped for real, by SIGKILL and by Ctrl-C, and started again."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from ruamel.yaml import YAML

ROOT = Path(__file__).parents[2]


@pytest.fixture
def project(tiny, prepared, tmp_path):
    """A function that makes a folder in which ``python -m stages.train`` runs."""

    def make(name, *, prepared=prepared, epochs=12, adversarial=0.0, **machine):
        top = tmp_path / name
        top.mkdir()
        yaml = YAML()
        content = yaml.load(ROOT / "params.yaml")
        content["train"] |= tiny["train"].model_dump(mode="json") | {
            "epochs": epochs, "grid_every": 5, "ema": 0.9, "clip_norm": 1.0, "keep": "best",
        }  # fmt: skip
        content["train"]["adversarial"]["weight"] = adversarial
        content["machine"] |= tiny["machine"].model_dump(mode="json") | {"checkpoint_steps": 1} | machine
        yaml.dump(content, top / "params.yaml")
        shutil.copytree(prepared, top / "data/prepared")
        return top

    return make


def start(top):
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, "-m", "stages.train"],
        cwd=top, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def stop_after(process, top, *, checkpoints, number):
    """Send the signal ``number`` once so many checkpoints were written; return the process's output."""
    seen = {path.stat().st_mtime_ns for path in top.glob(".cache/train/*/checkpoint.pt")}
    old = len(seen)
    while len(seen) < old + checkpoints:
        assert process.poll() is None, f"it ended by itself: {process.communicate()}"
        for path in top.glob(".cache/train/*/checkpoint.pt"):
            seen.add(path.stat().st_mtime_ns)
        time.sleep(0.002)
    process.send_signal(number)
    return process.communicate(timeout=60)


@pytest.fixture
def finish(command):
    """A function that trains to the end, in this process: the model's bytes, the report's, what is said."""

    def run(top):
        done = command("stages.train", folder=top)
        assert done.returncode == 0, done.stderr
        model = (top / "data/models/colorizer.safetensors").read_bytes()
        report = top / "reports/train"
        written = {p.relative_to(report): p.read_bytes() for p in report.rglob("*") if p.is_file()}
        return model, written, done.stdout

    return run


@pytest.mark.parametrize(
    ("options", "kills"),
    [
        ({}, (9,)),  # killed twice: tests/pipeline/test_repro.py
        # Two networks, and steps to do again: the last checkpoint is some behind.
        ({"adversarial": 0.1, "precision": "bf16", "checkpoint_steps": 7}, (2,)),
    ],
    ids=["plain", "adversarial"],
)
def test_killed_training_ends_with_the_very_files_of_one_that_never_was(project, finish, options, kills):
    whole, halves = project("whole", **options), project("halves", **options)
    expected, report, _ = finish(whole)
    for checkpoints in kills:
        process = start(halves)
        stop_after(process, halves, checkpoints=checkpoints, number=signal.SIGKILL)
        assert process.returncode == -signal.SIGKILL
        assert not (halves / "data/models").exists()
    model, resumed, out = finish(halves)
    assert "resuming from epoch" in out
    assert model == expected
    assert resumed == report


def test_killed_while_photos_are_streamed_it_ends_with_the_weights_of_one_that_read_its_own_shards(
    project, finish, packed, served
):
    shards = packed(2)
    whole = project("whole", prepared=shards, epochs=2)
    halves = project("halves", prepared=shards, epochs=2, stream=f"{served[0]}/{shards.name}")
    for path in (halves / "data/prepared").glob("*.tar"):
        path.unlink()
    expected, report, _ = finish(whole)
    process = start(halves)
    stop_after(process, halves, checkpoints=4, number=signal.SIGKILL)  # in the middle of the second epoch
    assert process.returncode == -signal.SIGKILL
    model, resumed, out = finish(halves)
    assert "resuming from epoch" in out
    assert model == expected
    assert resumed == report


def test_ctrl_c_saves_says_so_by_its_exit_code_and_training_goes_on(project, finish):
    top = project("stopped")
    process = start(top)
    _, err = stop_after(process, top, checkpoints=2, number=signal.SIGINT)
    assert process.returncode == 130
    assert err.rstrip().endswith("interrupted")
    assert "Traceback" not in err
    *_, out = finish(top)
    assert "resuming from epoch" in out

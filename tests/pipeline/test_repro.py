import json
import os
import re
import signal
import time

import pandas as pd
import pytest
from ruamel.yaml import YAML

pytestmark = pytest.mark.pipeline


def locked(clone):
    """The stages in dvc.lock, with every param and the checksum of every file."""
    return YAML(typ="safe").load(clone.read("dvc.lock"))["stages"]


def written(clone, pattern):
    """When the files were written that match ``pattern``."""
    return {path.stat().st_mtime_ns for path in clone.path.glob(pattern)}


def test_the_workflow_leaves_metrics_tables_and_models(repro):
    metrics = json.loads(repro.read("reports/metrics.json"))
    assert set(metrics["model"]) == {"psnr", "ssim", "ciede2000", "ab_mae", "colorfulness_ratio"}
    assert metrics["gray"].keys() == metrics["model"].keys()
    figures = pd.read_csv(repro.path / "reports/figures.csv").set_index(["figure", "method"])["mean"]
    for method in ("model", "gray"):
        assert all(figures[figure, method] == value for figure, value in metrics[method].items()), (
            "one source"
        )
    assert figures["raw_l1", "model"] > 0
    assert metrics["verdict"] == "too few photos to tell"
    assert (repro.path / "data/models/colorizer.onnx").stat().st_size > 1000
    assert "Too few photos to tell better from worse: 2 groups in test" in repro.read(
        "data/models/model_card.md"
    )
    assert {p.name for p in (repro.path / "reports/grids").iterdir()} == {
        "test.jpg",
        "best.jpg",
        "median.jpg",
        "worst.jpg",
    }


def test_git_sees_tables_and_metrics_and_no_photo_grid_or_model(repro):
    tracked = repro.run("git", "ls-files").stdout.splitlines()
    made = [name for name in tracked if name.startswith(("data/", "reports/")) and "data/remote" not in name]
    shown = {
        os.path.relpath((repro.path / name).parent / target, repro.path)
        for name in tracked
        if name.endswith(".md")
        for target in re.findall(r"!\[[^\]]*\]\(([^)]+)\)", repro.read(name))
    }
    others = {name for name in made if not name.endswith((".csv", ".json", ".tsv", ".md", ".gitignore"))}
    others -= {name for name in others if name.startswith("reports/tune/")}  # a search's charts, and its best
    others -= {"data/base/train_hashes.npy"}
    assert others <= shown, "pictures are there for READMEs and the base model's card to show"
    assert {
        "data/manifest.csv",
        "data/verdicts.csv",
        "reports/metrics.json",
        "reports/figures.csv",
        "reports/queries.csv",
        "reports/terciles.csv",
        "reports/photos.csv",
    } <= set(made)
    assert repro.run("git", "status", "--porcelain").stdout == ""


def test_a_second_repro_has_nothing_to_do(repro):
    assert "Data and pipelines are up to date" in repro.run("dvc", "repro").stdout


def test_a_finished_training_leaves_no_checkpoint_so_a_forced_rerun_really_trains(repro):
    assert not list((repro.path / ".cache").rglob("checkpoint.pt"))


def test_judged_and_exported_again_dvc_lock_stays_as_it_was(repro):
    # That the stages before these repeat themselves is seen where they are killed, below.
    lock = repro.read("dvc.lock")
    repro.run("dvc", "repro", "--force", "--downstream", "evaluate")
    assert repro.read("dvc.lock") == lock
    assert repro.run("git", "status", "--porcelain").stdout == ""


def test_killed_twice_and_stopped_by_ctrl_c_it_ends_with_the_same_result(repro, tiny_clone):
    def stopped_at(moment, how):
        """Start it; send ``how`` once a file that matches ``moment`` is written; return the exit code."""
        known = written(tiny_clone, moment)
        running = tiny_clone.start("dvc", "repro", "train")
        deadline = time.monotonic() + 900
        while written(tiny_clone, moment) <= known:
            assert running.poll() is None, f"it ended before {moment} was there"
            assert time.monotonic() < deadline
            time.sleep(0.002)
        os.killpg(running.pid, how)
        code = running.wait(300)
        assert not (tiny_clone.path / "data/models/colorizer.safetensors").exists()
        return code

    checkpoint = ".cache/train/*/checkpoint.pt"
    assert stopped_at("data/.prepared.partial", signal.SIGKILL) == -signal.SIGKILL
    assert stopped_at(checkpoint, signal.SIGKILL) == -signal.SIGKILL
    assert stopped_at(checkpoint, signal.SIGINT) != 0
    assert list(tiny_clone.path.glob(checkpoint))
    again = tiny_clone.run("dvc", "repro", "train")
    assert "train: resuming from" in again.stdout
    ended, expected = locked(tiny_clone), locked(repro)
    for stage in ("scrape", "filter", "prepare", "train"):
        assert ended[stage] == expected[stage]
    left = [p for p in tiny_clone.path.rglob(".*partial*") if ".dvc" not in p.parts]
    assert not left

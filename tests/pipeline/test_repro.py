import json
import os
import re
import signal
import time

import pandas as pd
import pytest

pytestmark = pytest.mark.pipeline


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


def test_forced_again_dvc_lock_stays_as_it_was(repro):
    lock = repro.read("dvc.lock")
    repro.run("dvc", "repro", "--force")
    assert repro.read("dvc.lock") == lock
    assert repro.run("git", "status", "--porcelain").stdout == ""


def test_killed_twice_in_the_middle_the_next_run_ends_with_the_same_result(repro, tiny_clone):
    for moment in ("data/.prepared.partial", ".cache/train/*/checkpoint.pt"):
        running = tiny_clone.start("dvc", "repro", "--force")
        deadline = time.monotonic() + 900
        while not list(tiny_clone.path.glob(moment)):
            assert running.poll() is None, f"it ended before {moment} was there"
            assert time.monotonic() < deadline
            time.sleep(0.002)
        os.killpg(running.pid, signal.SIGKILL)
        assert running.wait() == -signal.SIGKILL
        assert not (tiny_clone.path / "data/models/colorizer.onnx").exists()
    tiny_clone.run("dvc", "repro", "--force")
    assert tiny_clone.read("dvc.lock") == repro.read("dvc.lock")
    left = [p for p in tiny_clone.path.rglob(".*partial*") if ".dvc" not in p.parts]
    assert not left


def test_ctrl_c_in_training_saves_a_checkpoint_and_the_next_repro_goes_on(repro, tiny_clone):
    running = tiny_clone.start("dvc", "repro", "--force")
    deadline = time.monotonic() + 900
    while not list(tiny_clone.path.glob(".cache/train/*/checkpoint.pt")):
        assert running.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.002)
    os.killpg(running.pid, signal.SIGINT)
    assert running.wait(300) != 0
    assert list(tiny_clone.path.glob(".cache/train/*/checkpoint.pt"))
    again = tiny_clone.run("dvc", "repro")
    assert "train: going on from" in again.stdout
    assert tiny_clone.read("dvc.lock") == repro.read("dvc.lock")


def test_an_experiment_in_a_temporary_folder_uses_the_main_checkouts_cache(repro):
    repro.run("dvc", "exp", "run", "--temp", "-n", "elsewhere", "-S", "train.seed=2")
    assert "elsewhere" in repro.run("dvc", "exp", "list", "--name-only").stdout
    assert repro.run("git", "status", "--porcelain").stdout == ""
    assert len(list((repro.path / ".cache/pixels").iterdir())) == 2, "train and val, decoded once"

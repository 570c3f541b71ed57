"""The stage as a command, in a folder with all that it reads."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
from ruamel.yaml import YAML

ROOT = Path(__file__).parents[2]


def _run(folder):
    return subprocess.run(
        [sys.executable, "-m", "stages.evaluate"],
        cwd=folder, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False,
    )  # fmt: skip


def _outputs(folder):
    reports = folder / "reports"
    return {
        str(path.relative_to(reports)): path.read_bytes()
        for path in reports.rglob("*")
        if path.is_file() and path.name != "timings.json"
    }


def test_it_writes_tables_pictures_and_the_report(judged):
    written = {name for name in _outputs(judged) if not name.startswith("train/")}
    assert written == {
        "metrics.json", "quality.json",
        "figures.csv", "queries.csv", "terciles.csv", "photos.csv", "report.html",
        "grids/test.jpg", "grids/best.jpg", "grids/median.jpg", "grids/worst.jpg",
        "charts/queries.png", "charts/ab_histograms.png", "charts/curves.png",
    }  # fmt: skip
    metrics = json.loads((judged / "reports/metrics.json").read_text())
    assert metrics["verdict"] == metrics["verdict_beside_base"] == "too few photos to tell"
    photos = pd.read_csv(judged / "reports/photos.csv")
    assert set(photos["method"]) == {"model", "base", "gray", "mean_ab"}
    assert photos["size_tercile"].str.startswith(("low", "middle", "high")).all()


def test_the_tables_have_the_columns_that_dvc_draws(judged):
    plots = YAML(typ="safe").load(ROOT / "dvc.yaml")["stages"]["evaluate"]["plots"]
    for (name, drawn), *_ in (tuple(plot.items()) for plot in plots):
        assert {drawn["x"], drawn["y"]} <= set(pd.read_csv(judged / name, nrows=0).columns), name


def test_another_folder_gets_the_same_bytes_which_name_neither(judged, tmp_path):
    again = tmp_path / "elsewhere"
    shutil.copytree(judged, again)
    done = _run(again)
    assert done.returncode == 0, done.stderr
    first, second = _outputs(judged), _outputs(again)
    assert first.keys() == second.keys()
    for name, content in second.items():
        assert content == first[name], name
        assert str(judged).encode() not in content
        assert str(again).encode() not in content
    assert done.stdout.count("too few photos to tell better from worse") == 2
    assert "evaluate: drawing grids and charts" in done.stdout.splitlines()


def test_what_is_missing_is_named_with_the_stage_that_makes_it(judged, command, tmp_path):
    top = tmp_path / "checkout"
    shutil.copytree(judged, top)
    for missing, way_out in {
        "reports/train/plots/metrics/loss/val.tsv": "`dvc repro --force train` makes it",
        "data/models/colorizer.safetensors": "`dvc repro train` makes a model",
        "data/verdicts.csv": "`dvc repro filter` makes it",
    }.items():
        kept = (top / missing).read_bytes()
        (top / missing).unlink()
        done = command("stages.evaluate", folder=top)
        assert done.returncode == 1
        (said,) = done.stderr.strip().splitlines()
        assert said.startswith(f"error: {missing} not found")
        assert way_out in said
        (top / missing).write_bytes(kept)


def test_the_tool_compare_has_help_with_examples(command, tmp_path):
    shown = command("stages.evaluate", "compare", "--help", folder=tmp_path).stdout
    assert "python -m stages.evaluate compare" in shown
    assert "--photos" in shown

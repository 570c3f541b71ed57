"""The registry of metrics: one entry, and tables, report, card and DVC's files have it."""

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest
from ruamel.yaml import YAML

from stages.evaluate.__main__ import main as evaluate
from stages.export.card import model_card
from ungray import networks
from ungray.imaging import metrics
from ungray.imaging.metrics import DECISIVE, METRICS, Metric
from ungray.networks import Model

PIPELINE = YAML(typ="safe").load(Path(__file__).parents[2] / "dvc.yaml")
PLOTS = {
    file: plot for entry in PIPELINE["stages"]["evaluate"]["plots"] for file, plot in entry.items()
}  # fmt: skip
MAXIMUM = Metric(
    "ab_max",
    title="largest ab error",
    explanation="of all pixels, the one that is furthest off",
    better="lower",
    format=".1f",
    function=lambda it: float(abs(it.lab - it.true_lab)[..., 1:].max()),
    unit="Lab units",
    headline=True,
)


@pytest.fixture(scope="module")
def added(judged, tmp_path_factory):
    """A folder in which evaluate ran with a metric more: an entry with a function, and nothing else."""
    top = tmp_path_factory.mktemp("added") / "checkout"
    shutil.copytree(judged, top)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(metrics.METRICS, MAXIMUM.name, MAXIMUM)
        patch.chdir(top)
        evaluate()
        judged_model = networks.load_model(top / "data/models/colorizer.safetensors")
        quality = json.loads((top / "reports/quality.json").read_text())
        (top / "card.md").write_text(model_card(Model(judged_model.network, {}, quality)))
    return top


def test_a_metric_that_is_added_stands_in_every_table_and_in_dvcs_metrics(added):
    photos = pd.read_csv(added / "reports/photos.csv")
    means = photos.groupby("method")[MAXIMUM.name].mean()
    assert means["gray"] > 1
    figures = pd.read_csv(added / "reports/figures.csv").set_index(["figure", "method"])
    row = figures.loc[(MAXIMUM.name, "model")]
    assert row["mean"] == pytest.approx(means["model"], rel=1e-4)
    assert row["minus_gray"] == pytest.approx(means["model"] - means["gray"], abs=1e-3)
    assert row["mean_low"] <= row["mean"] <= row["mean_high"]
    assert f"{MAXIMUM.name}_model" in pd.read_csv(added / "reports/queries.csv")
    assert f"{MAXIMUM.name}_gray" in pd.read_csv(added / "reports/terciles.csv")
    found = json.loads((added / "reports/metrics.json").read_text())
    assert found["gray"][MAXIMUM.name] == pytest.approx(means["gray"], rel=1e-4)


def test_it_stands_in_the_report_and_in_the_card_with_title_unit_direction_and_format(added):
    gray = json.loads((added / "reports/metrics.json").read_text())["gray"][MAXIMUM.name]
    label = "largest ab error, Lab units (lower is better)"
    html = (added / "reports/report.html").read_text()
    assert label in html
    assert MAXIMUM.explanation in html
    assert html.index(label) < html.index("All other figures"), "a headline metric is shown at once"
    assert f"<td>{gray:.1f}<small>" in html
    (line,) = [line for line in (added / "card.md").read_text().splitlines() if label in line]
    assert f"| {gray:.1f} |" in line


@pytest.mark.parametrize("file", list(PLOTS))
def test_a_plot_of_dvc_shows_columns_that_its_file_has(added, file):
    assert {PLOTS[file]["x"], PLOTS[file]["y"]} <= set(pd.read_csv(added / file))


def test_dvc_yaml_calls_metrics_what_the_registry_does():
    for name in ("queries", "terciles"):
        plot = PLOTS[f"reports/{name}.csv"]
        assert plot["x"] == f"{DECISIVE.name}_minus_gray"
        assert plot["x_label"] == DECISIVE.minus_gray_label
    assert (PLOTS["reports/photos.csv"]["x"], PLOTS["reports/photos.csv"]["x_label"]) == (
        DECISIVE.name,
        DECISIVE.label,
    )
    (curve,) = [plot[DECISIVE.title] for plot in PIPELINE["plots"] if DECISIVE.title in plot]
    assert curve["y_label"] == DECISIVE.label.replace(" (", " at the working size (")
    assert all(f"/{DECISIVE.name}/" in file for file in curve["y"])


def test_every_metric_is_described_and_only_evaluates_own_have_no_function():
    assert [metric.name for metric in METRICS.values()] == list(METRICS)
    assert all(metric.title and metric.explanation for metric in METRICS.values())
    assert {name for name, metric in METRICS.items() if not metric.of_photos} == {
        "fid", "lpips", "raw_l1", "raw_mse",
    }  # fmt: skip
    psnr = METRICS["psnr"]
    assert psnr.label == "PSNR, dB (higher is better)"
    assert (psnr.text(21.237), psnr.text(1.5, signed=True)) == ("21.24", "+1.50")

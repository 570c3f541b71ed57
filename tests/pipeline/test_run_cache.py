"""What was made once comes back: after a typo, after a change that is taken back. With real DVC."""

import json
import re
from pathlib import Path

import pytest
from PIL import Image

pytestmark = pytest.mark.pipeline

TYPOS = {
    "scrape": ("limit", "many"),
    "filter": ("max_aspect", "wide"),
    "prepare": ("photo_size", "banana"),
    "train": ("lr", "0.001x"),
    "evaluate": ("seed", -1),
    "export": ("opset", "eighteen"),
}


@pytest.fixture(scope="module")
def ran(repro, tmp_path_factory):
    """A copy of the tiny clone in which the workflow ran, for the tests here."""
    return repro.copied(tmp_path_factory.mktemp("ran"))


def outcome(clone):
    """Commit nothing; return dvc.lock, which holds every param and the checksum of every output."""
    assert clone.run("git", "diff", "--stat", "--", "reports", "data").stdout == ""
    return clone.read("dvc.lock")


def stages_run(done):
    """The stages that `dvc repro` really ran."""
    return re.findall(r"Running stage '(\w+)'", done.stdout)


def test_a_typo_in_any_section_costs_nothing_once_it_is_mended(ran):
    before, params = outcome(ran), ran.read("params.yaml")
    ran.set(**{f"{stage}__{key}": wrong for stage, (key, wrong) in TYPOS.items()})
    # From the last to the first: a stage that fails has removed its outputs, which the next one depends on.
    backward = [*reversed(TYPOS)]
    refused = ran.run("dvc", "repro", "--single-item", "--keep-going", *backward, fails=True)
    assert stages_run(refused) == backward
    for stage, (key, wrong) in TYPOS.items():
        assert f"{stage}.{key} = {wrong!r} is not allowed" in refused.stderr
    assert not (ran.path / "data/raw").exists()
    (ran.path / "params.yaml").write_text(params)
    mended = ran.run("dvc", "repro")
    assert stages_run(mended) == []
    assert outcome(ran) == before
    assert "Data and pipelines are up to date" in ran.run("dvc", "repro").stdout


def test_a_change_that_is_taken_back_costs_nothing_and_neither_does_making_it_again(ran):
    before, params = outcome(ran), ran.read("params.yaml")
    ran.set(train__seed=2, prepare__shard_photos=20)
    assert stages_run(ran.run("dvc", "repro")) == ["prepare", "train", "evaluate", "export"]
    changed, sharded = ran.read("params.yaml"), ran.read("dvc.lock")
    assert list((ran.path / "data/prepared").glob("train-*.tar"))
    (ran.path / "params.yaml").write_text(params)
    assert stages_run(ran.run("dvc", "repro")) == []
    assert outcome(ran) == before
    (ran.path / "params.yaml").write_text(changed)
    assert stages_run(ran.run("dvc", "repro")) == []
    assert ran.read("dvc.lock") == sharded
    assert list((ran.path / "data/prepared").glob("train-*.tar"))
    (ran.path / "params.yaml").write_text(params)
    ran.run("dvc", "repro")
    assert outcome(ran) == before


def test_another_size_of_photo_is_another_result_although_prepare_has_run_before(ran):
    ran.run("dvc", "exp", "run", "-S", "prepare.photo_size=96", "prepare")
    sizes = {Image.open(path).size for path in (ran.path / "data/prepared/val").iterdir()}
    assert sizes == {(96, 96)}
    ran.run("git", "checkout", "-q", "--force", "main")
    ran.run("dvc", "checkout", "--force")


def test_tables_are_in_git_and_can_be_drawn(ran):
    drawn = json.loads(ran.run("dvc", "plots", "show", "--json").stdout)
    assert not drawn.get("errors"), drawn["errors"]
    tables = {name for name in drawn["data"] if name.endswith(".csv")}
    in_git = set(
        ran.run("git", "ls-files", "reports", "data/manifest.csv", "data/verdicts.csv").stdout.split()
    )
    assert tables == {name for name in in_git if name.endswith(".csv") and "/tune/" not in name}
    for name in tables:
        (plot,) = drawn["data"][name]
        assert plot["content"]["data"]["values"], name
    assert all(Path(ran.path / name).is_file() for name in tables)

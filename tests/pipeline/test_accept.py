"""Code that changed: what gives the same bytes goes into dvc.lock, what does not is left to `dvc repro`."""

import json
import shutil

import pytest

pytestmark = pytest.mark.pipeline


@pytest.fixture(scope="module")
def ran(repro, tmp_path_factory):
    """A copy of the tiny clone in which the workflow ran, for the tests here."""
    top = tmp_path_factory.mktemp("accept") / "clone"
    shutil.copytree(repro.path, top)
    copied = object.__new__(type(repro))
    copied.path = top
    copied.environment = repro.environment | {"PYTHONPATH": f"{top}:{top / 'stages'}"}
    return copied


def change(clone, name, old, new):
    text = clone.read(name)
    assert old in text
    (clone.path / name).write_text(text.replace(old, new))


def stale(clone):
    """The stages that `dvc repro` would run."""
    return set(json.loads(clone.run("dvc", "status", "--json").stdout))


def test_a_comment_is_accepted_and_another_loss_is_not(ran):
    assert "nothing to do" in ran.run("python", "-m", "stages.accept").stdout
    change(ran, "stages/prepare/geometry.py", "from __future__", "# A comment.\nfrom __future__")
    change(ran, "stages/train/losses.py", '"l1": functional.l1_loss', '"l1": functional.smooth_l1_loss')

    done = ran.run("python", "-m", "stages.accept", fails=True)

    assert "accept: dvc.lock has today's code of prepare\n" in done.stdout
    assert "accept: train is left to `dvc repro`: data/models/colorizer.safetensors differs\n" in done.stdout
    assert stale(ran) == {"train"}
    changed = ran.run("git", "status", "--porcelain").stdout.split()[1::2]
    assert set(changed) == {"dvc.lock", "stages/prepare/geometry.py", "stages/train/losses.py"}
    assert not list(ran.path.glob(".cache/accept-*"))

    ran.run("git", "checkout", "-q", "stages/train/losses.py")
    assert "Data and pipelines are up to date" in ran.run("dvc", "status").stdout


def test_a_stage_of_which_more_than_the_code_changed_is_not_tried(ran):
    ran.set(export__tolerance=0.3)
    change(ran, "stages/export/card.py", "from __future__", "# A comment.\nfrom __future__")
    done = ran.run("python", "-m", "stages.accept", fails=True)
    assert done.stdout == (
        "accept: export is left to `dvc repro`: besides its code, params.yaml (export) changed\n"
    )
    assert stale(ran) == {"export"}

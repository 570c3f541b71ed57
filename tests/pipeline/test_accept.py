"""Code that changed: what gives the same bytes goes into dvc.lock, what does not is left to `dvc repro`."""

import json
import re

import pytest

pytestmark = pytest.mark.pipeline


def change(clone, name, old, new):
    text = clone.read(name)
    assert old in text
    (clone.path / name).write_text(text.replace(old, new))


def stale(clone):
    """The stages that `dvc repro` would run."""
    return set(json.loads(clone.run("dvc", "status", "--json").stdout))


def test_a_comment_is_accepted_and_neither_another_loss_nor_a_change_beside_the_code(repro, tmp_path):
    clone = repro.copied(tmp_path)
    assert "nothing to do" in clone.run("python", "-m", "stages.accept").stdout
    change(clone, "stages/prepare/geometry.py", "from __future__", "# A comment.\nfrom __future__")
    change(clone, "stages/train/losses.py", '"l1": functional.l1_loss', '"l1": functional.smooth_l1_loss')
    change(clone, "stages/export/card.py", "from __future__", "# A comment.\nfrom __future__")
    clone.set(export__tolerance=0.3)

    done = clone.run("python", "-m", "stages.accept", fails=True)

    assert "accept: dvc.lock is updated to today's code of prepare\n" in done.stdout
    assert "accept: train is left to `dvc repro`: data/models/colorizer.safetensors differs\n" in done.stdout
    assert (
        "accept: export is left to `dvc repro`: besides its code, params.yaml (export) changed\n"
    ) in done.stdout
    assert not re.search("(trying|running) (evaluate|export)", done.stdout), "what is not tried takes no time"
    assert stale(clone) == {"train", "export"}
    changed = clone.run("git", "status", "--porcelain").stdout.split()[1::2]
    sources = {f"stages/{name}.py" for name in ("prepare/geometry", "train/losses", "export/card")}
    assert set(changed) == {"dvc.lock", "params.yaml", *sources}
    assert not list(clone.path.glob(".cache/accept-*"))

    clone.run("git", "checkout", "-q", "stages/train/losses.py", "stages/export/card.py", "params.yaml")
    assert "Data and pipelines are up to date" in clone.run("dvc", "status").stdout

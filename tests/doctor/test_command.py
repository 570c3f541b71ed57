"""``python -m stages.doctor``, as a person runs it."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from stages.doctor.__main__ import main
from ungray.errors import UngrayError

ROOT = Path(__file__).parents[2]
TINY = ["train.architecture=unet", "train.start_from=nothing", "train.working_size=32", "train.batch_size=4"]
TINY += ["machine.device=cpu", "machine.precision=fp32"]
TINY = [word for setting in TINY for word in ("-S", setting)]


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A checkout in which nothing was run yet."""
    shutil.copy(ROOT / "params.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_before_anything_was_run_it_tells_all_as_json(here):
    # A process of its own: a person's first run, with nothing imported.
    run = subprocess.run(
        [sys.executable, "-m", "stages.doctor", "--json", "--seconds", "0", *TINY],
        cwd=here, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    found = json.loads(run.stdout)
    assert found.keys() == {"machine", "caches", "cost", "photos", "plan", "advice"}
    assert found["machine"]["versions"].keys() >= {"python", "torch", "dvc"}
    assert found["cost"]["measured_batch"] == 4
    assert found["cost"]["precision"] == "fp32"
    assert found["photos"]["source"] == "assumed"
    assert any("assumed" in sentence for sentence in found["advice"])
    assert list(here.iterdir()) == [here / "params.yaml"], "nothing is written"


def test_a_person_reads_lines(here, command):
    run = command("stages.doctor", "--photos", "700", "--seconds", "0", *TINY, folder=here)
    assert run.returncode == 0, run.stderr
    heads = [line.split()[0] for line in run.stdout.splitlines() if not line.startswith(" ")]
    assert heads == ["Machine", "Caches", "A", "Advice"]
    assert "700 photos and copies, as you say" in run.stdout
    assert "batches of 4, cpu, fp32" in run.stdout


def test_what_is_wrong_is_said_in_a_sentence(here, monkeypatch):
    def refusal(*arguments):
        monkeypatch.setattr(sys, "argv", ["doctor", *arguments])
        with pytest.raises(UngrayError) as caught:
            main()
        assert "\n" not in str(caught.value)
        return str(caught.value)

    assert "did you mean batch_size?" in refusal("-S", "train.bach_size=3")
    assert "train.batch_size = 'many' is not allowed" in refusal("-S", "train.batch_size=many")
    assert "write section.key=value" in refusal("-S", "batch_size")
    assert "--photos 0 is not allowed: it must be 1 or more" in refusal("--photos", "0")
    assert "--seconds -1 is not allowed" in refusal("--seconds", "-1")
    assert "--seconds nan is not allowed" in refusal("--seconds", "nan")
    (here / "params.yaml").unlink()
    assert "params.yaml not found" in refusal()


def test_versions_that_do_not_fit_together_are_said_in_a_sentence(here, monkeypatch):
    monkeypatch.delattr("stages.doctor.plan", raising=False)
    monkeypatch.setitem(sys.modules, "stages.doctor.plan", None)  # as where torchvision can't be imported
    monkeypatch.setattr(sys, "argv", ["doctor", "--seconds", "0"])
    with pytest.raises(UngrayError, match=r"^training cannot start \(.*pip check"):
        main()

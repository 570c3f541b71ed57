"""What `make` prints while it installs, with a stand-in for pip."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PYTHON = """#!/bin/sh
[ "$2" = venv ] && mkdir -p "$3/bin" && cp "$0" "$3/bin/python"
[ "$3" = pip ] || exit 0
echo "Requirement already satisfied: numpy"
echo "Collecting dvc"
exit ${PIP_EXIT:-0}
"""


@pytest.fixture
def make_env(tmp_path):
    """A function that runs `make env` in a folder with the real Makefile, and returns its end."""
    for name in ("Makefile", "pyproject.toml", ".constraints.txt"):
        shutil.copy(ROOT / name, tmp_path / name)
    (tmp_path / "python").write_text(PYTHON)
    (tmp_path / "python").chmod(0o755)

    def run(**environment):
        return subprocess.run(
            ["make", "env", "PYTHON=./python"],
            cwd=tmp_path, capture_output=True, text=True, env=os.environ | environment,
        )  # fmt: skip

    return run


def test_an_update_names_only_what_is_new_and_a_failure_stays_one(make_env, tmp_path):
    first = make_env()
    assert first.returncode == 0, first.stderr
    assert "about 7 GB" in first.stdout
    assert "already satisfied: numpy\nCollecting dvc\n" in first.stdout
    assert "Nothing to be done" in make_env().stdout
    os.utime(tmp_path / "pyproject.toml")
    failed = make_env(PIP_EXIT="3")
    assert failed.returncode == 2
    again = make_env()
    assert again.returncode == 0
    assert "Updating .venv: pyproject.toml or .constraints.txt has changed." in again.stdout
    assert "\nCollecting dvc\n" in again.stdout
    assert "\nRequirement already satisfied" not in again.stdout

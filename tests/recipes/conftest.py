"""A folder with the shipped params, and a stand-in for DVC."""

import os
import shutil
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder with the shipped params.yaml."""
    shutil.copy(ROOT / "params.yaml", tmp_path)
    (tmp_path / "data/inbox").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def fake_dvc(here, monkeypatch):
    """A `dvc` that writes down what it is asked and fails with 3."""
    (here / "bin").mkdir()
    script = here / "bin/dvc"
    script.write_text('#!/bin/sh\nprintf "%s\\n" "$@" > asked\nexit 3\n')
    script.chmod(0o755)
    monkeypatch.setenv("PATH", str(here / "bin"), prepend=os.pathsep)
    return script

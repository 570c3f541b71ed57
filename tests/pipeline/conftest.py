"""A temporary clone of this repository, in which real DVC runs."""

import copy
import os
import shutil
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from ruamel.yaml import YAML

ROOT = Path(__file__).parents[2]
TINY = {
    "scrape.sample_crops": 2,
    "prepare.photo_size": 64,
    "prepare.rotated_copies": 1,
    "train.architecture": "unet",
    "train.start_from": "nothing",
    "train.lr": 0.001,
    "train.keep": "last",
    "train.working_size": 32,
    "train.unet": {"channels": [4, 6, 8, 10]},
    "train.batch_size": 8,
    "train.epochs": 3,
    "train.grid_every": 1,
    "train.grid_photos": 2,
    "evaluate.grid_rows": 2,
    "machine.checkpoint_steps": 1,
    "machine.threads": 1,
}


class Clone:
    """A clone of the working tree as it stands, committed, and commands run in it.

    Without ``base`` it has no base model, so that nothing need be pulled before the workflow runs.
    """

    def __init__(self, path: Path, *, base: bool = False) -> None:
        self.path = path
        listed = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=ROOT, capture_output=True, text=True, check=True,
        ).stdout.split("\0")  # fmt: skip
        for name in filter(None, listed):
            if (ROOT / name).is_file() and (base or not name.startswith("data/base/colorizer.")):
                (path / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, path / name)
        for compiled in (ROOT / "stages").rglob("__pycache__/*.*"):
            # Compiling all anew takes every clone six seconds. Another process may be writing there.
            with suppress(FileNotFoundError):
                (path / compiled.parent.relative_to(ROOT)).mkdir(exist_ok=True)
                shutil.copy2(compiled, path / compiled.relative_to(ROOT))
        self.environment = os.environ | self._paths() | {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "DVC_NO_ANALYTICS": "1",
            "NO_ALBUMENTATIONS_UPDATE": "1",
            "GIT_AUTHOR_NAME": "Test", "GIT_AUTHOR_EMAIL": "test@example.org",
            "GIT_COMMITTER_NAME": "Test", "GIT_COMMITTER_EMAIL": "test@example.org",
        }  # fmt: skip
        self.run("git", "init", "-q", "-b", "main")
        self.commit("start")

    def _paths(self) -> dict[str, str]:
        # `colorize` looks for the model beside its code: that of this clone.
        return {"PYTHONPATH": f"{self.path}{os.pathsep}{self.path / 'stages'}"}

    def copied(self, path: Path) -> "Clone":
        """Return a copy of this one in the empty folder ``path``."""
        shutil.copytree(self.path, path, symlinks=True, dirs_exist_ok=True)
        other = copy.copy(self)
        other.path = path
        other.environment = self.environment | other._paths()
        return other

    def run(self, *command: str, fails: bool = False) -> subprocess.CompletedProcess[str]:
        """Run ``command`` here; its exit code must be zero unless ``fails``."""
        done = subprocess.run(
            command,
            cwd=self.path,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=1800,
            check=False,
        )
        assert (done.returncode != 0) == fails, f"{command}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    def start(self, *command: str) -> subprocess.Popen[bytes]:
        """Start ``command`` here as the leader of a process group of its own."""
        return subprocess.Popen(
            command, cwd=self.path, env=self.environment, start_new_session=True,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip

    def commit(self, message: str) -> None:
        self.run("git", "add", "-A")
        self.run("git", "commit", "-q", "--no-verify", "-m", message)

    def set(self, **values: object) -> None:
        """Change params.yaml; keys are section__key."""
        yaml = YAML()
        path = self.path / "params.yaml"
        content = yaml.load(path)
        for name, value in values.items():
            section, key = name.split("__")
            content[section][key] = value
        yaml.dump(content, path)

    def read(self, name: str) -> str:
        return (self.path / name).read_text()


@pytest.fixture(scope="session")
def shipped(tmp_path_factory):
    """A clone with the params as shipped, to make others of: Git packs its 60 MB once."""
    return Clone(tmp_path_factory.mktemp("shipped"))


@pytest.fixture(scope="session")
def tiny_shipped(shipped, tmp_path_factory):
    """The same with tiny params, in which nothing has run."""
    clone = shipped.copied(tmp_path_factory.mktemp("tiny"))
    clone.set(**{name.replace(".", "__"): value for name, value in TINY.items()})
    clone.commit("tiny")
    return clone


@pytest.fixture
def clone(shipped, tmp_path):
    """A clone with the params as shipped."""
    return shipped.copied(tmp_path)


@pytest.fixture
def tiny_clone(tiny_shipped, tmp_path):
    """A clone whose workflow runs in seconds; nothing has run in it yet."""
    return tiny_shipped.copied(tmp_path)


@pytest.fixture(scope="session")
def repro(tiny_shipped, tmp_path_factory):
    """A tiny clone in which the workflow has run once. Shared: leave it as it is, or copy it."""
    clone = tiny_shipped.copied(tmp_path_factory.mktemp("repro"))
    clone.run("dvc", "repro")
    clone.commit("ran")
    return clone

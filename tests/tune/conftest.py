import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
from ruamel.yaml import YAML

from stages.tune import study

ROOT = Path(__file__).parents[2]
SPACE = {
    "train.batch_size": [4, 8],
    "train.lr": {"low": 0.0001, "high": 0.01, "log": True},
    "train.loss": ["l1", "mse"],
}
# A dead process is noticed after seconds, not half a minute.
SOON = {"HEARTBEAT_SECONDS": 1, "GRACE_SECONDS": 4}
HURRIED = f"from stages.tune import study, __main__; vars(study).update({SOON}); __main__.main()"


class Place:
    """A folder with prepared photos and params.yaml, in which the search runs as a user would run it."""

    grace = SOON["GRACE_SECONDS"]
    """Seconds after which a dead process is noticed."""

    def __init__(self, path: Path, command=None) -> None:
        self.path, self.command = path, command

    def set(self, **changes):
        """Change the section ``tune`` of params.yaml."""
        yaml = YAML()
        yaml.preserve_quotes, yaml.width = True, 10**6
        yaml.indent(mapping=2, sequence=4, offset=2)
        content = yaml.load(self.path / "params.yaml")
        content["tune"] |= changes
        yaml.dump(content, self.path / "params.yaml")

    def start(self, *arguments, hurried=False):
        command = ["-c", HURRIED] if hurried else ["-m", "stages.tune"]
        return subprocess.Popen(
            [sys.executable, *command, *arguments],
            cwd=self.path, env=os.environ | {"PYTHONPATH": str(ROOT)}, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    def run(self, *arguments, code=0):
        process = self.start(*arguments)
        out, err = process.communicate(timeout=500)
        assert process.returncode == code, err
        assert "Traceback" not in err
        assert "Fatal" not in err
        return out if code == 0 else err

    def call(self, *arguments, code=0):
        """Like :meth:`run`, hurried and without a new process."""
        with pytest.MonkeyPatch.context() as patch:
            for name, seconds in SOON.items():
                patch.setattr(study, name, seconds)
            done = self.command("stages.tune", *arguments, folder=self.path)
        assert done.returncode == code, done.stderr
        assert "Traceback" not in done.stderr
        return done.stdout if code == 0 else done.stderr

    @property
    def trials(self):
        return pd.read_csv(self.path / "reports/tune/trials.csv")

    def logs(self):
        return sorted(self.path.glob(".cache/tune/*/trial-*/train.log"))

    def wait_for_log(self, words, number):
        """Wait until trial ``number`` has begun to train and its log holds ``words``."""
        until = time.monotonic() + 300
        while time.monotonic() < until:
            found = [path for path in self.logs() if path.parent.name == f"trial-{number:04}"]
            if found and words in found[0].read_text():
                return
            time.sleep(0.02)
        raise AssertionError(f"trial {number} did not say {words!r}")


@pytest.fixture
def place(tiny_params, prepared, tmp_path, command):
    """A :class:`Place` with a small space and four trials of two epochs."""
    return _made(tmp_path, tiny_params, prepared, command)


@pytest.fixture(scope="session")
def whole(tiny_params, prepared, tmp_path_factory):
    """A :class:`Place` in which a search ran that nothing disturbed; ``said`` is what it printed."""
    made = _made(tmp_path_factory.mktemp("whole"), tiny_params, prepared)
    made.said = made.run()
    return made


@pytest.fixture
def copy_of_whole(whole, tmp_path, command):
    """A copy of ``whole`` to work on."""
    shutil.copytree(whole.path, tmp_path / "copy")
    return Place(tmp_path / "copy", command)


def _made(path, tiny_params, prepared, command=None):
    shutil.copy(tiny_params, path / "params.yaml")
    shutil.copytree(prepared, path / "data/prepared")
    return Place(path, command)


@pytest.fixture(scope="session")
def tiny_params(tiny, tmp_path_factory):
    """params.yaml as shipped, with the tiny sections of tests/conftest.py and a small search."""
    yaml = YAML()
    yaml.preserve_quotes, yaml.width = True, 10**6
    yaml.indent(mapping=2, sequence=4, offset=2)
    content = yaml.load(ROOT / "params.yaml")
    for section in ("train", "machine"):
        for key, value in tiny[section].model_dump(mode="json").items():
            if content[section][key] != value:
                content[section][key] = value
    content["tune"] |= {"trials": 4, "epochs": 2, "space": SPACE, "fixed": {"train.flip": False}}
    path = tmp_path_factory.mktemp("tune") / "params.yaml"
    yaml.dump(content, path)
    return path

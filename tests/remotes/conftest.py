"""A small DVC project whose owner and colleagues share its files through the servers of servers.py."""

import json
import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from .servers import S3, SSH, Server, WebDAV

BIG, SMALL = 8, 12
BIG_BYTES = 1_000_000

DVC = """
import json, sys
from dvc.cli import main
for arguments in json.loads(sys.argv[1]):
    if code := main(arguments):
        sys.exit(code)
"""
"""Runs DVC commands in one process until one fails: starting DVC costs more than most commands."""


class Workspace:
    """A folder under Git and DVC, for somebody with a home and DVC caches that nobody else has."""

    def __init__(self, path: Path) -> None:
        self.path = path
        home = path.with_name(f"{path.name}-home")
        home.mkdir()
        # Neither keys nor settings of whoever runs the tests.
        foreign = ("AWS_", "SSH_", "DVC_", "GIT_", "XDG_")
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
        self.environment |= {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "HOME": str(home),
            "DVC_SITE_CACHE_DIR": str(home / "dvc"),
            "DVC_NO_ANALYTICS": "1",
            "NO_PROXY": "127.0.0.1",
            # Else DVC asks a dead S3 server for minutes.
            "AWS_MAX_ATTEMPTS": "1",
            "GIT_AUTHOR_NAME": "Test", "GIT_AUTHOR_EMAIL": "test@example.org",
            "GIT_COMMITTER_NAME": "Test", "GIT_COMMITTER_EMAIL": "test@example.org",
        }  # fmt: skip

    def run(self, *command: str, fails: bool = False) -> str:
        """Run ``command`` here, and return what it says; its exit code must be zero unless ``fails``."""
        done = subprocess.run(
            command, cwd=self.path, env=self.environment, timeout=300, check=False,
            text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        assert (done.returncode != 0) == fails, f"{command}: {done.returncode}\n{done.stdout}"
        return done.stdout

    def dvc(self, *commands: list[str], fails: bool = False) -> str:
        return self.run(sys.executable, "-c", DVC, json.dumps(commands), fails=fails)

    def commit(self) -> None:
        self.run("git", "add", "-A")
        self.run("git", "commit", "-q", "-m", "a commit")

    def clone(self, path: Path) -> "Workspace":
        """A colleague's fresh clone: what is committed, and nothing of DVC's cache."""
        colleague = Workspace(path)
        self.run("git", "clone", "-q", str(self.path), str(path))
        return colleague

    def files(self) -> dict[str, bytes]:
        """The photos and the model: path to content."""
        paths = [*self.path.glob("photos/*"), self.path / "model"]
        return {str(path.relative_to(self.path)): path.read_bytes() for path in paths}


def add(server: Server) -> list[list[str]]:
    """The commands that make ``server`` the remote of a project; what they write is committed."""
    options = [["remote", "modify", "team", name, value] for name, value in server.options.items()]
    return [["remote", "add", "-q", "-d", "team", server.url], *options]


def secrets(credentials: dict[str, str]) -> list[list[str]]:
    """The commands that everybody runs in the own clone."""
    return [["remote", "modify", "--local", "team", name, value] for name, value in credentials.items()]


@pytest.fixture(scope="session")
def project(tmp_path_factory):
    """A project of small and big files that has no remote yet. Shared: leave it as it is."""
    made = Workspace(tmp_path_factory.mktemp("made") / "project")
    photos = made.path / "photos"
    photos.mkdir(parents=True)
    noise = random.Random(0)
    for number in range(BIG):
        (photos / f"big-{number}").write_bytes(noise.randbytes(BIG_BYTES))
    for number in range(SMALL):
        (photos / f"small-{number}").write_bytes(noise.randbytes(1000))
    (made.path / "model").write_bytes(noise.randbytes(1000))
    made.run("git", "init", "-q", "-b", "main")
    made.dvc(["init", "-q"], ["add", "-q", "photos", "model"])
    made.commit()
    return made


@pytest.fixture
def owner(project, tmp_path):
    """Somebody who has the project's files and may set it up."""
    shutil.copytree(project.path, tmp_path / "owner")
    return Workspace(tmp_path / "owner")


@pytest.fixture(params=[S3, SSH, WebDAV], ids=["s3", "ssh", "webdav"])
def server(request, tmp_path):
    """A server that takes files from those who may."""
    server = request.param(tmp_path / "server")
    server.start()
    yield server
    server.close()

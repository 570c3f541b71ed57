"""What a team does with a remote: share, be refused, and go on after the server has died."""

import hashlib
import re
import shlex
import shutil
from pathlib import Path

import pytest

from .conftest import BIG, BIG_BYTES, SMALL, Workspace, add, secrets
from .servers import ROOT, Http, WebDAV

pytestmark = pytest.mark.pipeline
OBJECTS = BIG + SMALL + 2
"""The photos, the list of them, the model."""


def md5(path: Path) -> str:
    return hashlib.md5(path.read_bytes()).hexdigest()


def test_what_is_pushed_a_fresh_clone_pulls(server, owner, tmp_path):
    said = owner.dvc(*add(server), *secrets(server.credentials), ["push"])
    assert f"{OBJECTS} files pushed" in said
    owner.commit()
    colleague = owner.clone(tmp_path / "colleague")
    colleague.dvc(*secrets(server.credentials), ["pull"])
    assert colleague.files() == owner.files()
    # The secrets stay where they were typed in.
    for secret in server.credentials.values():
        assert secret in (colleague.path / ".dvc/config.local").read_text()
    assert "config.local" not in colleague.run("git", "ls-files") + colleague.run(
        "git", "status", "--porcelain"
    )


def test_wrong_credentials_are_refused_in_words(server, owner, tmp_path):
    said = owner.dvc(*add(server), *secrets(server.wrong), ["push"], fails=True)
    assert server.refusal in said
    assert not server.objects()
    owner.commit()
    colleague = owner.clone(tmp_path / "colleague")
    said = colleague.dvc(*secrets(server.wrong), ["pull"], fails=True)
    assert server.refusal in said
    assert not (colleague.path / "photos").exists()


def test_a_push_to_a_server_that_dies_is_completed_by_the_next(server, owner, tmp_path):
    # Two by two, so that some are whole and some are on their way when the server dies.
    server.wire.bytes_left = int(4.5 * BIG_BYTES)
    said = owner.dvc(*add(server), *secrets(server.credentials), ["push", "--jobs", "2"], fails=True)
    assert "ERROR" in said
    assert server.process.poll() is not None
    before = len(server.objects())
    assert 0 < before < OBJECTS
    server.start()
    assert f"{OBJECTS - before} files pushed" in owner.dvc(["push"])
    assert len(server.objects()) == OBJECTS
    owner.commit()
    colleague = owner.clone(tmp_path / "colleague")
    colleague.dvc(*secrets(server.credentials), ["pull"])
    assert colleague.files() == owner.files()


@pytest.mark.parametrize("server", [WebDAV], indirect=True, ids=["webdav"])
def test_with_verify_a_damaged_object_is_not_pulled(server, owner, tmp_path):
    # Without it DVC would take what lies under an object's name for the object.
    verify = ["remote", "modify", "team", "verify", "true"]
    owner.dvc(*add(server), verify, *secrets(server.credentials), ["push"])
    owner.commit()
    damaged = max(server.objects().values(), key=lambda path: path.stat().st_size)
    damaged.write_bytes(damaged.read_bytes()[: BIG_BYTES // 2])
    colleague = owner.clone(tmp_path / "colleague")
    said = colleague.dvc(*secrets(server.credentials), ["pull"], fails=True)
    assert "Checkout failed for following targets:\nphotos" in said
    assert not (colleague.path / "photos").exists()
    # The way out of data/README.md: without the folder's list gone as well, DVC takes all of it for pushed.
    damaged.unlink()
    (listing,) = (path for path in server.objects().values() if path.suffix == ".dir")
    listing.unlink()
    server.kill()  # rclone remembers for minutes what was there
    server.start()
    assert "2 files pushed" in owner.dvc(["push"])
    colleague.dvc(["pull"])
    assert colleague.files() == owner.files()


@pytest.fixture
def bundled(tmp_path):
    """This project's outputs as dvc.lock has them, with data/remote on a web server instead of beside it."""
    clone = Workspace(tmp_path / "clone")
    base = [path.relative_to(ROOT) for path in (ROOT / "data/base").glob("*.dvc")]
    for name in ("dvc.yaml", "dvc.lock", "params.yaml", ".dvc/config", *base):
        (clone.path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, clone.path / name)
    clone.run("git", "init", "-q", "-b", "main")
    server = Http(tmp_path / "server", served=ROOT / "data/remote")
    server.start()
    yield clone, server
    server.close()


def test_the_bundled_folder_on_a_web_server_is_pulled_from_and_takes_nothing(bundled):
    clone, server = bundled
    clone.dvc(*add(server), ["pull"])
    pulled = {
        md5(path) for top in ("data", "reports") for path in (clone.path / top).rglob("*") if path.is_file()
    }
    there = server.objects()
    assert {name for name in there if not name.endswith(".dir")} <= pulled
    (clone.path / "photo").write_bytes(b"a photo of one's own")
    said = clone.dvc(["add", "-q", "photo"], ["push", "photo"], fails=True)
    assert "501, message=\"Unsupported method ('POST')\"" in said
    assert "failed to push data to the cloud - 1 files failed to upload" in said
    assert server.objects() == there


def readmes_commands():
    """The commands in data/README.md's table of remotes, by the name of the remote."""
    section = (ROOT / "data/README.md").read_text().split("## Remotes for a team")[1].split("\n#")[0]
    rows = [line.split(" | ") for line in section.splitlines() if "`dvc remote add" in line]
    return {row[0].strip("| "): re.findall(r"`dvc ([^`]+)`", " ".join(row)) for row in rows}


def test_readmes_commands_are_taken_and_keep_secrets_out_of_git(tmp_path):
    # All that is tried of Google's and Microsoft's: there is no server of theirs to start here.
    commands = readmes_commands()
    assert len(commands) == 6
    workspace = Workspace(tmp_path / "workspace")
    workspace.path.mkdir()
    workspace.run("git", "init", "-q")
    # A name each, so that none takes another's place.
    named = [
        [line.replace(" team", f" team{n}") for line in lines] for n, lines in enumerate(commands.values())
    ]
    workspace.dvc(["init", "-q"], *(shlex.split(line) for lines in named for line in lines))
    shared, own = ((workspace.path / ".dvc" / name).read_text() for name in ("config", "config.local"))
    assert shared.count("url = ") == len(commands)
    for name in ("SECRET", "key", "credentialpath", "user"):
        assert name in own
        assert name not in shared

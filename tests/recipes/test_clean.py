"""`make clean-experiments`: what killed experiments left goes, unless DVC is at work."""

import subprocess
import sys

import pytest


@pytest.fixture
def left(tmp_path):
    """A repository in which two experiments were killed: one had just begun to copy it."""
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    for copy in (".dvc/tmp/exps/tmpabc/.git", ".dvc/tmp/exps/standalone/tmpdef/.git"):
        (tmp_path / copy).mkdir(parents=True)
    (tmp_path / ".dvc/tmp/exps/standalone/run/1").mkdir(parents=True)
    (tmp_path / ".dvc/tmp/exps/tmpfile").touch()
    return tmp_path


def test_copies_go_and_a_second_time_there_is_nothing(left, command):
    done = command("stages.recipes.clean", folder=left)
    assert (done.returncode, done.stdout) == (0, "removed 2 temporary copies\n")
    assert {path.name for path in (left / ".dvc/tmp/exps").rglob("*")} == {"standalone", "tmpfile"}
    again = command("stages.recipes.clean", folder=left)
    assert again.stdout == "no killed experiment left anything\n"


def test_while_dvc_is_at_work_nothing_is_removed(left, command):
    # A program that is called as DVC is, and runs until it is told to end.
    (left / "dvc").write_text("import sys; sys.stdout.write('up'); sys.stdout.flush(); sys.stdin.read()")
    at_work = subprocess.Popen(
        [sys.executable, "dvc", "repro"], cwd=left, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert at_work.stdout.read(2) == b"up"
    refused = command("stages.recipes.clean", folder=left)
    at_work.communicate()
    assert refused.returncode == 1
    assert f"DVC is at work here (process {at_work.pid})" in refused.stderr
    assert (left / ".dvc/tmp/exps/tmpabc/.git").is_dir()

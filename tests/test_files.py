import hashlib
import subprocess
import sys

import pytest

from stages.files import sha256, whole_file, whole_folder

KILLED_IN = """
import os, signal, sys
from pathlib import Path
from stages.files import whole_file, whole_folder
with {maker}(Path(sys.argv[1])) as partial:
    {write}
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def kill_while():
    """A function that starts a process which writes ``path`` by ``maker`` and is killed half-way."""

    def run(maker, path, write):
        script = KILLED_IN.format(maker=maker, write=write)
        assert subprocess.run([sys.executable, "-c", script, str(path)], timeout=60).returncode == -9

    return run


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def old_folder(top):
    (top / "raw").mkdir()
    (top / "raw/old.txt").write_text("old")
    return top / "raw"


def test_a_file_appears_when_its_block_ends_and_not_before(tmp_path):
    path = tmp_path / "deep/down/table.csv"
    with whole_file(path) as partial:
        partial.write_text("new")
        assert not path.exists()
        assert partial.suffix == ".csv"
    assert path.read_text() == "new"
    assert names(path.parent) == ["table.csv"]


def test_a_new_file_replaces_the_old_one_and_a_reader_sees_one_of_them_whole(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("old")
    with whole_file(path) as partial:
        partial.write_text("n")
        assert path.read_text() == "old"
        partial.write_text("new")
        reader = path.open()
    with reader:
        assert reader.read() == "old"
    assert path.read_text() == "new"


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, OSError])
def test_an_error_while_writing_a_file_leaves_the_old_one_and_no_partial(tmp_path, error):
    path = tmp_path / "table.csv"
    path.write_text("old")

    def write():
        with whole_file(path) as partial:
            partial.write_text("half")
            raise error

    with pytest.raises(error):
        write()
    assert path.read_text() == "old"
    assert names(tmp_path) == ["table.csv"]


def test_an_error_before_anything_is_written_leaves_no_file(tmp_path):
    with pytest.raises(ValueError, match="early"), whole_file(tmp_path / "table.csv"):
        raise ValueError("early")
    assert names(tmp_path) == []


def test_files_that_differ_in_extension_only_can_be_written_at_once(tmp_path):
    with whole_file(tmp_path / "a.csv") as csv, whole_file(tmp_path / "a.json") as json:
        csv.write_text("csv")
        json.write_text("json")
    assert (tmp_path / "a.csv").read_text() == "csv"
    assert (tmp_path / "a.json").read_text() == "json"


def test_a_run_killed_while_writing_a_file_leaves_the_old_one_and_the_next_run_clears_up(
    tmp_path, kill_while
):
    path = tmp_path / "table.csv"
    path.write_text("old")
    kill_while("whole_file", path, "partial.write_text('half a long table')")
    assert path.read_text() == "old"
    assert len(names(tmp_path)) == 2
    with whole_file(path) as partial:
        partial.write_text("new")
    assert path.read_text() == "new"
    assert names(tmp_path) == ["table.csv"]


def test_a_folder_appears_when_its_block_ends_and_not_before(tmp_path):
    path = tmp_path / "data/raw"
    with whole_folder(path) as partial:
        (partial / "cats").mkdir()
        (partial / "cats/a.txt").write_text("new")
        assert not path.exists()
    assert (path / "cats/a.txt").read_text() == "new"
    assert names(path.parent) == ["raw"]


def test_a_new_folder_replaces_the_old_one_wholly(tmp_path):
    path = old_folder(tmp_path)
    with whole_folder(path) as partial:
        assert names(partial) == []
        (partial / "new.txt").write_text("new")
        assert names(path) == ["old.txt"]
    assert names(path) == ["new.txt"]
    assert names(tmp_path) == ["raw"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, OSError])
def test_an_error_while_filling_a_folder_leaves_the_old_one_and_no_partial(tmp_path, error):
    path = old_folder(tmp_path)

    def fill():
        with whole_folder(path) as partial:
            (partial / "half.txt").write_text("half")
            raise error

    with pytest.raises(error):
        fill()
    assert names(path) == ["old.txt"]
    assert names(tmp_path) == ["raw"]


def test_a_run_killed_while_filling_a_folder_leaves_the_old_one_and_the_next_run_clears_up(
    tmp_path, kill_while
):
    path = old_folder(tmp_path)
    kill_while("whole_folder", path, "(partial / 'half.txt').write_text('half')")
    assert names(path) == ["old.txt"]
    assert len(names(tmp_path)) == 2
    with whole_folder(path) as partial:
        assert names(partial) == []
        (partial / "new.txt").write_text("new")
    assert names(path) == ["new.txt"]
    assert names(tmp_path) == ["raw"]


def test_the_checksum_is_that_of_sha256sum():
    assert sha256(b"") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert sha256(b"ungray") == hashlib.sha256(b"ungray").hexdigest()

import errno
import hashlib
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from ungray.system import files
from ungray.system.files import sha256, whole_file, whole_folder

KILLED_IN = """
import os, signal, sys
from pathlib import Path
from ungray.system.files import whole_file, whole_folder
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


def test_two_that_write_one_file_at_once_have_a_file_each_and_the_last_to_end_wins(tmp_path):
    path = tmp_path / "table.csv"
    with whole_file(path) as first:
        first.write_text("first")
        with whole_file(path) as second:
            second.write_text("second")
            assert first != second
        assert path.read_text() == "second"
        assert first.read_text() == "first"
    assert path.read_text() == "first"
    assert names(tmp_path) == ["table.csv"]


def test_many_that_write_one_file_at_once_leave_it_whole(tmp_path):
    path = tmp_path / "photo.jpg"

    def write(number):
        for _ in range(20):
            with whole_file(path) as partial:
                partial.write_text(str(number) * 10_000)
            assert len(set(path.read_text())) == 1
        return len(path.read_text())

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(write, range(8))) == {10_000}
    assert names(tmp_path) == ["photo.jpg"]


def test_two_that_fill_one_folder_at_once_have_a_folder_each(tmp_path):
    path = old_folder(tmp_path)
    with whole_folder(path) as first:
        (first / "first.txt").write_text("first")
        with whole_folder(path) as second:
            (second / "second.txt").write_text("second")
        assert names(path) == ["second.txt"]
        assert names(first) == ["first.txt"]
    assert names(path) == ["first.txt"]
    assert names(tmp_path) == ["raw"]


def test_many_that_fill_one_folder_at_once_leave_it_whole(tmp_path):
    path = tmp_path / "raw"

    def fill(number):
        for _ in range(10):
            with whole_folder(path) as partial:
                for name in "abc":
                    (partial / name).write_text(str(number))

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(fill, range(6)))
    assert names(path) == ["a", "b", "c"]
    assert len({file.read_text() for file in path.iterdir()}) == 1
    assert names(tmp_path) == ["raw"]


@pytest.mark.parametrize(
    "name", ["n" * 246 + ".jpg", "ö" * 123 + ".jpg", "n" * 250, "." + "n" * 249, "a." + "n" * 248]
)
def test_a_name_of_250_bytes_can_be_written(tmp_path, name):
    path = tmp_path / name
    assert len(os.fsencode(name)) == 250
    with whole_file(path) as partial:
        partial.write_text("new")
        assert partial.suffix == (".jpg" if name.endswith(".jpg") else partial.suffix)
    assert path.read_text() == "new"
    with whole_folder(tmp_path / f"{name}-") as partial:
        (partial / "a.txt").write_text("new")
    assert names(tmp_path) == sorted([name, f"{name}-"])


def test_long_names_that_begin_alike_have_a_temporary_name_each(tmp_path):
    with (
        whole_file(tmp_path / ("n" * 200 + "1")) as first,
        whole_file(tmp_path / ("n" * 200 + "2")) as second,
    ):
        assert first != second
        assert ".1.partial" not in second.name
        first.write_text("1")
        second.write_text("2")
    assert (tmp_path / ("n" * 200 + "2")).read_text() == "2"


KILLED_WHILE_REPLACING = """
import os, shutil, signal, sys
from pathlib import Path
from ungray.system import files

def half(path, **about):
    if any(path.iterdir()):
        next(path.iterdir()).unlink()
        os.kill(os.getpid(), signal.SIGKILL)

files.shutil.rmtree = half
with files.whole_folder(Path(sys.argv[1])) as partial:
    for name in "ab":
        (partial / name).write_text("new")
"""


def test_a_run_killed_while_it_removes_the_old_folder_leaves_no_torn_one(tmp_path):
    path = tmp_path / "raw"
    path.mkdir()
    for name in "abc":
        (path / name).write_text("old")
    killed = subprocess.run([sys.executable, "-c", KILLED_WHILE_REPLACING, str(path)], timeout=60)
    assert killed.returncode == -9
    assert {name: (path / name).read_text() for name in names(path)} == {"a": "new", "b": "new"}
    with whole_folder(path) as partial:
        assert names(partial) == []
        (partial / "c").write_text("newer")
    assert names(path) == ["c"]
    assert names(tmp_path) == ["raw"]


def test_what_is_there_stays_where_it_is_not_to_be_replaced(tmp_path):
    path = tmp_path / "journal"
    with whole_file(path, replace=False) as first:
        first.write_text("first")
        with whole_file(path, replace=False) as second:
            second.write_text("second")
        path.write_text("second and more")
    assert path.read_text() == "second and more"
    assert names(tmp_path) == ["journal"]


def test_where_files_cannot_be_locked_names_are_drawn(tmp_path, monkeypatch):
    def none(*about):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(files.fcntl, "flock", none)
    with whole_file(tmp_path / "a.csv") as first, whole_file(tmp_path / "a.csv") as second:
        assert first != second
        first.write_text("first")
        second.write_text("second")
    with whole_folder(tmp_path / "raw") as folder:
        (folder / "a").write_text("new")
    assert (tmp_path / "a.csv").read_text() == "first"
    assert names(tmp_path) == ["a.csv", "raw"]

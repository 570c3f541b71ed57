"""The working cache of prepared photos: quick, never wrong, and lost at no cost but time."""

import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from stages.params import load_all
from stages.prepare import build, store
from stages.runtime import processes
from ungray.errors import UngrayError

ROOT = Path(__file__).parents[2]


@pytest.fixture
def made(monkeypatch):
    """The photos that were decoded and encoded, one for each time."""
    photos = []
    make = build.make
    monkeypatch.setattr(build, "make", lambda content, *rest: photos.append(content) or make(content, *rest))
    return photos


def test_the_second_time_nothing_is_made_and_the_result_is_the_same(collection, made):
    assert collection.prepare().reused == 0
    assert len(made) == 44
    first = collection.prepared()
    assert collection.prepare().reused == 44
    assert len(made) == 44
    assert collection.prepared() == first


def test_new_photos_are_made_alone_and_the_result_is_that_of_an_empty_cache(collection, made):
    collection.prepare(rows=collection.verdicts.iloc[4:])
    made.clear()
    assert collection.prepare().reused == 40
    assert len(made) == 4
    assert collection.prepared() == collection.fresh()


def test_removed_photos_leave_no_trace_in_the_result(collection, made):
    collection.prepare()
    made.clear()
    fewer = collection.verdicts.drop(index=[0, 7, 20])
    collection.prepare(rows=fewer)
    assert made == []
    assert collection.prepared() == collection.fresh(rows=fewer)


@pytest.mark.parametrize(
    "changes",
    [
        {"photo_size": 48},
        {"fit": "pad"},
        {"rotated_copies": 3},
        {"rotated_copies": 0},
        {"rotation_degrees": 40.0},
        {"rotation_border": "reflect"},
        {"jpeg_quality": 80},
        {"split_salt": "another"},
        {"val_fraction": 0.3},
        {"extra_sizes": (32,)},
    ],
    ids=str,
)
def test_a_changed_param_gives_what_an_empty_cache_gives_and_so_does_changing_it_back(
    collection, tmp_path, monkeypatch, changes
):
    monkeypatch.chdir(tmp_path)

    def prepare(**values):
        folder = store.folder(collection.params.model_copy(update=values))
        collection.prepare(cached=folder.relative_to(tmp_path), **values)
        return collection.prepared()

    first = prepare()
    changed = prepare(**changes)
    assert changed != first
    assert changed == collection.fresh(**changes)
    monkeypatch.setattr(build, "make", None)  # going back needs nothing made
    assert prepare() == first


def test_other_code_or_another_library_makes_everything_anew(collection, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before = store.folder(collection.params)
    assert store.folder(collection.params) == before
    with monkeypatch.context() as other:
        known = store.version
        other.setattr(store, "version", lambda name: "6.0.0" if name == "opencv-python" else known(name))
        assert store.folder(collection.params) != before
    geometry = tmp_path / "geometry.py"
    geometry.write_text(Path(store.geometry.__file__).read_text() + "# another line\n")
    monkeypatch.setattr(store.geometry, "__file__", str(geometry))
    assert store.folder(collection.params) != before


@pytest.mark.parametrize(
    "harm",
    [
        lambda content: b"",
        lambda content: content[:-1],
        lambda content: content[: len(content) // 2],
        lambda content: content + b"\0",
        lambda content: bytes(len(content)),
        lambda content: content[:500] + bytes([content[500] ^ 1]) + content[501:],
    ],
    ids=["empty", "a byte short", "half", "a byte long", "zeros", "one bit"],
)
def test_a_damaged_file_of_the_cache_is_never_used_and_is_mended(collection, made, harm):
    collection.prepare()
    first = collection.prepared()
    files = sorted((collection.top / "cached").iterdir())
    for file in (files[3], files[30], files[31]):
        file.write_bytes(harm(file.read_bytes()))
    made.clear()
    built = collection.prepare()
    assert collection.prepared() == first
    assert 1 <= len(made) <= 3
    assert len(built.index) == len(first) - 1
    made.clear()
    collection.prepare()
    assert made == [], "mended"


def test_a_photo_of_the_cache_under_the_name_of_another_is_not_used(collection):
    collection.prepare()
    first = collection.prepared()
    one, other, *_ = sorted((collection.top / "cached").iterdir())
    one.write_bytes(other.read_bytes())
    collection.prepare()
    assert collection.prepared() == first


def test_files_missing_from_the_cache_and_strange_ones_in_it_do_no_harm(collection):
    collection.prepare()
    first = collection.prepared()
    files = sorted((collection.top / "cached").iterdir())
    for file in files[::3]:
        file.unlink()
    for name in ("notes.txt", "x", ".jpg", "..jpg", f"{files[1].name}.partial"):
        (collection.top / "cached" / name).write_bytes(b"junk")
    collection.prepare()
    assert collection.prepared() == first


def test_the_cache_is_the_same_whatever_the_processes(collection, monkeypatch):
    monkeypatch.setattr(processes, "START_SECONDS", 0)  # else so few are worked on without processes
    collection.prepare(cached="one")
    first = collection.prepared()
    collection.prepare(cached="two", workers=2)
    assert collection.prepared() == first
    one, two = (
        {p.name: p.read_bytes() for p in (collection.top / name).iterdir()} for name in ("one", "two")
    )
    assert one == two


def test_what_is_scribbled_on_a_prepared_photo_is_not_taken_for_it(collection):
    collection.prepare()
    first = collection.prepared()
    for path in (collection.top / "data/prepared").rglob("*.jpg"):
        with path.open("r+b") as file:
            file.write(b"scribble")
    collection.prepare()
    assert collection.prepared() == first


def test_prepared_photos_are_links_to_the_cache_and_copies_where_there_are_no_links(collection, monkeypatch):
    def refuse(self, target):
        raise OSError(18, "Invalid cross-device link")

    collection.prepare()
    first = collection.prepared()
    photos = sorted((collection.top / "data/prepared").rglob("*.jpg"))
    assert {path.stat().st_nlink for path in photos} == {2}
    monkeypatch.setattr(Path, "hardlink_to", refuse)
    collection.prepare()
    assert {path.stat().st_nlink for path in photos} == {1}
    assert collection.prepared() == first


def test_every_file_of_a_photo_in_the_cache_begins_with_its_checksum(collection):
    collection.prepare(extra_sizes=(32,))
    photos = set(collection.verdicts["sha256"].str[:16])
    assert {path.name[:16] for path in (collection.top / "cached").iterdir()} == photos


def test_another_photo_under_the_name_of_the_filtered_one_is_refused(collection):
    one, other = (collection.top / "raw" / file for file in collection.verdicts["file"].iloc[:2])
    one.write_bytes(other.read_bytes())
    with pytest.raises(UngrayError, match=rf"{one.name}: this file changed after it was filtered; run `dvc"):
        collection.prepare()
    assert not list((collection.top / "cached").glob(f"{one.stem}*"))


def test_a_photo_kept_twice_by_hand_is_there_once(collection):
    twice = collection.verdicts.iloc[:1].assign(file="copy.png")
    (collection.top / "raw/copy.png").write_bytes(
        (collection.top / "raw" / collection.verdicts["file"].iloc[0]).read_bytes()
    )
    collection.prepare(rows=pd.concat([collection.verdicts, twice], ignore_index=True))
    assert collection.prepared() == collection.fresh()


STOPPED = """
import os, signal
from pathlib import Path
from stages.prepare import __main__
from ungray.system.console import run_command
write, written = Path.write_bytes, []
def half(path, content):
    written.append(path)
    if len(written) < {nth}:
        return write(path, content)
    write(path, content[: len(content) // 2])
    {stop}
Path.write_bytes = half
run_command(__main__.main)
"""
"""Prepares until the ``nth`` photo is written to the cache, and stops half-way in it."""


@pytest.fixture
def checkout(collection):
    """The collection as a folder in which ``python -m stages.prepare`` runs, in one process."""
    params = (ROOT / "params.yaml").read_text()
    (collection.top / "params.yaml").write_text(params.replace("  workers: 0", "  workers: 1"))
    (collection.top / "raw").rename(collection.top / "data-raw")
    (collection.top / "data").mkdir()
    (collection.top / "data-raw").rename(collection.top / "data/raw")
    collection.verdicts.to_csv(collection.top / "data/verdicts.csv", index=False)
    return collection


def _stage(checkout, *code, **options):
    command = [sys.executable, *(code or ("-m", "stages.prepare"))]
    return subprocess.run(
        command, cwd=checkout.top, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=120,
        check=False, **options,
    )  # fmt: skip


@pytest.mark.parametrize("nth", [1, 62])
def test_killed_at_any_write_the_next_run_gives_what_a_run_never_killed_gives(checkout, nth):
    script = STOPPED.format(nth=nth, stop="os.kill(os.getpid(), signal.SIGKILL)")
    killed = _stage(checkout, "-c", script)
    assert killed.returncode == -9, killed.stderr
    assert not (checkout.top / "data/prepared").exists(), "nothing half-written to be taken for the result"
    assert _stage(checkout).returncode == 0
    assert sorted(p.name for p in (checkout.top / "data").iterdir()) == ["prepared", "raw", "verdicts.csv"]
    found = checkout.prepared()
    (checkout.top / "data/raw").rename(checkout.top / "raw")
    shipped = load_all(checkout.top / "params.yaml")["prepare"]
    assert found == checkout.fresh(**shipped.model_dump())


def test_a_full_disk_stops_in_one_sentence_keeps_the_old_result_and_is_mended_by_space(checkout):
    assert _stage(checkout).returncode == 0
    old = checkout.prepared()
    (checkout.top / ".cache").rename(checkout.top / "lost")
    script = STOPPED.format(nth=50, stop="raise OSError(28, 'No space left on device')")
    stopped = _stage(checkout, "-c", script)
    assert stopped.returncode == 1
    assert stopped.stderr.strip().splitlines()[-1].startswith("error: the disk is full")
    assert checkout.prepared() == old
    assert _stage(checkout).returncode == 0
    assert checkout.prepared() == old


def test_what_a_kill_leaves_of_a_file_is_found_by_its_photo(tmp_path, monkeypatch):
    class KilledError(Exception):
        pass

    def killed(*_):
        raise KilledError

    monkeypatch.setattr(store.Path, "replace", killed)
    with pytest.raises(KilledError):
        store.write(tmp_path, "0123456789abcdef_256", b"a photo")
    (left,) = tmp_path.iterdir()
    assert left.name.lstrip(".").startswith("0123456789abcdef"), "as take_out looks for it"
    assert "0123456789abcdef_256" not in store.digests(tmp_path), "it is no finished file"

"""Test photos that the base model was trained on are marked, whatever was done to them; the rest is not."""

import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from stages.prepare import __main__ as stage
from stages.prepare import train_hashes
from stages.storage import tables
from ungray.errors import UngrayError
from ungray.imaging import duplicates
from ungray.imaging.photos import read_rgb

PARAMS = Path(__file__).parents[2] / "params.yaml"


@pytest.fixture
def looked_at(collection):
    """The collection, its verdicts with hashes as the filter leaves them."""
    files = collection.verdicts["file"]
    hashes = [duplicates.phash(read_rgb(collection.top / "raw" / file)) for file in files]
    collection.verdicts["phash"] = hashes
    return collection


@pytest.fixture
def here(looked_at, monkeypatch):
    """A working tree with the collection in it, and an empty folder for a base model."""
    monkeypatch.chdir(looked_at.top)
    (looked_at.top / "data/base").mkdir(parents=True)
    shutil.move(looked_at.top / "raw", "data/raw")
    shutil.copy(PARAMS, "params.yaml")
    tables.write_table(looked_at.verdicts, Path("data/verdicts.csv"))
    return looked_at


def _numbers(phashes) -> np.ndarray:
    return np.array([int(value, 16) for value in phashes], np.uint64)


def _test(index):
    return index[index["split"] == "test"].set_index("photo")


@pytest.mark.parametrize("turn", [lambda p: p, lambda p: cv2.resize(p, None, fx=0.8, fy=0.8), np.fliplr])
def test_a_test_photo_of_which_the_base_knows_a_copy_is_marked(looked_at, turn):
    first = _test(looked_at.prepare().index).index[0]
    verdict = looked_at.verdicts.set_index(looked_at.verdicts["sha256"].str[:16]).loc[first]
    copy = np.ascontiguousarray(turn(read_rgb(looked_at.top / "raw" / verdict["file"])))
    hashes = _numbers([duplicates.phash(copy)])
    built = looked_at.prepare(base_hashes=hashes)
    marked = _test(built.index)["base_knows"]
    assert marked[first] == "yes"
    assert (marked == "yes").sum() == 1
    assert (built.index.loc[built.index["split"] != "test", "base_knows"] == "").all()


def test_without_hashes_nothing_is_claimed(looked_at):
    assert (looked_at.prepare().index["base_knows"] == "").all()


def test_the_hashes_written_from_what_was_prepared_are_of_its_train_photos(here, capsys):
    stage.main()
    assert "data/base/train_hashes.npy is missing" in capsys.readouterr().out
    train_hashes.write(["data/base"])
    hashes = train_hashes.read_hashes(Path("data/base"))
    index = tables.read_table(Path("data/prepared/index.csv"), made_by="prepare")
    train = here.verdicts["sha256"].str[:16].isin(index.loc[index["split"] == "train", "photo"])
    assert hashes.tolist() == sorted(set(_numbers(here.verdicts.loc[train, "phash"]).tolist()))
    first = Path("data/base/train_hashes.npy").read_bytes()
    train_hashes.write(["data/base"])
    assert Path("data/base/train_hashes.npy").read_bytes() == first
    stage.main()
    tests = (index["split"] == "test").sum()
    assert f"the base model was trained on 0 of {tests} test photos" in capsys.readouterr().out
    np.save("data/base/train_hashes.npy", np.array([1, int(hashes[0])], np.uint64))
    train_hashes.write(["data/base", "--add"])
    assert train_hashes.read_hashes(Path("data/base")).tolist() == [1, *hashes.tolist()]
    Path("data/base/train_hashes.npy").unlink()
    with pytest.raises(UngrayError, match="leave out --add"):
        train_hashes.write(["data/base", "--add"])


def test_the_stage_marks_what_the_base_in_params_yaml_knows(here, capsys):
    np.save("data/base/train_hashes.npy", _numbers(here.verdicts["phash"]))
    stage.main()
    index = tables.read_table(Path("data/prepared/index.csv"), made_by="prepare")
    tests = _test(index)["base_knows"]
    assert (tests == "yes").all()
    assert f"was trained on {len(tests)} of {len(tests)} test photos" in capsys.readouterr().out


@pytest.mark.parametrize("spoiled", [b"", b"\x93NUMPY", b"PK", b"hashes"])
def test_a_damaged_file_of_hashes_is_said_in_a_sentence(tmp_path, spoiled):
    (tmp_path / "train_hashes.npy").write_bytes(spoiled)
    with pytest.raises(UngrayError, match=r"train_hashes\.npy is damaged; `git checkout"):
        train_hashes.read_hashes(tmp_path)


def test_an_array_of_another_kind_is_damage_too(tmp_path):
    np.save(tmp_path / "train_hashes.npy", np.zeros((2, 2)))
    with pytest.raises(UngrayError, match="is damaged"):
        train_hashes.read_hashes(tmp_path)


def test_no_folder_of_a_base_model_is_said_in_a_sentence(here):
    stage.main()
    with pytest.raises(UngrayError, match="nowhere is not a folder"):
        train_hashes.write(["nowhere"])

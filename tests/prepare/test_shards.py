"""Train photos in shards: the very files, as archives that WebDataset and tar read."""

import io
import tarfile
from pathlib import PurePosixPath

import pytest

from stages.storage import tables

PHOTOS = 9


@pytest.fixture
def index(collection):
    """The index of what was prepared in shards, beside the loose files of :func:`loose`."""
    return collection.prepare(shard_photos=PHOTOS, extra_sizes=(32,)).index


@pytest.fixture
def loose(collection):
    return collection.fresh(extra_sizes=(32,))


def members(content):
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        return {member.name: archive.extractfile(member).read() for member in archive}


def shards(files):
    return {name: content for name, content in files.items() if name.endswith(".tar")}


def test_shards_hold_the_very_files_that_would_be_loose_and_the_rest_stays_as_it_is(collection, loose, index):
    files = collection.prepared()
    for row in index[index["split"] == "train"].itertuples():
        assert members(files[row.shard])[PurePosixPath(row.file).name] == loose[row.file]
    rest = {name: content for name, content in files.items() if name not in {*shards(files), "index.csv"}}
    assert rest == {name: content for name, content in loose.items() if name.startswith(("val/", "test/"))}
    assert sum(len(members(content)) for content in shards(files).values()) == len(loose) - len(rest) - 1
    table = tables.read_table(collection.top / "data/prepared/index.csv", made_by="prepare")
    assert table["shard"].tolist() == index["shard"].tolist()
    assert set(table.loc[table["split"] != "train", "shard"]) == {""}


def test_a_shard_holds_as_many_photos_as_asked_at_most_of_one_size_and_few_copies_of_a_photo(index):
    train = index[index["split"] == "train"]
    held = train.groupby("shard")
    assert held.size().max() <= PHOTOS
    assert held.size().min() >= PHOTOS // 2
    assert (held["size"].nunique() == 1).all()
    # Sorted by name, all four files of a photo would be neighbors.
    assert held["photo"].nunique().sum() > 0.9 * len(train)


def test_the_same_photos_give_the_same_shards_made_anew_or_taken_from_the_cache(collection, index):
    first = collection.prepared()
    assert len(shards(first)) > 2
    assert collection.prepare(shard_photos=PHOTOS, extra_sizes=(32,)).reused == 44
    assert collection.prepared() == first
    assert collection.fresh(shard_photos=PHOTOS, extra_sizes=(32,)) == first


def test_loose_files_have_an_index_without_shards(collection, loose):
    columns = b"file,split,photo,query,group,copy,size,rotation,digest,base_knows"
    assert loose["index.csv"].startswith(columns + b"\n")
    assert not shards(loose)


def test_webdataset_reads_them(collection, index):
    webdataset = pytest.importorskip("webdataset", reason="of the extra dev")
    folder = collection.top / "data/prepared"
    paths = [str(folder / name) for name in sorted(shards(collection.prepared()))]
    samples = list(webdataset.WebDataset(paths, shardshuffle=False).decode("rgb8"))
    train = index[index["split"] == "train"]
    assert {sample["__key__"] for sample in samples} == {PurePosixPath(file).stem for file in train["file"]}
    assert {sample["jpg"].shape for sample in samples} == {(64, 64, 3), (32, 32, 3)}

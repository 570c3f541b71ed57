"""Training from shards: the photos of loose files, each once an epoch, wherever they lie, or a sentence."""

import shutil
import tarfile

import numpy as np
import pytest
import torch
from tenacity import wait_none

import stages.storage.shards
from stages.storage.shards import Shards
from stages.storage.tables import read_table
from stages.train.data import MIXED, Streamed, batch_count, load_pixels, mixed_batches
from stages.train.losses import measure_prior
from stages.train.run import run
from ungray import networks
from ungray.errors import UngrayError

DRAWN = {"batch_size": 5, "seed": 3, "epoch": 1, "flip": True}


@pytest.fixture
def no_waiting(monkeypatch):
    """Between two attempts."""
    monkeypatch.setattr(stages.storage.shards, "wait_exponential", wait_none)


def rows(folder):
    index = read_table(folder / "index.csv", made_by="prepare")
    return index[index["split"] == "train"]


def streamed(folder, *, size=32, address=None):
    train = rows(folder)
    return Streamed(train, Shards(train, address or str(folder)), size=size)


def same(some, others):
    return all(
        (numbers == others_numbers).all() and torch.equal(batch, others_batch)
        for (numbers, batch), (others_numbers, others_batch) in zip(some, others, strict=True)
    )


@pytest.mark.parametrize("photos", [2, 5, 1000])
def test_every_photo_comes_once_an_epoch_and_is_that_of_the_loose_file(packed, prepared, here, photos):
    source = streamed(packed(photos))
    pixels = load_pixels(rows(prepared), prepared, size=32, workers=1)
    epochs = [list(source.batches(**DRAWN | {"epoch": epoch, "flip": False})) for epoch in (0, 1)]
    orders = [np.concatenate([numbers for numbers, _ in batches]) for batches in epochs]
    for batches, order in zip(epochs, orders, strict=True):
        assert sorted(order) == list(range(len(pixels)))
        assert (torch.cat([batch for _, batch in batches]).numpy() == pixels[order]).all()
        assert {len(numbers) for numbers, _ in batches[:-1]} == {5}
    assert orders[0].tolist() != orders[1].tolist()


def test_half_of_the_photos_are_mirrored_anew_each_epoch(packed, here):
    source = streamed(packed(5))
    plain, turned = (list(source.batches(**DRAWN | {"flip": flip})) for flip in (False, True))
    mirrored = []
    for (numbers, batch), (turned_numbers, turned_batch) in zip(plain, turned, strict=True):
        assert (numbers == turned_numbers).all()
        for photo, other in zip(batch, turned_batch, strict=True):
            mirrored.append(torch.equal(other, photo.flip(1)) and not torch.equal(other, photo))
            assert mirrored[-1] or torch.equal(other, photo)
    assert 0.2 < np.mean(mirrored) < 0.8


def test_how_often_each_color_is_met_is_counted_in_shards_as_in_loose_files(tiny, prepared, packed, here):
    params = tiny["train"].model_copy(update={"loss": "classes"})
    loose, sharded = (networks.build(params.network()) for _ in range(2))
    measure_prior(loose, [load_pixels(rows(prepared), prepared, size=32, workers=1)])
    measure_prior(sharded, [streamed(packed(5))])
    assert torch.allclose(loose.classes.prior, sharded.classes.prior)


def test_not_shuffled_every_epoch_is_the_same(packed, here):
    source = streamed(packed(5))
    first, second = (source.batches(**DRAWN | {"shuffle": False, "flip": False, "epoch": n}) for n in (0, 1))
    assert same(list(first), list(second))


@pytest.mark.parametrize("skip", [1, 3, 4])
def test_batches_after_a_skip_are_those_that_would_have_come(packed, here, skip):
    source = streamed(packed(2))
    assert same(list(source.batches(**DRAWN, skip=skip)), list(source.batches(**DRAWN))[skip:])


def test_photos_of_several_sizes_come_in_batches_of_one(packed, here):
    folder = packed(3)
    train, shards = rows(folder), Shards(rows(folder), str(folder))
    some = train["shard"] < "train-00003.tar"
    sizes = [Streamed(train[chosen], shards, size=size) for chosen, size in ((some, 32), (~some, 48))]
    batches = list(mixed_batches(sizes, **DRAWN))
    assert len(batches) == batch_count(sizes, 5)
    assert sorted(np.concatenate([numbers for numbers, _ in batches])) == list(range(len(train)))
    for numbers, batch in batches:
        assert batch.shape[1] == (32 if numbers.max() < some.sum() else 48)
    assert same(list(mixed_batches(sizes, **DRAWN, skip=2)), batches[2:])


class Counting(Shards):
    """Shards that note what was read."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.asked = []

    def read(self, name):
        self.asked.append(name)
        return super().read(name)


def test_shards_are_read_once_an_epoch_few_at_a_time_and_those_skipped_not_at_all(packed, here):
    folder = packed(1)
    train = rows(folder)
    shards = Counting(train, str(folder))
    source = Streamed(train, shards, size=32)
    drawn = source.batches(**DRAWN | {"batch_size": MIXED})
    for batches in range(1, 4):
        next(drawn)
        assert len(set(shards.asked)) <= (batches + 1) * MIXED
    for _ in drawn:
        pass
    assert sorted(shards.asked) == sorted(train["shard"])
    first = shards.asked[: 2 * MIXED]
    shards.asked.clear()
    list(source.batches(**DRAWN | {"batch_size": MIXED}, skip=2))
    assert not set(first) & set(shards.asked)


def test_a_server_that_fails_for_a_moment_is_asked_again(packed, served, no_waiting, here):
    folder = packed(5)
    address, first = served
    first += [503, 500, 503]
    shards = Shards(rows(folder), f"{address}/{folder.name}")
    assert len(shards.read("train-00000.tar")) == 5
    assert first == []


def test_a_server_that_is_gone_is_named(packed, no_waiting, here):
    shards = Shards(rows(packed(5)), "http://127.0.0.1:9/shards")
    with pytest.raises(
        UngrayError, match=r"http://127\.0\.0\.1:9/shards/train-00001\.tar cannot be fetched \(.*9"
    ):
        shards.read("train-00001.tar")


def test_a_shard_that_is_not_there_is_named_with_the_way_out(packed, served, here):
    folder = packed(5)
    (folder / "train-00001.tar").unlink()
    for address in (str(folder), f"{served[0]}/{folder.name}"):
        with pytest.raises(
            UngrayError, match=r"train-00001\.tar is missing; `dvc pull data/prepared` fetches"
        ):
            list(streamed(folder, address=address).batches(**DRAWN))


@pytest.mark.parametrize("whole", [0, 1, 4])
def test_a_truncated_shard_is_named_with_what_is_left_of_it(packed, here, whole):
    folder = packed(5)
    path = folder / "train-00002.tar"
    with tarfile.open(path) as archive:
        cut = archive.getmembers()[whole].offset_data + 100
    path.write_bytes(path.read_bytes()[:cut])
    said = rf"train-00002\.tar is damaged or belongs to another index\.csv \({whole} of its 5 photos"
    with pytest.raises(UngrayError, match=said):
        list(streamed(folder).batches(**DRAWN))


def test_an_empty_file_and_one_that_is_no_archive_are_refused(packed, here):
    folder = packed(5)
    for content in (b"", b"<html>Please log in</html>"):
        (folder / "train-00002.tar").write_bytes(content)
        with pytest.raises(UngrayError, match=r"train-00002\.tar is damaged .* \(0 of its 5 photos"):
            list(streamed(folder).batches(**DRAWN))


def test_a_shard_of_another_index_is_refused_though_it_has_the_same_name(packed, here):
    folder, other = packed(5), packed(6)
    shutil.copy(other / "train-00001.tar", folder)
    with pytest.raises(UngrayError, match=r"train-00001\.tar is damaged or belongs to another index\.csv"):
        list(streamed(folder).batches(**DRAWN))


def test_one_changed_byte_is_seen(packed, here):
    folder = packed(5)
    path = folder / "train-00000.tar"
    content = bytearray(path.read_bytes())
    content[700] ^= 1
    path.write_bytes(content)
    with pytest.raises(UngrayError, match=r"\(4 of its 5 photos match\)"):
        Shards(rows(folder), str(folder)).read("train-00000.tar")


@pytest.mark.parametrize("address", ["nonsense://bucket", "s3x://bucket/folder"])
def test_an_address_that_nothing_opens_is_named(packed, address, here):
    with pytest.raises(UngrayError, match=rf"machine\.stream is {address}, which cannot be opened"):
        Shards(rows(packed(5)), address)


def test_an_address_without_shards_says_how_to_make_them(tiny, prepared, here):
    machine = tiny["machine"].model_copy(update={"stream": "s3://bucket"})
    with pytest.raises(UngrayError, match=r"lists no shards; set prepare\.shard_photos"):
        run(tiny["train"], machine, prepared=prepared, report=here / "r")

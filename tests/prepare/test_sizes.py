"""Train photos at several sizes: what prepare makes of them, and that training sees them all."""

import io
import os
import shutil

import numpy as np
import pytest
import torch
from PIL import Image

from stages.evaluate.judge import judge
from stages.evaluate.methods import methods
from stages.prepare.params import Params
from stages.storage import tables
from stages.train import objective
from stages.train.data import batch_count, batches, mixed_batches
from stages.train.run import run
from ungray import networks
from ungray.errors import UngrayError
from ungray.imaging import photos
from ungray.networks import save_model


def test_train_photos_and_their_rotated_copies_are_there_at_every_size_and_the_others_at_the_usual_one(
    collection,
):
    index = collection.prepare(photo_size=64, extra_sizes=(32, 96), rotated_copies=2).index
    prepared = collection.prepared()
    assert set(index["file"]) == set(prepared) - {"index.csv"}
    for row in index.itertuples():
        assert Image.open(io.BytesIO(prepared[row.file])).size == (row.size, row.size)
    train = index[index["split"] == "train"]
    assert train.groupby(["photo", "size"]).size().eq(3).all()
    assert train.groupby("photo")["size"].nunique().eq(3).all()
    assert train.groupby("photo")["copy"].apply(lambda copies: sorted(copies) == list(range(9))).all()
    assert (index.loc[index["split"] != "train", ["size", "copy"]] == [64, 0]).all(axis=None)
    # What is judged, counted and named in the card is copy 0: the photo itself at the usual size.
    assert (index.loc[index["copy"] == 0, "size"] == 64).all()
    assert (index.loc[index["copy"] == 0, "rotation"] == 0).all()


def test_another_size_shows_the_same_photo(collection):
    index = collection.prepare(photo_size=64, extra_sizes=(32,), rotated_copies=1).index
    prepared = collection.prepared()
    for _, row in index[(index["split"] == "train") & (index["size"] == 32)].iloc[:10].iterrows():
        file = row["file"]
        small, usual = (photos.read_rgb(prepared[name]) for name in (file, file.replace("_32", "")))
        halved = np.asarray(Image.fromarray(usual).resize((32, 32), Image.Resampling.BOX))
        assert np.abs(small.astype(float) - halved).mean() < 10


def test_an_extra_size_leaves_the_other_files_as_they_were(collection):
    collection.prepare()
    before = collection.prepared()
    collection.prepare(extra_sizes=(32,))
    after = collection.prepared()
    assert all(after[name] == content for name, content in before.items() if name != "index.csv")
    assert {name.endswith("_32.jpg") or "_32_r" in name for name in after.keys() - before.keys()} == {True}


@pytest.mark.parametrize("extra", [[64], [32, 32], [16], [2048], [32, 40, 48, 56, 72]])
def test_sizes_that_repeat_or_are_out_of_range_are_refused(tiny, extra):
    with pytest.raises(ValueError, match="extra_sizes"):
        Params(**(tiny["prepare"].model_dump() | {"photo_size": 64, "extra_sizes": extra}))


# Training


@pytest.fixture
def several(collection, monkeypatch, tiny):
    """The collection prepared at 64 and 32 pixels; a function that trains on it and returns the model."""
    collection.prepare(photo_size=64, extra_sizes=(32,), rotated_copies=1)
    monkeypatch.chdir(collection.top)

    def train(report, **changes):
        params = tiny["train"].model_copy(update={"working_size": 64} | changes)
        result = run(params, tiny["machine"], prepared=collection.top / "data/prepared", report=report)
        shutil.rmtree(result.work)
        return result.model

    return train


@pytest.mark.parametrize("architecture", ["unet", "cnn"])
def test_training_sees_every_photo_at_both_sizes_once_an_epoch(
    several, collection, monkeypatch, architecture, capsys
):
    seen, step = [], objective.Regression.step
    monkeypatch.setattr(
        objective.Regression,
        "step",
        lambda self, batch, worn, **rest: seen.append(batch.shape) or step(self, batch, worn, **rest),
    )
    model = several(collection.top / "r", architecture=architecture, epochs=2)
    index = tables.read_table(collection.top / "data/prepared/index.csv", made_by="prepare")
    train = index[index["split"] == "train"]
    for size in (32, 64):
        at_size = [shape for shape in seen if shape[1:3] == (size, size)]
        assert sum(shape[0] for shape in at_size) == 2 * (train["size"] == size).sum()
    sizes = [shape[1] for shape in seen]
    assert sizes != sorted(sizes), "mixed, not one size after the other"
    assert sizes != sorted(sizes, reverse=True)
    assert "at 64 and 32 pixels" in capsys.readouterr().out
    assert model.provenance["steps"] == len(seen)
    assert model.provenance["photos"] == index[index["copy"] == 0].groupby("split").size().to_dict()


def test_a_network_trained_at_several_sizes_can_be_judged(several, collection):
    model = several(collection.top / "r", epochs=1)
    prepared = collection.top / "data/prepared"
    index = tables.read_table(prepared / "index.csv", made_by="prepare")
    test = index[index["split"] == "test"]
    contenders = methods(model, base=None, mean=np.zeros(2, np.float32))
    judged = judge(contenders, model.network, test=test, prepared=prepared)
    assert judged.photos["file"].nunique() == len(test)


def test_interrupted_training_at_several_sizes_ends_with_the_very_same_model(
    several, collection, monkeypatch
):
    def saved(model, name):
        save_model(collection.top / name, model)
        return (collection.top / name).read_bytes()

    whole = saved(several(collection.top / "whole"), "whole.safetensors")
    assert saved(several(collection.top / "again"), "again.safetensors") == whole
    steps, set_lr = [], objective.set_lr

    def interrupt(optimizer, lr):
        steps.append(lr)
        if len(steps) == 7:
            os.kill(os.getpid(), 2)
        set_lr(optimizer, lr)

    monkeypatch.setattr(objective, "set_lr", interrupt)
    with pytest.raises(KeyboardInterrupt):
        several(collection.top / "halves")
    assert saved(several(collection.top / "halves"), "halves.safetensors") == whole


def test_mixed_batches_are_the_plain_ones_where_there_is_one_size():
    pixels = np.random.default_rng(0).integers(0, 255, (23, 4, 4, 3), dtype=np.uint8)
    for epoch in range(3):
        plain = list(batches(pixels, batch_size=5, seed=1, epoch=epoch, flip=True, skip=2))
        found = list(mixed_batches([pixels], batch_size=5, seed=1, epoch=epoch, flip=True, skip=2))
        assert [n.tolist() for n, _ in found] == [n.tolist() for n, _ in plain]
        assert all(torch.equal(a, b) for (_, a), (_, b) in zip(found, plain, strict=True))


@pytest.mark.parametrize("skip", [0, 1, 4, 8, 9])
def test_mixed_batches_hold_every_photo_once_and_skipping_leaves_the_rest_as_it_was(skip):
    rng = np.random.default_rng(0)
    sizes = [rng.integers(0, 255, (n, side, side, 3), dtype=np.uint8) for n, side in ((23, 4), (17, 2))]
    options = {"batch_size": 5, "seed": 1, "epoch": 0, "flip": True}
    everything = list(mixed_batches(sizes, **options))
    assert len(everything) == batch_count(sizes, 5) == 9
    assert sorted(int(n) for numbers, _ in everything for n in numbers) == list(range(40))
    for numbers, batch in everything:
        assert batch.shape[1] == (4 if numbers[0] < 23 else 2)
        assert {n < 23 for n in numbers} == {numbers[0] < 23}
    rest = list(mixed_batches(sizes, **options, skip=skip))
    assert [n.tolist() for n, _ in rest] == [n.tolist() for n, _ in everything[skip:]]
    assert all(torch.equal(a, b) for (_, a), (_, b) in zip(rest, everything[skip:], strict=True))


def test_a_size_that_the_network_cannot_take_is_rounded_to_one_it_can(several, collection, tiny):
    collection.prepare(photo_size=64, extra_sizes=(40,), rotated_copies=0)
    several(collection.top / "r", working_size=32, epochs=1)  # 32 * 40 / 64 = 20, trained at 16
    network = networks.build(tiny["train"].network())
    assert 16 % network.MULTIPLE == 0


def test_the_sizes_of_one_photo_are_never_on_two_sides(collection):
    index = collection.prepare(extra_sizes=(32, 48)).index
    assert (index.groupby("group")["split"].nunique() == 1).all()
    with pytest.raises(UngrayError, match="would be empty"):
        collection.prepare(rows=collection.verdicts.iloc[:1], extra_sizes=(32,))


@pytest.mark.parametrize(("how", "side"), [("crop", 90), ("squash", 90), ("pad", 110)])
def test_small_photos_stay_small_where_nothing_is_enlarged(collection, how, side):
    index = collection.prepare(photo_size=128, fit=how, rotated_copies=1, enlarge=False).index
    prepared = collection.prepared()
    sizes = {Image.open(io.BytesIO(prepared[file])).size for file in index["file"]}
    assert sizes == {(side, side)}
    assert set(index["size"]) == {128}, "the size that they are trained at is that of the others"
    collection.prepare(photo_size=64, fit=how, enlarge=False)
    first = collection.prepared()
    collection.prepare(photo_size=64, fit=how, enlarge=True)
    assert collection.prepared() == first, "larger ones are brought down to it either way"


def test_photos_that_stay_small_train_and_are_judged(collection, tiny, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    index = collection.prepare(photo_size=128, enlarge=False).index
    result = run(
        tiny["train"].model_copy(update={"epochs": 1}),
        tiny["machine"],
        prepared=tmp_path / "data/prepared",
        report=tmp_path / "r",
    )
    judged = judge(
        methods(result.model, base=None, mean=np.zeros(2, np.float32)),
        result.model.network,
        test=index[index["split"] == "test"],
        prepared=tmp_path / "data/prepared",
    )
    assert {"model", "gray", "mean_ab"} == set(judged.photos["method"])
    assert judged.photos[["ciede2000", "psnr"]].notna().all(axis=None)

import os
import signal

import numpy as np
import pytest
import torch

from stages.storage.tables import read_table
from stages.train import data, losses, objective
from stages.train.data import batches, load_pixels
from stages.train.stopping import stoppable
from stages.train.validation import Validation
from ungray.errors import UngrayError
from ungray.system.files import main_checkout

from .conftest import files, model_bytes
from .conftest import trained_model as train


@pytest.fixture(scope="module")
def undisturbed(tiny, prepared, tmp_path_factory):
    """The bytes of the model, and the report, of a training that nothing interrupted."""
    top = tmp_path_factory.mktemp("undisturbed")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(top)
        return model_bytes(train(tiny, prepared, top / "r"), top / "m.safetensors"), files(top / "r")


@pytest.mark.parametrize("architecture", ["unet", "cnn"])
def test_the_same_training_twice_gives_the_same_model_curves_and_grids(tiny, prepared, here, architecture):
    first = model_bytes(train(tiny, prepared, here / "a", architecture=architecture), here / "a.safetensors")
    second = model_bytes(train(tiny, prepared, here / "b", architecture=architecture), here / "b.safetensors")
    assert first == second
    assert files(here / "a") == files(here / "b")
    assert {
        "plots/images/grid/0000.jpg",
        "plots/images/grid/0002.jpg",
        "plots/images/learning.jpg",
        "plots/metrics/loss/gray.tsv",
        "plots/metrics/ciede2000/val.tsv",
        "plots/metrics/ciede2000/gray.tsv",
    } <= set(files(here / "a"))


@pytest.mark.parametrize("architecture", ["unet", "cnn"])
def test_training_learns(tiny, prepared, here, architecture):
    train(tiny, prepared, here / "r", architecture=architecture, epochs=25, grid_every=25, lr=0.003)
    rows = (here / "r/plots/metrics/loss/train.tsv").read_text().splitlines()[1:]
    losses = [float(row.split("\t")[1]) for row in rows]
    assert losses[-1] < 0.7 * losses[0]


@pytest.mark.parametrize("after", [1, 3, 6])
def test_interrupted_and_started_again_it_ends_with_the_very_same_files(
    tiny, prepared, here, undisturbed, monkeypatch, after
):
    seen = []
    set_lr = objective.set_lr

    def interrupt(optimizer, lr):
        seen.append(lr)
        if len(seen) == after:
            os.kill(os.getpid(), signal.SIGINT)  # Ctrl-C in the middle of a step
        set_lr(optimizer, lr)

    monkeypatch.setattr(objective, "set_lr", interrupt)
    with pytest.raises(KeyboardInterrupt):
        train(tiny, prepared, here / "halves")
    assert len(seen) == after, "the step at hand is finished, no other begun"
    resumed = model_bytes(train(tiny, prepared, here / "halves"), here / "halves.safetensors")
    steps = sum(1 for _ in seen)
    assert steps == 2 * -(
        -len(read_table(prepared / "index.csv", made_by="prepare").query("split == 'train'")) // 8
    )
    assert (resumed, files(here / "halves")) == undisturbed


@pytest.mark.parametrize("epoch", [1, 2])
def test_interrupted_in_a_validation_it_ends_with_the_very_same_files(
    tiny, prepared, here, undisturbed, monkeypatch, epoch
):
    validated = []
    judge = Validation.__call__

    def interrupt(self, network):
        validated.append(network)
        if len(validated) == epoch:  # the second is the last: no step follows
            os.kill(os.getpid(), signal.SIGINT)
        return judge(self, network)

    monkeypatch.setattr(Validation, "__call__", interrupt)
    with pytest.raises(KeyboardInterrupt):
        train(tiny, prepared, here / "halves")
    assert len(validated) == epoch
    resumed = model_bytes(train(tiny, prepared, here / "halves"), here / "halves.safetensors")
    assert (resumed, files(here / "halves")) == undisturbed


def test_a_checkpoint_of_other_params_is_left_alone(tiny, prepared, here, monkeypatch):
    monkeypatch.setattr(objective, "set_lr", lambda optimizer, lr: os.kill(os.getpid(), signal.SIGINT))
    with pytest.raises(KeyboardInterrupt):
        train(tiny, prepared, here / "r")
    monkeypatch.undo()
    monkeypatch.chdir(here)
    other = model_bytes(train(tiny, prepared, here / "r", lr=0.002), here / "a.safetensors")
    fresh = model_bytes(train(tiny, prepared, here / "s", lr=0.002), here / "b.safetensors")
    assert other == fresh
    assert len(list((here / ".cache").rglob("checkpoint.pt"))) == 1


def _cut_short(content):
    return content[:1000]


def _with_another_weight(content):
    # PyTorch itself reads that and says nothing.
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 64]) + content[middle + 1 :]


@pytest.mark.parametrize("damage", [_cut_short, _with_another_weight])
def test_a_damaged_checkpoint_is_named_and_training_starts_afresh(
    tiny, prepared, here, monkeypatch, capsys, damage
):
    monkeypatch.setattr(objective, "set_lr", lambda optimizer, lr: os.kill(os.getpid(), signal.SIGINT))
    with pytest.raises(KeyboardInterrupt):
        train(tiny, prepared, here / "r")
    monkeypatch.undo()
    monkeypatch.chdir(here)
    (checkpoint,) = (here / ".cache").rglob("checkpoint.pt")
    checkpoint.write_bytes(damage(checkpoint.read_bytes()))
    resumed = model_bytes(train(tiny, prepared, here / "r"), here / "a.safetensors")
    assert "the checkpoint is damaged (its checksum does not match)" in capsys.readouterr().err
    assert resumed == model_bytes(train(tiny, prepared, here / "s"), here / "b.safetensors")


def test_a_loss_that_is_no_number_stops_with_the_step_and_the_way_out(tiny, prepared, here, monkeypatch):
    monkeypatch.setitem(losses.LOSSES, "l1", lambda a, b: (a - b).abs().mean() * float("nan"))
    with pytest.raises(
        UngrayError, match=r"loss is nan at step 1, .* photos train/.*\.jpg, .* lower train\.lr"
    ):
        train(tiny, prepared, here / "r")


def test_batches_cover_every_photo_once_and_skipping_leaves_the_rest_as_it_was():
    pixels = np.arange(23 * 2 * 2 * 3, dtype=np.uint8).reshape(23, 2, 2, 3)
    everything = list(batches(pixels, batch_size=5, seed=1, epoch=0, flip=True))
    assert sorted(int(n) for numbers, _ in everything for n in numbers) == list(range(23))
    rest = list(batches(pixels, batch_size=5, seed=1, epoch=0, flip=True, skip=3))
    assert [n.tolist() for n, _ in rest] == [n.tolist() for n, _ in everything[3:]]
    assert all(torch.equal(a, b) for (_, a), (_, b) in zip(rest, everything[3:], strict=True))
    other_epoch = list(batches(pixels, batch_size=5, seed=1, epoch=1, flip=True))
    assert [n.tolist() for n, _ in other_epoch] != [n.tolist() for n, _ in everything]


def test_batches_are_in_order_where_they_are_not_to_be_shuffled_and_flips_stay_the_same():
    pixels = np.random.default_rng(0).integers(0, 255, (23, 4, 4, 3), dtype=np.uint8)
    options = {"batch_size": 5, "seed": 1, "epoch": 0, "flip": True}
    ordered = list(batches(pixels, **options, shuffle=False))
    assert [int(n) for numbers, _ in ordered for n in numbers] == list(range(23))
    rest = list(batches(pixels, **options, shuffle=False, skip=3))
    assert all(torch.equal(a, b) for (_, a), (_, b) in zip(rest, ordered[3:], strict=True))


def test_flips_mirror_left_and_right_of_about_half_of_the_photos():
    pixels = np.random.default_rng(0).integers(0, 255, (400, 4, 4, 3), dtype=np.uint8)
    mirrored = 0
    for numbers, batch in batches(pixels, batch_size=50, seed=1, epoch=0, flip=True):
        for number, photo in zip(numbers, batch.numpy(), strict=True):
            same, turned = (photo == pixels[number]).all(), (photo == pixels[number][:, ::-1]).all()
            assert same or turned
            mirrored += turned
    assert 150 < mirrored < 250


def test_decoded_photos_are_kept_and_found_again(tiny, prepared, here):
    index = read_table(prepared / "index.csv", made_by="prepare")
    first = load_pixels(index, prepared, size=32, workers=1)
    (path,) = (here / ".cache").rglob("pixels.npy")
    written = path.stat().st_mtime_ns
    again = load_pixels(index, prepared, size=32, workers=1)
    assert path.stat().st_mtime_ns == written
    assert isinstance(again, np.memmap)
    assert (first == again).all()


def test_decoded_photos_that_are_not_whole_are_decoded_anew(tiny, prepared, here):
    index = read_table(prepared / "index.csv", made_by="prepare")
    first = np.array(load_pixels(index, prepared, size=32, workers=1))
    (path,) = (here / ".cache").rglob("pixels.npy")
    path.write_bytes(path.read_bytes()[:-1])
    assert (load_pixels(index, prepared, size=32, workers=1) == first).all()


def test_decoded_photos_are_kept_apart_where_another_library_decodes(tiny, prepared, here, monkeypatch):
    index = read_table(prepared / "index.csv", made_by="prepare")
    load_pixels(index, prepared, size=32, workers=1)
    known = data.version
    monkeypatch.setattr(data, "version", lambda name: "another" if name == "pillow" else known(name))
    load_pixels(index, prepared, size=32, workers=1)
    assert len(list((here / ".cache").rglob("pixels.npy"))) == 2


def test_a_missing_prepared_photo_is_named(tiny, prepared, here):
    index = read_table(prepared / "index.csv", made_by="prepare")
    index.loc[0, "file"] = "train/gone.jpg"
    with pytest.raises(UngrayError, match=r"gone\.jpg.*dvc repro --force prepare"):
        load_pixels(index, prepared, size=32, workers=1)
    assert not list((here / ".cache").rglob("pixels.npy")), "nothing half-written"


def test_without_prepared_photos_training_says_which_stage_makes_them(tiny, here):
    with pytest.raises(UngrayError, match=r"index\.csv not found; `dvc repro prepare` makes it"):
        train(tiny, here / "prepared", here / "r")


def test_the_working_cache_of_an_experiment_is_that_of_the_main_checkout(tmp_path):
    experiment = tmp_path / "project" / ".dvc" / "tmp" / "exps" / "tmpabc"
    experiment.mkdir(parents=True)
    assert main_checkout(experiment) == tmp_path / "project"
    assert main_checkout(tmp_path / "project") == tmp_path / "project"


def test_a_second_interrupt_stops_at_once():
    with stoppable() as stop:
        os.kill(os.getpid(), signal.SIGINT)
        assert stop == [signal.SIGINT]
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)

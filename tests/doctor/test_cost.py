"""What training would cost: measured with the training's own loop, then reckoned up."""

import os

import pandas as pd
import pytest
import torch

from stages.doctor.cost import Cost, cost, measure
from stages.doctor.plan import ASSUMED, photo_counts, plan
from stages.storage.tables import write_table
from ungray import networks
from ungray.errors import UngrayError

MUCH = 2**40


@pytest.fixture(scope="module")
def measured(tiny):
    return measure(tiny["train"], tiny["machine"], seconds=0, free_memory=MUCH)


def test_the_pace_and_the_sizes_are_those_of_the_network(tiny, measured, tmp_path):
    assert (measured.device, measured.precision) == ("cpu", "fp32")
    assert measured.fits
    assert measured.measured_batch == tiny["train"].batch_size
    assert measured.photos_per_second > 1
    assert measured.validated_per_second > 1
    assert measured.gpu_memory is None
    network = networks.build(tiny["train"].network())
    assert measured.parameters == networks.parameter_count(network)
    networks.save_model(tmp_path / "model.safetensors", networks.Model(network, {}))
    assert measured.model_file == (tmp_path / "model.safetensors").stat().st_size
    # Weights and Adam's two moments, in fp32.
    assert measured.checkpoint_file > 3 * 4 * measured.parameters


def test_one_thread_is_timed_beside_several_where_other_programs_are_at_work(tiny, measured):
    assert measured.single_thread is None
    two = tiny["machine"].model_copy(update={"threads": 2})
    found = measure(tiny["train"], two, seconds=0, free_memory=MUCH, busy=1.5)
    assert (found.threads, measure(tiny["train"], two, seconds=0, free_memory=MUCH).single_thread) == (
        2,
        None,
    )
    assert found.single_thread > 1
    assert found.measured_batch == tiny["train"].batch_size
    one = tiny["machine"].model_copy(update={"threads": 1})
    assert measure(tiny["train"], one, seconds=0, free_memory=MUCH, busy=1.5).single_thread is None


def test_an_average_and_the_best_weights_are_in_the_checkpoint(tiny, measured):
    params = tiny["train"].model_copy(update={"ema": 0.99, "keep": "best"})
    more = measure(params, tiny["machine"], seconds=0, free_memory=MUCH)
    assert more.checkpoint_file > measured.checkpoint_file + 4 * measured.parameters


def test_old_scans_and_parts_of_a_batch_go_through_the_same_loop(tiny):
    params = tiny["train"].model_copy(update={"degradation": 1.0})
    machine = tiny["machine"].model_copy(update={"accumulation": 2})
    assert measure(params, machine, seconds=0, free_memory=MUCH).photos_per_second > 0


def test_a_batch_that_would_not_fit_is_not_tried(tiny):
    # Forty times 4096 photos at 256 pixels would take a while, and much memory. In a process of its own, as
    # the command does it: in this one, memory that other tests left behind would hide what a batch takes.
    params = tiny["train"].model_copy(update={"batch_size": 4096, "working_size": 256})
    found = cost(params, tiny["machine"], seconds=0, free_memory=2**28)
    assert not found.fits
    assert found.measured_batch == 8
    assert found.memory > 2**30
    assert 2 <= found.largest_batch < 4096


def test_a_training_that_dies_is_a_sentence(tiny):
    with pytest.raises(
        UngrayError, match=r"was killed, most likely because memory ran out; lower train\.batch_size = 30"
    ):
        cost(Killer(), tiny["machine"], seconds=0, free_memory=MUCH)


class Killer:
    """Ends the process that takes it out of a pipe."""

    batch_size, working_size = 30, 128

    def __reduce__(self):
        return os._exit, (9,)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_what_cannot_be_trained_here_is_a_sentence(tiny):
    machine = tiny["machine"].model_copy(update={"device": "cuda"})
    with pytest.raises(UngrayError, match="cuda"):
        measure(tiny["train"], machine, seconds=0, free_memory=MUCH)


def _index(folder, sizes, val):
    rows = [{"file": f"train/{n}.jpg", "split": "train", "size": size} for n, size in enumerate(sizes)]
    rows += [{"file": f"val/{n}.jpg", "split": "val", "size": 256} for n in range(val)]
    write_table(pd.DataFrame(rows), folder / "index.csv")


def test_prepared_photos_are_counted_those_of_half_the_size_for_a_quarter(tmp_path):
    _index(tmp_path, [256] * 12 + [128] * 4, val=3)
    found = photo_counts(tmp_path, given=None)
    assert (found.train, found.weight, found.val, found.source) == (16, 13, 3, "prepared")


def test_a_given_number_wins_and_without_photos_one_is_assumed(tmp_path):
    _index(tmp_path, [256] * 12, val=3)
    assert photo_counts(tmp_path, given=500).train == 500
    assert photo_counts(tmp_path, given=500).source == "given"
    nothing = photo_counts(tmp_path / "nowhere", given=None)
    assert (nothing.train, nothing.source) == (ASSUMED, "assumed")


COST = Cost(
    device="cpu", precision="fp32", parameters=10, measured_batch=30, photos_per_second=10.0,
    validated_per_second=20.0, memory=10**9, gpu_memory=None, fits=True, largest_batch=100, model_file=20,
    checkpoint_file=60,
)  # fmt: skip


def test_minutes_follow_from_pace_and_photos(tiny, tmp_path):
    params = tiny["train"].model_copy(update={"epochs": 3, "batch_size": 30, "working_size": 128})
    found = plan(params, photo_counts(tmp_path, given=1200), COST)
    assert found.minutes_per_epoch == pytest.approx(2 + 120 / 20 / 60)
    assert found.minutes == pytest.approx(3 * found.minutes_per_epoch)
    assert found.pixels_file == 1320 * 3 * 128**2


def test_of_photos_in_shards_only_val_is_decoded_to_the_disk(tiny, tmp_path):
    _index(tmp_path, [256] * 12, val=3)
    table = pd.read_csv(tmp_path / "index.csv").assign(shard="train-00000.tar")
    write_table(table, tmp_path / "index.csv")
    params = tiny["train"].model_copy(update={"working_size": 128})
    assert plan(params, photo_counts(tmp_path, given=None), COST).pixels_file == 3 * 3 * 128**2


@pytest.mark.parametrize(
    ("budget", "epochs"), [({"steps": 20}, 0.5), ({"minutes": 4.2}, 2), ({"steps": 20, "minutes": 4.2}, 0.5)]
)
def test_steps_and_minutes_end_it_earlier(tiny, tmp_path, budget, epochs):
    params = tiny["train"].model_copy(update={"epochs": 100, "batch_size": 30, **budget})
    found = plan(params, photo_counts(tmp_path, given=1200), COST)
    assert found.epochs == pytest.approx(epochs)
    assert found.minutes == pytest.approx(found.epochs * found.minutes_per_epoch)

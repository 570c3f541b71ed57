"""Batches: prepared ahead they stay what they are, and what is larger than memory is never read whole."""

import resource
import threading
from itertools import count, islice

import numpy as np
import pandas as pd
import pytest
import torch

from stages.train import data, devices
from stages.train.data import AHEAD, ahead, load_pixels, mixed_batches, pixels_path, to_rgb, write_header
from ungray.errors import UngrayError
from ungray.imaging.grids import write_jpeg

DRAWN = {"batch_size": 5, "seed": 3, "epoch": 1, "flip": True}


@pytest.fixture
def sizes():
    draws = np.random.default_rng(0)
    return [draws.integers(0, 256, (n, side, side, 3), dtype=np.uint8) for n, side in ((23, 8), (12, 4))]


def same(some, others):
    return all(
        (numbers == others_numbers).all() and torch.equal(batch, others_batch)
        for (numbers, batch), (others_numbers, others_batch) in zip(some, others, strict=True)
    )


@pytest.mark.parametrize("skip", [0, 3, 8])
def test_batches_prepared_ahead_are_those_drawn_when_asked_for_also_after_a_skip(sizes, skip):
    plain = list(mixed_batches(sizes, **DRAWN))
    assert len(plain) == 8
    assert same(list(ahead(mixed_batches(sizes, **DRAWN, skip=skip))), plain[skip:])


def test_no_more_batches_are_prepared_than_said_and_leaving_early_ends_the_thread():
    made = []
    drawn = ahead(made.append(n) or n for n in count())
    assert list(islice(drawn, 3)) == [0, 1, 2]
    assert len(made) <= 3 + AHEAD
    drawn.close()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("ahead")]


def test_what_goes_wrong_while_a_batch_is_prepared_is_raised_where_it_is_asked_for():
    def failing():
        yield 1
        raise OSError("the disk is gone")

    drawn = ahead(failing())
    assert next(drawn) == 1
    with pytest.raises(OSError, match="the disk is gone"):
        next(drawn)


def test_of_decoded_photos_larger_than_memory_only_what_a_batch_needs_is_read(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    index = pd.DataFrame({"file": [f"{n}.jpg" for n in range(350_000)], "digest": "d"})
    # A file with a hole: 69 GB by its length, nothing on the disk.
    with pixels_path(index, 256).open("wb") as file:
        shape = (len(index), 256, 256, 3)
        write_header(file, shape)
        file.truncate(file.tell() + np.prod(shape))
    pixels = load_pixels(index, tmp_path, size=256, workers=1)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    batches = islice(ahead(mixed_batches([pixels], **DRAWN | {"batch_size": 30})), 3)
    assert [batch.shape for _, batch in batches] == [(30, 256, 256, 3)] * 3
    added = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert added < 200_000, f"{added} kB more than before"
    with pytest.raises(ValueError, match="read-only"):
        pixels[0] = 0


def test_photos_become_floats_channel_after_channel_to_the_very_level():
    levels = torch.arange(256, dtype=torch.uint8).reshape(1, 16, 16, 1).repeat(1, 1, 1, 3)
    rgb = to_rgb(levels)
    assert rgb.shape == (1, 3, 16, 16)
    assert rgb.is_contiguous()
    assert torch.equal(rgb, levels.permute(0, 3, 1, 2).float() / 255)


def test_without_the_compiler_that_compiling_needs_training_says_so(tiny, monkeypatch):
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("CXX", raising=False)
    machine = tiny["machine"].model_copy(update={"compile": True})
    with pytest.raises(UngrayError, match=r"compile is true, but the C\+\+ compiler .* is not installed"):
        devices.start_fabric(machine)


def test_two_trainings_that_begin_at_once_with_a_cold_cache_both_get_whole_pixels(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for number in range(3):
        write_jpeg(tmp_path / f"{number}.jpg", np.full((16, 16, 3), 40 * number, np.uint8))
    index = pd.DataFrame({"file": [f"{number}.jpg" for number in range(3)], "digest": ["a", "b", "c"]})
    found, decoded = [], data.decoded

    def slowly(*arguments, **about):
        results = decoded(*arguments, **about)
        yield next(results)
        if not found:  # the other one comes, and is done, while this one is at work
            found.append(None)
            found[0] = load_pixels(index, tmp_path, size=16, workers=1)
        yield from results

    monkeypatch.setattr(data, "decoded", slowly)
    mine = load_pixels(index, tmp_path, size=16, workers=1)
    assert (mine == found[0]).all()
    assert mine.shape == (3, 16, 16, 3)
    assert [path.name for path in pixels_path(index, 16).parent.iterdir()] == ["pixels.npy"]

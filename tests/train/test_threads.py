"""The number of threads changes a model's bytes: it can be set, and the model says it."""

import pandas as pd
import pytest
import torch

from stages.export.card import _threads
from stages.params import Machine
from stages.train.devices import start_fabric
from stages.train.run import run


@pytest.fixture(autouse=True)
def restored():
    """The threads of the other tests stay as they are."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("threads", [1, 2])
def test_as_many_as_machine_threads_says_and_the_model_says_how_many(trained, threads):
    result, _ = trained(machine={"threads": threads}, epochs=1)
    assert torch.get_num_threads() == threads
    assert result.model.provenance["threads"] == [threads]


def test_one_per_core_if_it_is_0(tiny, monkeypatch):
    monkeypatch.setattr("stages.train.devices.cores", lambda: 3)
    start_fabric(tiny["machine"].model_copy(update={"threads": 0}))
    assert torch.get_num_threads() == 3


def test_a_training_that_was_resumed_with_others_says_both(tiny, prepared, here):
    params = tiny["train"].model_copy(update={"epochs": 2})
    one, two = (tiny["machine"].model_copy(update={"threads": number}) for number in (1, 2))

    def stop(epoch, record):
        raise KeyboardInterrupt

    assert isinstance(one, Machine)
    with pytest.raises(KeyboardInterrupt):
        run(
            params,
            one.model_copy(update={"checkpoint_steps": 1}),
            prepared=prepared,
            report=here / "r",
            on_epoch=stop,
        )
    result = run(params, two, prepared=prepared, report=here / "r")
    assert result.model.provenance["threads"] == [1, 2]
    assert _threads(result.model.provenance) == "1 and then 2 threads a process, "
    assert len(pd.read_csv(here / "r/plots/metrics/loss/val.tsv", sep="\t")) >= 2


def test_a_card_of_a_model_that_does_not_say_is_as_before():
    assert _threads({}) == ""

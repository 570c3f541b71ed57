"""A tiny network, and the sample judged with it once."""

import pandas as pd
import pytest
import torch

from stages.evaluate.run import run
from stages.storage.tables import read_table
from ungray import networks
from ungray.networks import Model


@pytest.fixture(scope="session")
def index(prepared):
    return read_table(prepared / "index.csv", made_by="prepare")


@pytest.fixture(scope="session")
def model(tiny):
    """Untrained, and without provenance."""
    torch.manual_seed(0)
    return Model(networks.build(tiny["train"].network()).eval(), {})


@pytest.fixture(scope="session")
def base(tiny):
    torch.manual_seed(1)
    return Model(networks.build(tiny["train"].network()).eval(), {})


@pytest.fixture(scope="session")
def pixels(index):
    """Pixels of the originals, made up: none is of the size of another."""
    names = sorted(index["photo"].unique())
    return pd.Series(range(10_000, 10_000 + len(names)), names)


@pytest.fixture(scope="session")
def found(tiny, prepared, index, model, base, pixels):
    """What judging ``model`` beside ``base`` finds on the sample."""
    return run(tiny["evaluate"], model, base, index=index, pixels=pixels, prepared=prepared)


@pytest.fixture(scope="session")
def means():
    """A function that returns the mean of every figure of a method, by name, from what was found."""

    def of(found, method):
        rows = found.figures[found.figures["method"] == method]
        return dict(zip(rows["figure"], rows["mean"], strict=True))

    return of

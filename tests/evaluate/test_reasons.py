"""Why the worst photos are likely the worst, and how unlike the train photos a photo is."""

import numpy as np
import pandas as pd
import pytest
import torch

from stages.evaluate.reasons import Reason, correlation, worst
from stages.evaluate.run import run
from stages.evaluate.unlikeness import MOST_TRAIN, Encoder, Features, with_encoder
from stages.storage.tables import read_table
from ungray import networks
from ungray.imaging.photos import read_rgb
from ungray.networks import Model


@pytest.fixture(scope="module")
def encoder():
    """An untrained model with an encoder."""
    torch.manual_seed(0)
    network = networks.build(
        {"architecture": "lite_unet", "working_size": 64, "decoder": [8, 8, 8, 8], "hints": True}
    )
    return Model(network.eval(), {})


def judged(errors, *, gray=20.0, queries=None, chroma=None):
    """A table of judged photos with these errors of the model."""
    rows = []
    for number, error in enumerate(errors):
        about = {
            "file": f"test/{number}.jpg",
            "query": (queries or ["roses"] * len(errors))[number],
            "chroma_truth": (chroma or [30.0] * len(errors))[number],
        }
        rows += [
            about | {"method": "model", "ciede2000": error},
            about | {"method": "gray", "ciede2000": gray},
        ]
    return pd.DataFrame(rows)


def unlike(values):
    files = [f"test/{number}.jpg" for number in range(len(values))]
    return pd.DataFrame(
        {"unlikeness": values, "nearest": "train/near.jpg"}, index=pd.Index(files, name="file")
    )


TRAIN = pd.DataFrame({"query": ["roses"] * 5 + ["tulips"] * 2})


class TestReasons:
    """What is said of the worst photos."""

    def test_the_worst_come_first_with_what_was_measured(self):
        table = judged([5, 9, 1, 7, 3], chroma=[10, 20, 30, 40, 50])
        first, second = worst(table, TRAIN, unlike([0.1, 0.2, 0.3, 0.4, 0.5]), count=2)
        assert (first.file, first.error, first.gray, first.same_query) == ("test/1.jpg", 9, 20, 5)
        assert (first.chroma, first.chroma_rank) == (20, 0.25)
        assert (first.unlikeness, first.unlikeness_rank, first.nearest) == (0.2, 0.25, "train/near.jpg")
        assert second.file == "test/3.jpg"

    @pytest.mark.parametrize(
        ("changes", "said"),
        [
            ({}, ["none of what is measured here sets it apart"]),
            ({"same_query": 0}, ["no train photos of its query"]),
            ({"same_query": 1}, ["1 train photo of its query"]),
            ({"unlikeness_rank": 0.8}, ["unlike the train photos"]),
            ({"unlikeness": None, "unlikeness_rank": None}, ["none of what is measured here sets it apart"]),
            ({"chroma_rank": 0.9}, ["strong colors, which a model in doubt pales"]),
            ({"error": 21.0}, ["wrong colors: further from the truth than none"]),
            (
                {"same_query": 2, "unlikeness_rank": 1.0, "error": 21.0},
                [
                    "2 train photos of its query",
                    "unlike the train photos",
                    "wrong colors: further from the truth than none",
                ],
            ),
        ],
    )
    def test_each_reason_is_said_where_it_holds(self, changes, said):
        about = {
            "file": "f", "query": "q", "same_query": 9, "error": 10.0, "gray": 20.0, "chroma": 30.0,
            "chroma_rank": 0.5, "unlikeness": 0.5, "unlikeness_rank": 0.5, "nearest": "n",
        }  # fmt: skip
        assert Reason(**about | changes).sentences == said

    def test_few_photos_are_not_ranked_and_have_no_correlation(self):
        table = judged([5, 9, 1])
        assert [reason.chroma_rank for reason in worst(table, TRAIN, None, count=4)] == [0, 0, 0]
        assert correlation(table, unlike([0.1, 0.2, 0.3])) is None
        assert correlation(judged([5, 9, 1, 2, 3]), unlike([0.1] * 5)) is None

    def test_the_correlation_is_of_ranks(self):
        assert correlation(judged([1, 2, 30, 4, 500]), unlike([0.1, 0.2, 0.4, 0.3, 0.9])) == pytest.approx(1)
        assert correlation(judged([5, 4, 3, 2, 1]), unlike([1, 2, 3, 4, 5])) == pytest.approx(-1)


class TestUnlikeness:
    """How unlike the train photos a photo is."""

    def test_a_train_photo_is_nothing_but_like_itself(self, encoder, index, prepared):
        originals = index[index["copy"] == 0]
        train = originals[originals["split"] == "train"]
        features = Features(encoder, train["file"])
        for file in train["file"]:
            features.look(file, read_rgb(prepared / file))
        features.look("train/unknown.jpg", np.zeros((64, 64, 3), np.uint8))
        assert features.compared == len(train)
        same = features.compare(train.head(3), prepared)
        assert list(same["nearest"]) == list(train["file"].head(3))
        assert same["unlikeness"].to_numpy() == pytest.approx(0, abs=1e-5)
        others = features.compare(originals[originals["split"] == "test"], prepared)
        assert set(others["nearest"]) <= set(train["file"])
        assert others["unlikeness"].between(1e-4, 2).all()

    def test_of_very_many_photos_some_are_compared_spread_over_all(self, encoder):
        files = [f"train/{number}.jpg" for number in range(2 * MOST_TRAIN)]
        features = Features(encoder, files)
        assert features.compared == MOST_TRAIN
        assert {files[0], files[-1]} <= features._train.keys()

    def test_the_base_models_encoder_comes_before_the_models_own(self, encoder, model):
        assert with_encoder({"base": encoder, "model": model}) == ("base", encoder)
        assert with_encoder({"base": model, "model": encoder}) == ("model", encoder)
        assert with_encoder({"base": None, "model": model}) is None

    def test_judging_finds_the_same_in_files_and_in_shards(
        self, tiny, encoder, index, model, pixels, prepared, packed
    ):
        shards = packed(7)
        every = read_table(shards / "index.csv", made_by="prepare")
        options = {"pixels": pixels}
        one = run(tiny["evaluate"], model, encoder, index=index, prepared=prepared, **options)
        other = run(tiny["evaluate"], model, encoder, index=every, prepared=shards, **options)
        assert one.worst == other.worst
        assert one.encoder == other.encoder == Encoder("base", one.encoder.compared, one.encoder.compared)
        assert len(one.worst) == tiny["evaluate"].grid_rows
        assert all(reason.nearest.startswith("train/") for reason in one.worst)

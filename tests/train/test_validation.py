"""How good a finished model is on its val photos, as its file says."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors import safe_open
from skimage import data

from stages.export.card import model_card
from stages.export.quality import verdict
from stages.storage import tables
from stages.train.validation import MAX_PHOTOS, val_set
from ungray import Colorizer, engines
from ungray.imaging import metrics
from ungray.imaging.upsampling import gray_photo
from ungray.networks import Model, load_model
from ungray.networks.base import AB_SCALE
from ungray.networks.lab_colorizer import LabColorizer
from ungray.page.models import about, plain_quality
from ungray.quality import lines

TRUTHS = np.stack([photo[:64, 100:164] for photo in (data.astronaut(), data.coffee(), data.chelsea())])


class Brown(LabColorizer):
    """Answers with one color, whatever the photo."""

    ARCHITECTURE, MULTIPLE = "brown", 1

    def __init__(self, ab):
        super().__init__(working_size=64)
        self.ab = torch.nn.Parameter(torch.tensor(ab) / AB_SCALE)

    def forward(self, lightness):
        return self.ab[None, :, None, None].expand(len(lightness), 2, *lightness.shape[2:])


def test_the_means_are_those_of_the_photos_as_a_user_gets_them_beside_gray():
    found = val_set(Brown([8.0, 12.0]), TRUTHS, pd.Series(["a", "b", "c"]))
    assert (found["name"], found["photos"], found["groups"]) == ("val", 3, 3)
    assert list(found["metrics"]) == [metric.name for metric in metrics.of_training()]
    colorizer = Colorizer(engines.of_model(Model(Brown([8.0, 12.0]), {})))
    grays = [gray_photo(truth) for truth in TRUTHS]
    for method, photos in (("model", map(colorizer.colorize, grays)), ("gray", grays)):
        judged = pd.DataFrame([metrics.judge(p, t) for p, t in zip(photos, TRUTHS, strict=True)])
        for name, entry in found["metrics"].items():
            assert entry["means"][method] == pytest.approx(judged[name].mean(), abs=1e-3), (method, name)
    for entry in found["metrics"].values():
        minus = entry["minus"]["gray"]
        assert minus["mean"] == pytest.approx(entry["means"]["model"] - entry["means"]["gray"], abs=2e-4)
        assert minus["low"] <= minus["mean"] <= minus["high"]


def test_copies_of_one_photo_are_one_group_and_one_group_has_no_interval():
    often = np.repeat(TRUTHS, 6, axis=0)
    network = Brown([8.0, 12.0])
    apart = val_set(network, often, pd.Series([str(number) for number in range(18)]))
    together = val_set(network, often, pd.Series(np.repeat(["a", "b", "c"], 6)))
    width = {}
    for name, found in (("apart", apart), ("together", together)):
        minus = found["metrics"]["ciede2000"]["minus"]["gray"]
        width[name] = minus["high"] - minus["low"]
    assert apart["metrics"]["psnr"]["means"] == together["metrics"]["psnr"]["means"]
    assert width["together"] > 1.5 * width["apart"] > 0
    alone = val_set(network, TRUTHS, pd.Series(["a"] * 3))["metrics"]["ciede2000"]["minus"]["gray"]
    assert (alone["low"], alone["high"]) == (None, None)


def test_of_many_photos_some_are_judged():
    many = np.tile(TRUTHS[:1, :16, :16], (MAX_PHOTOS + 40, 1, 1, 1))
    found = val_set(Brown([1.0, 1.0]), many, pd.Series(range(len(many))))
    assert (found["photos"], found["groups"]) == (MAX_PHOTOS, MAX_PHOTOS)


def test_a_trained_model_says_in_its_file_how_good_it_is_and_everything_that_shows_it_says_on_which_photos(
    trained, prepared, capsys
):
    result, content = trained(epochs=2)
    assert trained("again", epochs=2)[1] == content
    with safe_open("m.safetensors", framework="np") as file:
        quality = json.loads(file.metadata()["quality"])
    val = tables.read_table(prepared / "index.csv", made_by="prepare").query("split == 'val'")
    assert quality == result.model.quality
    assert (quality["val"]["photos"], quality["val"]["groups"]) == (len(val), val["group"].nunique())
    means = quality["val"]["metrics"]["ciede2000"]["means"]
    record = result.state.log[-1]
    for method, name in (("model", "ciede2000/val"), ("gray", "ciede2000/gray")):
        assert means[method] == pytest.approx(record[name], rel=0.02), "as its last epoch was shown"
    model = Colorizer.load(Path("m.safetensors"))
    assert model.quality == quality
    start = (
        f"On {len(val)} validation photos, which may have chosen the epoch: CIEDE2000 {means['model']:.2f}"
    )
    assert start in about(model)
    assert "validation photos" in plain_quality(model)
    assert start in model_card(load_model(Path("m.safetensors")))
    capsys.readouterr()
    verdict(["m.safetensors"])
    assert capsys.readouterr().out.startswith(start)


def a_set(*, low=-1.5, high=-0.5):
    entry = {
        "means": {"model": 9.0, "gray": 10.0},
        "minus": {"gray": {"mean": -1.0, "low": low, "high": high}},
    }
    return {"name": "val", "photos": 40, "groups": 30, "metrics": {"ciede2000": entry}}


def test_val_photos_are_spoken_of_only_where_no_others_were_judged():
    (said,) = lines({"val": a_set()}, {})
    assert said == (
        "on 40 validation photos, which may have chosen the epoch: CIEDE2000 9.00 vs. the gray photo's "
        "10.00, 95 % interval of the difference -1.50 to -0.50, 30 groups"
    )
    assert lines({"val": a_set(low=None, high=None)}, {}) == [said.partition(", 95 %")[0]]
    test = a_set() | {"name": "test", "wanted_groups": 20, "known_to_base": 0}
    test["metrics"]["ciede2000"]["minus"]["gray"]["verdict"] = "better"
    assert not [line for line in lines({"val": a_set(), "test": test}, {}) if "validation" in line]


@pytest.mark.parametrize(
    ("ends", "said"),
    [
        ({}, "On its validation photos, this model's colors were 10 % closer to the true ones than gray."),
        ({"high": 0.1}, "On its validation photos, this model's colors were not clearly better than none."),
        (
            {"low": None, "high": None},
            "On its validation photos, this model's colors were not clearly better than none.",
        ),
    ],
)
def test_the_page_says_it_in_plain_words(ends, said):
    model = Colorizer.__new__(Colorizer)
    model.quality, model.provenance = {"val": a_set(**ends)}, {}
    assert plain_quality(model) == said

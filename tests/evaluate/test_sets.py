"""The tools ``python -m stages.evaluate sets`` and ``hints``, as a person runs them."""

import json
import shutil
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from skimage import data

from stages.evaluate.diffusion import spread
from stages.evaluate.hints import NUMBERS, hints, places, worst_places
from stages.evaluate.sets import sets
from ungray import networks
from ungray.errors import UngrayError
from ungray.imaging import photos
from ungray.imaging.color import rgb_to_lab

SHIPPED = Path(__file__).parents[2] / "params.yaml"


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder with params.yaml, and photos in the folders cats and cups."""
    shutil.copy(SHIPPED, tmp_path / "params.yaml")
    monkeypatch.chdir(tmp_path)
    for name, scene in (("cats", data.chelsea()), ("cups", data.coffee())):
        for part in range(3):
            crop = np.ascontiguousarray(scene[60 * part : 60 * part + 90, 100:200])
            photos.write_rgb(tmp_path / name / f"{part}.png", crop)
    return tmp_path


@pytest.fixture
def colors(here, tiny):
    """A model that tints everything, and takes hints."""
    torch.manual_seed(0)
    network = networks.build(
        {"architecture": "lite_unet", "working_size": 32, "decoder": [8, 8, 8, 8], "hints": True}
    )
    with torch.no_grad():
        network.head.bias.copy_(torch.tensor([0.1, 0.2]))
    path = here / "model.safetensors"
    networks.save_model(path, networks.Model(network, {"vivid": {"saturation": 2.0}}))
    return path


def test_each_set_is_a_row_beside_gray_and_the_mean_counts_each_alike(here, colors, capsys):
    (here / "cups" / "2.png").unlink()
    sets([str(colors), str(here / "cats"), f"coffee={here / 'cups'}"])
    table = pd.read_csv("reports/sets/sets.csv").set_index("set")
    assert list(table.index) == ["cats", "coffee", "mean over sets"]
    assert table["photos"].tolist() == [3, 2, 5]
    figures = table.loc[["cats", "coffee"], "ciede2000_ratio"]
    assert table.loc["mean over sets", "ciede2000_ratio"] == pytest.approx(figures.mean(), abs=1e-4)
    each = pd.read_csv("reports/sets/photos.csv")
    assert sorted(each["method"].unique()) == ["gray", "model"]
    gain = each.pivot(index=["set", "file"], columns="method", values="psnr")
    expected = (gain["model"] - gain["gray"]).loc["cats"].mean()
    assert table.loc["cats", "psnr_minus_gray"] == pytest.approx(expected, abs=1e-3)
    assert table.loc["cats", "low"] <= expected <= table.loc["cats", "high"]
    assert "reports/sets/photos.csv" in capsys.readouterr().out
    found = json.loads(Path("reports/sets/quality.json").read_text())["elsewhere"]
    assert [(one["name"], one["photos"]) for one in found] == [("cats", 3), ("coffee", 2)]
    assert found[0]["metrics"]["psnr"]["minus"]["gray"]["mean"] == pytest.approx(expected, abs=1e-3)


def test_vivid_colors_are_judged_where_asked_for(here, colors):
    ratio = {}
    for option in ((), ("--vivid",)):
        sets([str(colors), str(here / "cats"), *option])
        ratio[option] = pd.read_csv("reports/sets/sets.csv")["colorfulness_ratio"].iloc[0]
    assert ratio["--vivid",] > 1.3 * ratio[()]


def test_sets_without_a_name_of_their_own_are_refused(here):
    with pytest.raises(UngrayError, match=r"the name 'cats' is already used; give it another, as in OTHER="):
        sets(["model.safetensors", str(here / "cats"), f"cats={here / 'cups'}"])


def test_a_folder_without_photos_is_one_sentence(here, colors):
    with pytest.raises(UngrayError, match="nowhere is not a folder with photos"):
        sets([str(colors), "nowhere"])


def test_places_have_the_photos_colors_and_fewer_are_among_more():
    truth = np.ascontiguousarray(data.astronaut()[:90, :120])
    many, few = places(truth, count=50, seed=[1, 2]), places(truth, count=50, seed=[1, 2])[:5]
    assert many[:5] == few
    assert places(truth, count=5, seed=[1, 3]) != few
    lab = rgb_to_lab(truth)
    for hint in many:
        true = lab[int(hint.y), int(hint.x), 1:]
        assert np.abs(hint.ab() - true).max() < 25, "the mean over a window"


def test_the_worst_places_are_where_the_error_is_the_worst_first():
    truth = np.full((96, 120, 3), 128, np.uint8)
    truth[20:40, 30:50] = 200, 60, 60
    truth[60:80, 80:100] = 100, 140, 180
    found = worst_places(truth, np.full_like(truth, 128))
    assert (abs(found[0].x - 39.5) < 8, abs(found[0].y - 29.5) < 8) == (True, True)
    assert found[0].color == "#c83c3c"
    apart = [np.hypot(a.x - b.x, a.y - b.y) for a, b in combinations(found, 2)]
    assert min(apart) >= 8
    assert "#648cb4" in [hint.color for hint in found]


def test_hints_at_the_worst_places_are_judged(here, colors):
    hints([str(colors), "--photos", str(here / "cats"), "--most", "1", "--at", "worst"])
    table = pd.read_csv("reports/hints/hints.csv")
    assert table["hints"].tolist() == [0, 1, 2, 5, 10, 20]
    assert (table["at_hints"].iloc[1:] < 3).all(), "a hint is met at its place"
    assert table["ciede2000_diffusion"].iloc[-1] < table["ciede2000_diffusion"].iloc[1]


def test_hints_are_judged_at_every_number_beside_gray_and_their_diffusion(here, colors):
    hints([str(colors), "--photos", str(here / "cats"), "--most", "2"])
    table = pd.read_csv("reports/hints/hints.csv")
    assert table["hints"].tolist() == list(NUMBERS)
    assert table["psnr_gray"].nunique() == 1
    assert table["psnr_diffusion"].iloc[0] == pytest.approx(table["psnr_gray"].iloc[0], abs=0.01)
    assert table["psnr_diffusion"].iloc[-1] > table["psnr_gray"].iloc[0] + 3
    assert table["ciede2000_diffusion"].is_monotonic_decreasing
    assert table["psnr_over_none"].iloc[0] == 0
    assert table["psnr_over_none"].iloc[-1] > 3
    assert (table["at_hints"].iloc[1:] < 3).all(), "a hint is met at its place"
    assert (here / "reports/hints/hints.png").stat().st_size > 10_000
    assert set(pd.read_csv("reports/hints/photos.csv")["file"]) == {"0.png", "2.png"}


def test_a_model_that_takes_no_hints_is_refused(here, tiny):
    path = here / "plain.safetensors"
    networks.save_model(path, networks.Model(networks.build(tiny["train"].network()), {}))
    with pytest.raises(UngrayError, match="takes no hints: it was trained"):
        hints([str(path), "--photos", str(here / "cats")])


def test_colors_spread_over_what_is_equally_light_and_stop_at_edges():
    lightness = np.full((64, 96), 20, np.float32)
    lightness[:, 48:] = 80
    ab = spread(lightness, [(30, 10), (30, 80)], np.array([[50.0, 20.0], [-30.0, 10.0]]))
    assert ab.shape == (64, 96, 2)
    assert np.abs(ab[:, :44] - [50, 20]).max() < 5
    assert np.abs(ab[:, 52:] - [-30, 10]).max() < 5

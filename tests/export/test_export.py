from pathlib import Path
from types import SimpleNamespace

import numpy as np
import onnx
import onnxruntime
import pandas as pd
import pytest
import torch
from skimage import data

from stages.export.card import SETTINGS, model_card
from stages.export.to_onnx import check_onnx, write_onnx
from ungray import networks
from ungray.errors import UngrayError
from ungray.imaging.color import rgb_to_lab
from ungray.networks import Model
from ungray.page.models import about


@pytest.fixture(scope="module", params=["unet", "cnn"])
def model(request, tiny):
    torch.manual_seed(0)
    configuration = tiny["train"].model_copy(update={"architecture": request.param}).network()
    return Model(networks.build(configuration).eval(), {"steps": 3})


@pytest.fixture(scope="module")
def exported(model, tmp_path_factory):
    path = tmp_path_factory.mktemp("onnx") / "model.onnx"
    write_onnx(path, model, opset=18)
    return path


def photos():
    for photo, (height, width) in zip((data.astronaut(), data.coffee(), data.chelsea()), SIZES, strict=True):
        yield rgb_to_lab(np.ascontiguousarray(photo[:height, :width]))[..., 0]


SIZES = ((64, 64), (96, 160), (272, 48))


def test_onnx_gives_what_torch_gives_on_photos_of_any_size(model, exported):
    assert check_onnx(exported, model, list(photos()), tolerance=0.25) < 0.25


def test_a_difference_over_the_tolerance_is_refused(model, exported):
    with pytest.raises(UngrayError, match=r"export\.tolerance"):
        check_onnx(exported, model, list(photos()), tolerance=1e-12)


def test_where_answers_leave_the_range_of_colors_a_difference_counts_in_proportion(tiny, tmp_path):
    network = networks.build(tiny["train"].network()).eval()
    torch.nn.init.normal_(network.head.weight, std=5e3)
    write_onnx(tmp_path / "wild.onnx", Model(network, {}), opset=18)
    with torch.no_grad():
        network.head.weight *= 1 + 1e-4  # more than rounding would do, on answers of some thousands
    (lightness, *_) = photos()
    session = onnxruntime.InferenceSession(str(tmp_path / "wild.onnx"))
    ab = session.run(["ab"], {"lightness": lightness[None, None]})[0][0].transpose(1, 2, 0)
    assert np.abs(ab - networks.predictor(network)(lightness)).max() > 0.25
    assert 0.001 < check_onnx(tmp_path / "wild.onnx", Model(network, {}), [lightness], tolerance=0.25) < 0.1


def test_onnx_takes_batches(model, exported):
    session = onnxruntime.InferenceSession(str(exported))
    ab = session.run(["ab"], {"lightness": np.full((3, 1, 32, 48), 50, np.float32)})[0]
    assert ab.shape == (3, 2, 32, 48)
    assert np.allclose(ab[0], ab[2], atol=1e-4)


def test_onnx_says_what_it_is_and_names_no_path_of_this_machine(model, exported, tmp_path):
    loaded = onnx.load(exported)
    properties = {entry.key: entry.value for entry in loaded.metadata_props}
    assert properties["multiple"] == str(model.network.MULTIPLE)
    assert model.network.ARCHITECTURE in properties["configuration"]
    assert b"/stages/" not in exported.read_bytes()
    write_onnx(tmp_path / "again.onnx", model, opset=18)
    assert (tmp_path / "again.onnx").read_bytes() == exported.read_bytes()


FIGURES = ("ciede2000", "ciede2000_p95", "ab_mae", "psnr", "ssim", "colorfulness_ratio")
PROVENANCE = {
    "train": dict.fromkeys(SETTINGS, "so") | {"working_size": 128},
    "photos": {"train": 8, "val": 1, "test": 2},
    "groups": {"train": 8, "val": 1, "test": 2},
    "queries": ["cats"],
    "steps": 4,
    "precision": "32-true",
    "torch": "2",
}
GRAY = {
    "minus_gray": 0.5, "minus_gray_low": 0.1, "minus_gray_high": 0.9, "against_gray": "worse",
    "minus_base": -0.1, "minus_base_low": None, "minus_base_high": None, "against_base": "can't tell",
}  # fmt: skip


def written_card(provenance=PROVENANCE, *, base=False, configuration=None):
    """The card of a model that is worse than gray, and as good as the base model if there is one."""
    methods = ["model", "gray", "mean_ab", *(["base"] if base else [])]
    rows = [{"figure": figure, "method": method, "mean": 1.25} for figure in FIGURES for method in methods]
    rows[0] |= GRAY
    return model_card(
        provenance,
        {"photos": 2, "groups": 2},
        pd.DataFrame(rows),
        pd.DataFrame([{"status": "kept", "source": "folder", "license": ""}]),
        configuration=configuration or {"architecture": "unet"},
        parameters=4_300_000,
    )


def test_the_card_which_people_print_shows_queries_as_text():
    card = written_card(PROVENANCE | {"queries": ["cats\x1b[2J\n## Verdict\n\nBeside gray: **better**"]})
    assert r"Queries: cats\x1b[2J\n## Verdict\n\nBeside gray: **better**." in card
    assert card.count("\n## Verdict") == 1


def test_the_card_says_how_many_threads_made_it():
    card = written_card(PROVENANCE | {"threads": [1, 2]})
    assert "4 steps in 32-true, 1 and then 2 threads a process, torch 2." in card


@pytest.mark.parametrize("base", [False, True])
def test_the_card_says_what_how_good_and_not_for_what(base):
    card = written_card(base=base)
    assert (
        "Beside the gray photo: **worse**. CIEDE2000 is 0.50 higher than the gray photo's (95 % interval of "
        "the difference +0.10 to +0.90; lower is better), on 2 test photos in 2 groups."
    ) in card
    assert "1 files from folder" in card
    assert "4.30 million" in card
    assert ("| model | base model | gray photo | mean color |" in card) == base
    assert (
        (
            "Beside the base model: **can't tell**. CIEDE2000 is 0.10 lower than the base model's (lower is "
            "better), on 2 test photos"
        )
        in card
    ) == base
    assert "Which test photos the base model was trained on is not known." in card
    assert "all rights are reserved" in card
    assert "## Not for" in card
    assert "cats" in card
    assert "From nothing, optimizer so, loss so" in card
    assert "{" not in card
    assert "kept" not in card


def test_the_card_says_what_a_model_started_from_and_how_vivid_it_can_be():
    start = {"sha256": "0123456789abcdef" * 4, "architecture": "unet", "new": ["head"]}
    started = written_card(PROVENANCE | {"start": start})
    assert "From the base model (SHA-256 0123456789abcdef, new layers: head), optimizer so" in started
    assert "## Vivid" not in started
    vivid = {"saturation": 1.5, "colorfulness_ratio": 0.8, "ciede2000": 9.0, "ciede2000_gray": 10.0}
    card = written_card(
        PROVENANCE | {"vivid": vivid},
        configuration={"architecture": "lite_unet", "weights": "ImageNet, of a package"},
    )
    assert "From an encoder that knows ImageNet, of a package, optimizer so" in card
    assert "times 1.50" in card
    assert "a CIEDE2000 of 9.00; the gray photo's is 10.00" in card


def test_the_card_of_a_training_that_kept_nothing_says_so_first_and_the_page_reads_on():
    unchanged = {"epoch": 0, "epochs": 2, "watch": "ciede2000", "before": 9.7, "best": 9.9}
    start = {"sha256": "0123456789abcdef" * 4, "architecture": "unet", "new": []}
    told = PROVENANCE | {"start": start, "unchanged": unchanged}
    card = written_card(told)
    verdict = card.split("## Verdict")[1].split("## Trained")[0]
    assert verdict.strip().startswith(
        "**This is the base model, unchanged: training kept nothing, since CIEDE2000 of the val photos was "
        "best before the first epoch, 9.7; the best of 2 epochs had 9.9.**\nBeside the gray photo: **worse**."
    )
    assert "Nothing of this training was kept. 1 files from folder" in card
    model = SimpleNamespace(
        path=Path("mine.onnx"), configuration={"architecture": "unet"}, provenance=told, vivid=1.3
    )
    said = about(model, card=card)
    assert said.startswith("**mine** (unet: the base model, unchanged). Beside the gray photo: **worse**.")
    model.provenance = {"unchanged": 5, "start": "?"}
    assert about(model, card="").startswith("**mine** (unet). How good it is")

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import onnx
import onnxruntime
import pandas as pd
import pytest
import torch
from PIL import Image
from skimage import data

from stages.export.card import SETTINGS, model_card
from stages.export.quality import quality as write_quality
from stages.export.quality import verdict
from stages.export.to_onnx import check_onnx, describe_onnx, write_onnx
from ungray import Colorizer, networks
from ungray.errors import UngrayError
from ungray.imaging.color import rgb_to_lab
from ungray.imaging.metrics import ciede2000, headline
from ungray.imaging.prediction import Vivid
from ungray.networks import Model
from ungray.page.models import about


@pytest.fixture(scope="module")
def model(tiny):
    torch.manual_seed(0)
    return Model(networks.build(tiny["train"].network()).eval(), {"steps": 3})


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


def with_weights(exported, network, names, path):
    """Write a copy of an ONNX file to ``path``, with these weights of ``network``: no export of seconds."""
    content = onnx.load(exported)
    weights = {each.name: each for each in content.graph.initializer}
    for name in names:
        full = f"network.{name}"
        value = network.state_dict()[name].numpy()
        weights[full].CopyFrom(onnx.numpy_helper.from_array(value, full))
    onnx.save(content, path)


def test_where_answers_leave_the_range_of_colors_a_difference_counts_in_proportion(
    tiny, model, exported, tmp_path
):
    network = networks.build(tiny["train"].network()).eval()
    network.load_state_dict(model.network.state_dict())
    torch.nn.init.normal_(network.head.weight, std=5e3)
    with_weights(exported, network, ["head.weight"], tmp_path / "wild.onnx")
    with torch.no_grad():
        network.head.weight *= 1 + 1e-4  # more than rounding would do, on answers of some thousands
    (lightness, *_) = photos()
    session = onnxruntime.InferenceSession(str(tmp_path / "wild.onnx"))
    ab = session.run(["ab"], {"lightness": lightness[None, None]})[0]
    assert np.abs(ab - networks.predictor(network)(lightness[None, None])).max() > 0.25
    assert 0.001 < check_onnx(tmp_path / "wild.onnx", Model(network, {}), [lightness], tolerance=0.25) < 0.1


def test_onnx_takes_batches(model, exported):
    session = onnxruntime.InferenceSession(str(exported))
    ab = session.run(["ab"], {"lightness": np.full((3, 1, 32, 48), 50, np.float32)})[0]
    assert ab.shape == (3, 2, 32, 48)
    assert np.allclose(ab[0], ab[2], atol=1e-4)


def test_onnx_says_what_it_is_and_names_no_path_of_this_machine(model, exported):
    loaded = onnx.load(exported)
    properties = {entry.key: entry.value for entry in loaded.metadata_props}
    assert properties["multiple"] == str(model.network.MULTIPLE)
    assert model.network.ARCHITECTURE in properties["configuration"]
    assert b"/stages/" not in exported.read_bytes()


PROVENANCE = {
    "train": dict.fromkeys(SETTINGS, "so"),
    "photos": {"train": 8, "val": 1, "test": 2},
    "groups": {"train": 8, "val": 1, "test": 2},
    "queries": ["cats"],
    "steps": 4,
    "precision": "32-true",
    "torch": "2",
}
UNCHANGED = {"epoch": 0, "epochs": 2, "watch": "ciede2000", "before": 9.7, "best": 9.9}
START = {"sha256": "0123456789abcdef" * 4, "architecture": "unet", "new": []}
MANIFEST = pd.DataFrame([{"status": "kept", "source": "folder", "license": ""}])


def one_set(name, *, base=False, photos=30):
    """A set of a quality: the model is worse than gray, and no better than the base model if there is one."""
    minus = {"gray": {"mean": 0.5, "low": 0.1, "high": 0.9, "verdict": "worse"}}
    if base:
        minus["base"] = {"mean": -0.1, "low": -0.4, "high": 0.2, "verdict": "can't tell"}
    means = {"model": 1.25, "gray": 1.0, "mean_ab": 2.0} | ({"base": 1.35} if base else {})
    metrics = {metric.name: {"means": means, "minus": minus} for metric in headline()}
    return {"name": name, "photos": photos, "groups": photos, "metrics": metrics}


def quality(*, base=False, **more):
    return {"test": one_set("test", base=base) | {"wanted_groups": 20}} | more


HINTS = {
    "photos": 40,
    "rows": [
        {
            "hints": number, "psnr_model": 23.0 + number, "psnr_over_none": float(number),
            "psnr_diffusion": 21.0, "psnr_gray": 20.9,
            "over_none_low": number - 0.5, "over_none_high": number + 0.5,
            "ciede2000_model": 9.0, "ciede2000_diffusion": 11.0, "ciede2000_gray": 11.5,
            "at_hints": 0.7 if number else None,
        }
        for number in (0, 5)
    ],
}  # fmt: skip


@pytest.fixture(scope="module")
def network(tiny):
    return networks.build(tiny["train"].network())


@pytest.fixture
def card(network):
    """A function that writes the card of a model that is told of so."""

    def write(provenance=PROVENANCE, found=None, *, configuration=None, **options):
        network.configuration |= configuration or {}
        model = Model(network, provenance, quality() if found is None else found)
        return model_card(model, manifest=MANIFEST, **options)

    before = dict(network.configuration)
    yield write
    network.configuration = before


def test_the_card_which_people_print_shows_what_comes_from_elsewhere_as_text(card):
    hostile = "cats\x1b[2J\n## Not for\n\n|"
    text = card(PROVENANCE | {"queries": [hostile]}, quality(kinds=[one_set(hostile)]))
    assert r"Queries: cats\x1b[2J\n## Not for\n\n|." in text
    assert r"| cats\x1b[2J\n## Not for\n\n\| | 30 |" in text
    assert text.count("\n## Not for") == 1


def test_the_card_says_how_many_threads_made_it(card):
    assert "4 steps in 32-true, 1 and then 2 threads a process, torch 2." in card(
        PROVENANCE | {"threads": [1, 2]}
    )


@pytest.mark.parametrize("base", [False, True])
def test_the_card_says_what_how_good_and_not_for_what(card, base):
    text = card(found=quality(base=base))
    assert (
        "- Worse than the gray photo: CIEDE2000 1.25 vs. the gray photo's 1.00, 95 % interval of the "
        "difference +0.10 to +0.90, 30 groups.\n"
    ) in text
    assert "1 files from folder" in text
    assert ("| metric | model | base model | gray photo | mean color |" in text) == base
    assert ("| CIEDE2000 (lower is better) | 1.25 | 1.35 | 1.00 | 2.00 |" in text) == base
    assert ("- Not measurably better or worse than the base model: CIEDE2000 1.25 vs." in text) == base
    assert "- It is not known which test photos the base model was trained on" in text
    assert "all rights are reserved" in text
    assert "## Not for" in text
    assert "cats" in text
    assert "From nothing, optimizer so, loss so" in text
    assert "kept" not in text


def test_the_card_says_what_a_model_started_from_and_how_vivid_it_can_be(card):
    started = card(PROVENANCE | {"start": START | {"new": ["head"]}})
    assert "From the base model (SHA-256 0123456789abcdef, new layers: head), optimizer so" in started
    assert "## Vivid" not in started
    vivid = {"saturation": 1.5, "colorfulness_ratio": 0.8, "ciede2000": 9.0, "ciede2000_gray": 10.0}
    text = card(PROVENANCE | {"vivid": vivid}, configuration={"weights": "ImageNet, of a package"})
    assert "From an encoder pretrained on ImageNet, of a package, optimizer so" in text
    assert "times 1.50" in text
    assert "a CIEDE2000 of 9.00; the gray photo's is 10.00" in text


def test_the_card_of_a_training_that_kept_nothing_says_so_first_and_the_page_says_how_good_it_is(card):
    told = PROVENANCE | {"start": START, "unchanged": UNCHANGED}
    text = card(told)
    first, second = text.split("## How good it is")[1].strip().splitlines()[:2]
    assert first == (
        "- This is the base model, unchanged: training kept nothing, since CIEDE2000 of the val photos was "
        "best before the first epoch, 9.7; the best of 2 epochs had 9.9."
    )
    assert second.startswith("- Worse than the gray photo: ")
    assert "Nothing of this training was kept. 1 files from folder" in text
    model = SimpleNamespace(
        path=Path("mine.onnx"), configuration={"architecture": "unet"}, provenance=told, vivid=Vivid(1.3),
        quality=quality(),
    )  # fmt: skip
    said = about(model)
    assert said.startswith("**mine** (unet: the base model, unchanged). Worse than the gray photo: CIEDE2000")
    model.provenance = {"unchanged": 5, "start": "?"}
    for damaged in ({}, {"test": 5}, {"test": {"metrics": {}}}, {"elsewhere": []}, {"elsewhere": [{}]}):
        model.quality = damaged
        assert about(model).startswith(
            "**mine** (unet). Its quality compared with the gray photo is unknown."
        )
    model.quality = quality(elsewhere=[one_set("slides")])
    assert "On 30 photographs from elsewhere" in about(model)


def test_sets_kinds_and_hints_stand_in_the_card_as_tables_and_a_hand_written_note_is_kept(card):
    sets = [one_set("slides", photos=1500), one_set("mixed", photos=500)]
    text = card(
        found={"elsewhere": sets, "kinds": sets[:1], "hints": HINTS},
        notes="What may flatter it.",
        title="ours",
    )
    assert text.startswith("# Model card: ours\n")
    assert "- On 2000 photographs from elsewhere" in text
    assert (
        "| set | photos | CIEDE2000 | gray's | CIEDE2000 over gray's | ab MAE over gray's | PSNR minus "
        "gray's, dB (95 %) | SSIM minus gray's (95 %) | colorfulness ratio |"
    ) in text
    assert "| slides | 1,500 | 1.25 | 1.00 | 1.250 | 1.250 | +0.25 (+0.10 to +0.90) |" in text
    assert "| mean over sets | 2,000 | 1.25 | 1.00 | 1.250 |" in text
    assert text.count("mean over sets |") == 1, "of one kind there is no mean"
    assert "| 0 | 23.00 | +0.00 (-0.50 to +0.50) | 21.00 | 9.00 | 11.00 |  |" in text
    assert "| 5 | 28.00 | +5.00 (+4.50 to +5.50) | 21.00 | 9.00 | 11.00 | 0.70 |" in text
    assert "What may flatter it." in text


def test_a_model_of_which_nothing_is_known_has_a_card(card):
    text = card({}, {})
    assert "Not known: the model was not evaluated." in text
    assert "Its file does not say." in text


@pytest.fixture(scope="module")
def with_hints(hinted, tmp_path_factory):
    """A folder with a model that takes hints in both files, as an earlier version wrote them: no quality."""
    folder = tmp_path_factory.mktemp("with_hints")
    network = networks.load_model(hinted).network
    with torch.no_grad():
        network.head.bias.copy_(torch.tensor([0.1, 0.2]))
    model = Model(network, PROVENANCE)
    networks.save_model(folder / "colorizer.safetensors", model)
    with_weights(hinted.with_suffix(".onnx"), network, ["head.bias"], folder / "colorizer.onnx")
    content = onnx.load(folder / "colorizer.onnx")
    describe_onnx(content, model)
    kept = [entry for entry in content.metadata_props if entry.key != "interface"]
    del content.metadata_props[:]
    content.metadata_props.extend(kept)
    onnx.save(content, folder / "colorizer.onnx")
    return folder


@pytest.fixture
def folder(with_hints, tmp_path):
    """A copy of that folder to work on."""
    return shutil.copytree(with_hints, tmp_path / "model")


def test_the_tool_quality_writes_it_into_both_files_and_the_card_from_them(folder, capsys):
    assert Colorizer.load(folder / "colorizer.onnx").quality == {}, "a model of earlier code still loads"
    (folder / "sets.json").write_text(json.dumps({"elsewhere": [one_set("slides")]}))
    (folder / "hints.json").write_text(json.dumps({"hints": HINTS}))
    (folder / "notes.md").write_text("Photographs of slides.\n")
    weights = networks.load_model(folder / "colorizer.safetensors").network.state_dict()
    write_quality([str(folder), str(folder / "sets.json"), "--notes", str(folder / "notes.md")])
    write_quality([str(folder), str(folder / "hints.json")])
    expected = {"elsewhere": [one_set("slides")], "hints": HINTS}
    for engine in ("torch", "onnxruntime"):
        assert Colorizer.load(folder / "colorizer.safetensors", engine=engine).quality == expected
    assert Colorizer.load(folder / "colorizer.safetensors").engine == "onnxruntime", (
        "of the same training still"
    )
    after = networks.load_model(folder / "colorizer.safetensors").network.state_dict()
    assert all(value.equal(after[name]) for name, value in weights.items())
    text = (folder / "model_card.md").read_text()
    assert "- On 30 photographs from elsewhere" in text
    assert "### With hints" in text
    verdict([str(folder / "colorizer.onnx")])
    assert capsys.readouterr().out.splitlines()[-1].startswith("On 30 photographs from elsewhere")
    (folder / "sets.json").write_text('{"provenance": {}}')
    with pytest.raises(
        UngrayError, match=r"sets\.json is not a quality\.json of evaluate, which may contain test, kinds"
    ):
        write_quality([str(folder), str(folder / "sets.json")])


def test_the_program_in_the_card_colors_a_photo_as_colorize_does_but_for_its_edges(folder):
    write_quality([str(folder)])
    about = json.loads(
        onnxruntime.InferenceSession(str(folder / "colorizer.onnx"))
        .get_modelmeta()
        .custom_metadata_map["interface"]
    )
    assert about["inputs"]["hints"]["shape"] == ["batch", 3, "height", "width"]
    assert (about["multiple"], about["working_size"]) == (32, 64)
    (program,) = re.findall(r"```python\n(.*?)```", (folder / "model_card.md").read_text(), re.DOTALL)
    (folder / "color.py").write_text(program)
    truth = data.coffee()[:300, :450]
    Image.fromarray(truth).save(folder / "photo.png")
    subprocess.run(
        [sys.executable, "color.py", "colorizer.onnx", "photo.png", "colored.png"], cwd=folder, check=True
    )
    colored = np.asarray(Image.open(folder / "colored.png"))
    gray = np.asarray(Image.fromarray(truth).convert("L"))
    ours = Colorizer.load(folder / "colorizer.onnx").colorize(gray)
    assert np.ptp(ours, axis=-1).mean() > 10, "there is color to compare"
    differences = ciede2000(rgb_to_lab(colored), rgb_to_lab(ours))
    assert np.median(differences) < 0.5
    assert differences.mean() < 2.5, (
        "where a photo is too dark for its color, each comes back to sRGB in its way"
    )

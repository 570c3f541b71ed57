"""What holds for every architecture: it trains, repeats itself, is saved, colors photos, is exported."""

import inspect
import shutil
from dataclasses import replace
from typing import get_args

import cv2
import numpy as np
import pytest
from PIL import Image
from skimage import data

from stages.export.to_onnx import check_onnx, write_onnx
from stages.train.params import Params
from stages.train.run import run
from ungray import networks
from ungray.cli.main import main as colorize
from ungray.imaging.color import rgb_to_lab
from ungray.imaging.photos import read_rgb
from ungray.networks import ARCHITECTURES, load_model, save_model
from ungray.networks.lite_unet import ENCODERS


@pytest.fixture(scope="module", autouse=True)
def short_encoder():
    """EfficientNet with a block a stage, and one with a shortcut: the export of all 16 takes a minute."""
    short = replace(ENCODERS["lite0"], blocks=(1, 2, 1, 1, 1, 1, 1))
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(ENCODERS, "lite0", short)
        yield


@pytest.fixture(scope="module", params=ARCHITECTURES)
def trained(request, tiny, prepared, tmp_path_factory):
    """A folder in which each architecture was trained: a.safetensors, and once more: b.safetensors."""
    top = tmp_path_factory.mktemp(request.param)
    params = tiny["train"].model_copy(update={"architecture": request.param, "epochs": 1})
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(top)
        for name in "ab":
            result = run(params, tiny["machine"], prepared=prepared, report=top / name)
            shutil.rmtree(result.work)
            save_model(top / f"{name}.safetensors", result.model)
    return top, params


def test_it_trains_is_saved_and_loaded(trained):
    top, params = trained
    model = load_model(top / "a.safetensors")
    assert isinstance(model.network, ARCHITECTURES[params.architecture])
    assert model.provenance["steps"] > 0
    start = networks.build(params.network()).state_dict()
    moved = [name for name, value in model.network.state_dict().items() if not value.equal(start[name])]
    assert len(moved) >= len(list(model.network.parameters()))


def test_the_same_training_gives_the_same_bytes(trained):
    top, _ = trained
    assert (top / "a.safetensors").read_bytes() == (top / "b.safetensors").read_bytes()


@pytest.mark.parametrize("size", [(97, 131), (1, 1)])
def test_it_colors_a_photo_of_any_size(trained, size, tmp_path):
    photo = cv2.resize(data.coffee(), size, interpolation=cv2.INTER_AREA)
    Image.fromarray(photo).convert("L").save(tmp_path / "gray.png")
    arguments = [tmp_path / "gray.png", "-o", tmp_path / "out.png", "--model", trained[0] / "a.safetensors"]
    colorize([str(argument) for argument in arguments])
    assert read_rgb(tmp_path / "out.png").shape == (size[1], size[0], 3)


def test_it_is_exported_to_onnx_for_any_size(trained, tmp_path):
    model = load_model(trained[0] / "a.safetensors")
    write_onnx(tmp_path / "model.onnx", model, opset=18)
    multiple = model.network.MULTIPLE
    lightnesses = [
        np.ascontiguousarray(rgb_to_lab(data.coffee())[: rows * multiple, : columns * multiple, 0])
        for rows, columns in ((1, 1), (2, 5), (9, 2))
    ]
    assert check_onnx(tmp_path / "model.onnx", model, lightnesses, tolerance=0.25) < 0.25


def test_params_yaml_offers_the_architectures_there_are():
    offered = get_args(Params.model_fields["architecture"].annotation)
    assert set(offered) == set(ARCHITECTURES)
    assert all(name == cls.ARCHITECTURE for name, cls in ARCHITECTURES.items())


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_section_of_an_architecture_holds_its_arguments(tiny, architecture):
    section = tiny["train"].model_copy(update={"architecture": architecture}).network()
    wanted = inspect.signature(ARCHITECTURES[architecture].__init__).parameters.values()
    arguments = {each.name: each.default for each in wanted if each.name != "self"}
    assert section.keys() - {"architecture"} <= arguments.keys()
    needed = {name for name, default in arguments.items() if default is inspect.Parameter.empty}
    assert needed <= section.keys()
    assert hasattr(tiny["train"], architecture) == (len(section) > 2)

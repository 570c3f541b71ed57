"""A tiny untrained model in both formats, with plenty of wrong colours."""

import pytest
import torch

from stages import networks
from stages.colorize.api import Colorizer
from stages.export.to_onnx import write_onnx


@pytest.fixture(scope="session")
def colourful(tiny, tmp_path_factory):
    """The path of such a model, .safetensors; the .onnx lies beside it."""
    torch.manual_seed(0)
    network = networks.build(tiny["train"].network())
    with torch.no_grad():
        *_, weight, bias = network.parameters()
        weight.mul_(60)  # what differs from place to place
        bias.mul_(0)
    model = networks.Model(network.eval(), {"vivid": {"saturation": 2.0}})
    path = tmp_path_factory.mktemp("colourful") / "model.safetensors"
    networks.save_model(path, model)
    write_onnx(path.with_suffix(".onnx"), networks.load_model(path), opset=tiny["export"].opset)
    return path


@pytest.fixture(scope="session")
def colorizer(colourful):
    return Colorizer.load(colourful)

"""The mean of two models' weights."""

import shutil
from pathlib import Path

import pytest
import torch

from stages.train import average
from ungray import networks
from ungray.errors import UngrayError
from ungray.networks import Model, load_model, save_model

ROOT = Path(__file__).parents[2]


@pytest.fixture
def pair(tiny, trained):
    """Two models of one network, trained for one and for two epochs."""
    for name, epochs in (("before", 1), ("after", 2)):
        save_model(Path(f"{name}.safetensors"), trained(name, epochs=epochs)[0].model)
    return [load_model(Path(f"{name}.safetensors")) for name in ("before", "after")]


def test_each_weight_and_statistic_is_the_mean_and_the_model_says_so(pair, prepared):
    shutil.copy(ROOT / "params.yaml", "params.yaml")
    Path("data").mkdir()
    Path("data/prepared").symlink_to(prepared)
    average.run(["before.safetensors", "after.safetensors", "--share", "0.25", "-o", "mean.safetensors"])
    mean = load_model(Path("mean.safetensors"))
    before, after = (model.network.state_dict() for model in pair)
    for name, value in mean.network.state_dict().items():
        if value.is_floating_point():
            assert torch.allclose(value, 0.75 * before[name] + 0.25 * after[name], rtol=2e-3, atol=1e-4), name
    assert mean.provenance["averaged"]["share"] == 0.25
    assert mean.provenance["vivid"]["ciede2000_gray"] > 0
    own, after = (model.quality["val"]["metrics"]["ciede2000"]["means"] for model in (mean, pair[1]))
    assert own["gray"] == after["gray"]
    assert own["model"] != after["model"], "it is judged anew"
    assert mean.provenance["train"] == pair[1].provenance["train"]


def test_different_networks_have_no_mean(pair, tiny):
    other = networks.build(tiny["train"].network() | {"working_size": 64})
    with pytest.raises(UngrayError, match="different networks"):
        average.average(Model(other, {}), pair[0], share=0.5)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--share", "1", "-o", "mean.safetensors"], "--share is 1.0; it must be over 0 and under 1"),
        (["-o", "mean.onnx"], "its name must end in .safetensors"),
        (["-o", "mean.safetensors"], "nowhere/x.safetensors not found"),
    ],
)
def test_what_cannot_be_averaged_is_one_sentence(here, arguments, sentence):
    with pytest.raises(UngrayError, match=sentence):
        average.run(["nowhere/x.safetensors", "nowhere/y.safetensors", *arguments])

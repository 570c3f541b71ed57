"""The U-Net on an encoder that has seen ImageNet."""

import importlib.util

import pytest
import torch
from torch import nn
from torch.nn import functional

from stages.train.params import Params
from ungray.errors import UngrayError
from ungray.networks import Model, build, lite_unet, load_model, save_model

CONFIGURATION = {
    "architecture": "lite_unet",
    "working_size": 64,
    "decoder": [16, 16, 8, 8],
    "encoder": "lite0",
}


def of_a_package(tmp_path, monkeypatch, content):
    """Install a package of weights that holds ``content``."""
    folder = tmp_path / "some_weights"
    (folder / "models").mkdir(parents=True)
    (folder / "__init__.py").write_text("")
    (folder / "models" / "lite.pth").write_bytes(content)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(lite_unet, "PACKAGE", "some_weights")


def test_it_answers_at_half_the_size_and_sees_the_whole_photo():
    network = build(CONFIGURATION).double()  # in eval mode the signal of random weights is too weak for fp32
    lightness = torch.rand(1, 1, 64, 96, dtype=torch.double, requires_grad=True)
    answer = network(lightness)
    assert answer.shape == (1, 2, 32, 48)
    answer[0, 0, -1, -1].backward()
    assert lightness.grad[0, 0, 0, 0] != 0


def test_the_encoder_is_efficientnet_lite0_with_five_halvings():
    encoder = build(CONFIGURATION).encoder
    with torch.inference_mode():
        sizes = [tuple(seen.shape[1:]) for seen in encoder(torch.zeros(1, 1, 64, 64))]
    assert sizes == [(16, 32, 32), (24, 16, 16), (40, 8, 8), (112, 4, 4), (320, 2, 2)]
    assert len(encoder.blocks) == 16
    assert sum(isinstance(module, nn.Conv2d) for module in encoder.modules()) == 1 + 2 + 15 * 3


@pytest.mark.parametrize(("encoder", "blocks"), [("lite0", 16), ("lite1", 21), ("lite2", 21)])
def test_the_weights_of_each_encoder_are_taken_whole(encoder, blocks):
    if importlib.util.find_spec(lite_unet.PACKAGE.format(encoder)) is None:
        pytest.skip(f"the package of {encoder}'s weights is not installed")
    theirs = lite_unet._imagenet_weights(encoder)
    network = build(CONFIGURATION | {"encoder": encoder, "pretrained": True, "hints": True})
    assert len(network.encoder.blocks) == blocks
    last = network.encoder.blocks[-1].layers[2]
    assert torch.equal(last[0].weight, theirs[f"_blocks.{blocks - 1}._project_conv.weight"])
    assert torch.equal(last[1].running_var, theirs[f"_blocks.{blocks - 1}._bn2.running_var"])


def with_hints(seed=0):
    """A network that takes hints and has learned something of them, and the same one without hints."""
    torch.manual_seed(seed)
    network = build(CONFIGURATION | {"hints": True})
    plain = build(CONFIGURATION)
    plain.load_state_dict(
        {name: value for name, value in network.state_dict().items() if "hints" not in name}
    )
    return network.eval(), plain.eval()


RED = torch.tensor([60.0, 40.0, 1.0])[:, None, None]


def test_a_network_with_hints_starts_as_the_same_network_without():
    network, plain = with_hints()
    lightness, hints = 100 * torch.rand(2, 1, 64, 96), torch.zeros(2, 3, 64, 96)
    hints[:, :, 10:13, 10:13] = RED
    with torch.inference_mode():
        expected = plain.predict_ab(lightness)
        assert torch.equal(network.predict_ab(lightness), expected)
        assert torch.equal(network.predict_ab(lightness, hints), expected)


def test_what_has_no_weight_is_no_hint_and_what_has_changes_the_answer():
    network, _ = with_hints()
    for layer in (network.encoder.stem_hints, *network.merge_hints):
        torch.nn.init.normal_(layer.weight, std=0.3)
    lightness, hints = 100 * torch.rand(1, 1, 64, 96), torch.zeros(1, 3, 64, 96)
    hints[:, :, 10:13, 10:13] = RED
    doubted = hints.clone()
    doubted[:, 2] = 0
    with torch.inference_mode():
        none = network.predict_ab(lightness)
        assert torch.equal(network.predict_ab(lightness, doubted), none)
        assert (network.predict_ab(lightness, hints) - none).abs().max() > 1e-4


def test_a_single_known_pixel_counts_at_every_size():
    hints = torch.zeros(1, 3, 64, 64)
    hints[0, :, 5, 5] = torch.tensor([0.5, -0.25, 0.5])  # weight 0.5, so a is 1 and b is -0.5
    for times in (2, 4, 8, 16):
        shrunk = lite_unet._downsampled_hints(hints, factor=times)
        place = 5 // times
        assert shrunk.shape == (1, 3, 64 // times, 64 // times)
        assert torch.allclose(shrunk[0, :, place, place], torch.tensor([0.5, -0.25, 0.5]), atol=0.01)
        shrunk[0, :, place, place] = 0
        assert not shrunk.any()


def test_a_network_without_hints_says_so():
    with pytest.raises(ValueError, match="takes no hints"):
        build(CONFIGURATION).predict_ab(torch.zeros(1, 1, 64, 64), torch.zeros(1, 3, 64, 64))


@pytest.mark.parametrize(("kernel", "before", "after"), [(3, 0, 1), (5, 1, 2)])
def test_a_halving_convolution_pads_as_the_weights_were_trained(kernel, before, after):
    torch.manual_seed(1)
    layer = lite_unet._convolution(1, 1, kernel, stride=2)[0]
    photo = torch.rand(1, 1, 8, 8)
    padded = functional.pad(photo, (before, after, before, after))
    expected = functional.conv2d(padded, layer.weight, stride=2)
    assert layer(photo).shape == (1, 1, 4, 4)
    assert torch.allclose(layer(photo), expected)


@pytest.mark.skipif(
    importlib.util.find_spec(lite_unet.PACKAGE.format("lite0")) is None,
    reason="the extra imagenet is not installed",
)
def test_imagenets_weights_come_from_the_package_and_a_saved_model_does_not_need_it(
    monkeypatch, capsys, tmp_path
):
    network = build(CONFIGURATION | {"pretrained": True})
    assert "starts from ImageNet" in capsys.readouterr().out
    assert network.configuration["weights"] == lite_unet._origin("lite0")
    theirs = lite_unet._imagenet_weights("lite0")
    assert torch.equal(network.encoder.stem[0].weight, theirs["_conv_stem.weight"].sum(1, keepdim=True))
    last = network.encoder.blocks[15].layers[2]
    assert torch.equal(last[0].weight, theirs["_blocks.15._project_conv.weight"])
    assert torch.equal(last[1].running_var, theirs["_blocks.15._bn2.running_var"])
    save_model(tmp_path / "model.safetensors", Model(network, {}))
    monkeypatch.setattr(lite_unet, "PACKAGE", "no_such_package")
    assert load_model(tmp_path / "model.safetensors").network.configuration == network.configuration
    assert capsys.readouterr().out == ""


def test_what_the_encoder_learnt_is_in_what_it_sees():
    # Random weights that happened to fit would answer with noise, on any photo of this size.
    if importlib.util.find_spec(lite_unet.PACKAGE.format("lite0")) is None:
        pytest.skip("the extra imagenet is not installed")
    from skimage import data

    theirs = lite_unet._imagenet_weights("lite0")
    encoder = build(CONFIGURATION | {"pretrained": True}).encoder.eval()
    head, norm, classify = theirs["_conv_head.weight"], "_bn1", theirs["_fc.weight"]
    photo = torch.from_numpy(data.chelsea()[40:264, 100:324].mean(axis=2)).float()[None, None] / 127.5 - 1
    with torch.inference_mode():
        *_, seen = encoder(photo)
        x = functional.conv2d(seen, head)
        statistics = (theirs[f"{norm}.{name}"] for name in ("running_mean", "running_var", "weight", "bias"))
        x = functional.relu6(functional.batch_norm(x, *statistics, eps=1e-3)).mean((2, 3))
        best = functional.linear(x, classify, theirs["_fc.bias"]).topk(5).indices[0].tolist()
    cats = set(range(281, 286))  # of ImageNet's classes: tabby, tiger cat, Persian, Siamese, Egyptian
    assert cats & set(best), best


def test_without_the_package_weights_are_random_and_that_is_said(monkeypatch, capsys):
    monkeypatch.setattr(lite_unet, "PACKAGE", "no_such_package")
    network = build(CONFIGURATION | {"pretrained": True})
    assert "random weights" in (said := capsys.readouterr().out)
    assert "ungray[imagenet]" in said
    assert network.configuration == CONFIGURATION | {"weights": "random"}


def test_other_or_damaged_weights_are_not_taken(tmp_path, monkeypatch, capsys):
    of_a_package(tmp_path, monkeypatch, b"something else")
    network = build(CONFIGURATION | {"pretrained": True})
    assert "has another checksum than expected" in capsys.readouterr().out
    assert network.configuration["weights"] == "random"


def test_its_size_must_be_a_multiple_of_32(tiny):
    values = tiny["train"].model_dump() | {"architecture": "lite_unet", "working_size": 80}
    with pytest.raises(UngrayError, match=r"working_size = 80.*multiple of 32"):
        Params.model_validate(values)

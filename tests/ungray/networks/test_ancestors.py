"""What the ancestors' networks must be."""

import urllib.error

import pytest
import torch
from skimage import data
from torch import nn
from torchvision.models import ResNet18_Weights, resnet18

from stages.train.params import DenseAutoencoderParams
from ungray.networks import Model, build, load_model, parameter_count, save_model

RESNET = {"architecture": "resnet18", "working_size": 64}


def leaves(network):
    return [module for module in network.modules() if not list(module.children())]


def photos(side=128):
    return torch.from_numpy(data.astronaut()[:side, 100 : 100 + side]).permute(2, 0, 1)[None] / 255


@pytest.mark.parametrize("pooling", ["average", "max"])
@pytest.mark.parametrize(
    ("downsampling", "sides"), [(2, [128, 64, 32, 16]), (4, [128, 32, 16]), (8, [128, 16])]
)
def test_the_generators_embedding_has_an_eighth_of_the_sides_and_the_channels_asked_for(
    pooling, downsampling, sides
):
    arguments = {"embedding": 64, "pooling": pooling, "downsampling": downsampling}
    assert DenseAutoencoderParams.model_validate(arguments)
    network = build({"architecture": "dense_autoencoder", "working_size": 128, **arguments}).eval()
    with torch.inference_mode():
        levels = network.encode(network.pairs(photos())[0])
        assert network(network.pairs(photos())[0]).shape == (1, 2, 128, 128)
    assert levels[-1].shape == (1, 64, 16, 16)
    assert [level.shape[2] for level in levels] == sides
    assert {"average": nn.AvgPool2d, "max": nn.MaxPool2d}[pooling] in map(type, leaves(network))
    # Dense skips: what one level found reaches the next as it is, pooled.
    for before, after, pool in zip(levels, levels[1:], network.pools, strict=False):
        assert torch.equal(after[:, : before.shape[1]], pool(before))
    convolutions = [m for m in leaves(network) if isinstance(m, nn.Conv2d | nn.ConvTranspose2d)]
    assert len([m for m in leaves(network) if isinstance(m, nn.BatchNorm2d)]) == len(convolutions) - 1


def test_the_baseline_has_five_layers_and_no_batch_norm():
    network = build({"architecture": "plain_autoencoder", "working_size": 128})
    kinds = [type(module) for module in leaves(network)]
    assert sum(kind in (nn.Conv2d, nn.ConvTranspose2d) for kind in kinds) == 5
    assert nn.BatchNorm2d not in kinds


@pytest.mark.parametrize(("num_layers", "filters"), [(1, 48), (5, 32)])
def test_the_lab_autoencoder_has_as_many_layers_and_filters_in_the_middle_as_asked_for(num_layers, filters):
    network = build(
        {"architecture": "lab_autoencoder", "working_size": 64, "num_layers": num_layers, "filters": filters}
    )
    middle = [module for module in network.middle if isinstance(module, nn.Conv2d)]
    assert [(m.in_channels, m.out_channels, m.kernel_size) for m in middle] == [
        (filters, filters, (3, 3))
    ] * num_layers
    inputs, targets = network.pairs(photos(64))
    assert network(inputs).shape == targets.shape == (1, 2, 32, 32)


def test_deep_in_the_lab_autoencoder_what_it_sees_is_still_there():
    torch.manual_seed(0)
    network = build({"architecture": "lab_autoencoder", "working_size": 64, "num_layers": 5, "filters": 32})
    inputs, _ = network.pairs(photos(64))
    with torch.inference_mode():
        deep = network.decoder(network.middle(network.encoder(inputs)))
    assert 0.1 < deep.std() / inputs.std() < 10


def test_the_encoder_is_the_first_six_layers_of_resnet_18_on_one_channel_and_the_decoder_has_six():
    network = build(RESNET)
    theirs = list(resnet18().children())[:6]
    assert [type(layer) for layer in network.encoder] == [type(layer) for layer in theirs]
    assert network.encoder[0].in_channels == 1
    difference = parameter_count(nn.Sequential(*theirs)) - parameter_count(network.encoder)
    assert difference == 2 * 64 * 7 * 7  # two of three channels
    assert sum(isinstance(module, nn.Conv2d) for module in network.decoder) == 6
    assert network.decoder[-1].out_channels == 2


def test_pretrained_weights_are_imagenets_summed_over_rgb_said_aloud_and_never_fetched_again(
    monkeypatch, capsys, tmp_path
):
    torch.manual_seed(3)
    imagenet = resnet18().state_dict()
    monkeypatch.setattr(ResNet18_Weights, "get_state_dict", lambda self, **_: imagenet)
    network = build(RESNET | {"pretrained": True})
    assert "starts from ImageNet" in capsys.readouterr().out
    assert network.configuration["weights"].startswith("ImageNet")
    assert torch.equal(network.encoder[0].weight, imagenet["conv1.weight"].sum(dim=1, keepdim=True))
    assert torch.equal(network.encoder[4][0].conv1.weight, imagenet["layer1.0.conv1.weight"])
    save_model(tmp_path / "model.safetensors", Model(network, {}))

    def fetched(self, **_):
        raise AssertionError("fetched")

    monkeypatch.setattr(ResNet18_Weights, "get_state_dict", fetched)
    loaded = load_model(tmp_path / "model.safetensors").network
    assert loaded.configuration == network.configuration
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    "error", [urllib.error.URLError("no route to host"), RuntimeError("invalid hash value"), EOFError()]
)
def test_where_imagenets_weights_cannot_be_had_they_are_random_and_that_is_said(error, monkeypatch, capsys):
    def refuse(self, **_):
        raise error

    monkeypatch.setattr(ResNet18_Weights, "get_state_dict", refuse)
    network = build(RESNET | {"pretrained": True})
    said = capsys.readouterr().out
    assert "random weights" in said
    assert (str(error) or "EOFError") in said
    assert network.configuration == RESNET | {"weights": "random"}


def test_the_small_cnn_answers_with_rgb_in_0_to_1_and_takes_photos_of_32():
    network = build({"architecture": "small_cnn", "working_size": 32})
    inputs, targets = network.pairs(photos(32))
    answer = network(inputs)
    assert torch.equal(targets, photos(32))
    assert answer.shape == (1, 3, 32, 32)
    assert 0 <= answer.min() <= answer.max() <= 1
    assert parameter_count(network) < 200_000

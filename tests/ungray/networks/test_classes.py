"""Classes of ab: which there are, how a color is spread over them, and how an answer is read off them."""

import numpy as np
import pytest
import torch
from skimage import data

from stages.export.to_onnx import check_onnx, write_onnx
from ungray import networks
from ungray.imaging import color
from ungray.networks import Model, build, lab, load_model, save_model
from ungray.networks.classes import AbClasses, in_gamut

CLASSES = {"working_size": 64, "classes": {"grid": 10, "temperature": 0.38}}
CONFIGURATION = {"architecture": "unet", "channels": [4, 6, 8, 10], **CLASSES}
LITE = {"architecture": "lite_unet", "decoder": [16, 12, 8, 8], **CLASSES}
classifiers = pytest.mark.parametrize("configuration", [CONFIGURATION, LITE], ids=["unet", "lite_unet"])


def _photos(size=64):
    crops = [data.astronaut()[30 : 30 + size, 150 : 150 + size], data.coffee()[:size, 200 : 200 + size]]
    return torch.from_numpy(np.stack(crops)).permute(0, 3, 1, 2).float() / 255


def _classes(grid=10, temperature=0.38):
    return AbClasses(grid=grid, temperature=temperature)


@pytest.mark.parametrize(("grid", "count"), [(5, 961), (10, 260), (20, 74)])
def test_the_classes_are_the_grid_points_that_srgb_can_show(grid, count):
    classes = in_gamut(grid)
    assert classes.shape == (count, 2)
    assert (classes % grid == 0).all()
    assert len(torch.unique(classes, dim=0)) == count
    found = {tuple(ab) for ab in classes.tolist()}
    assert (0, 0) in found
    # The primaries are in it, what lies beyond them is not.
    primaries = torch.tensor([[1, 0, 0], [0, 1, 0], [0, 0, 1.0]]).T.reshape(1, 3, 1, 3)
    ab = lab.rgb_to_lab(primaries)[0, 1:, 0].T
    assert {tuple(c) for c in (grid * (ab / grid).round()).tolist()} <= found
    assert not {(-100.0, 0.0), (0.0, -100.0), (100.0, -100.0)} & found


def test_every_photo_lies_within_half_a_diagonal_of_some_class():
    ab = torch.from_numpy(color.rgb_to_lab(data.astronaut())[::4, ::4, 1:].reshape(-1, 2))
    assert torch.cdist(ab, in_gamut(10)).min(dim=1).values.max() < 10 * 0.5**0.5 + 0.5


def test_a_color_is_spread_over_the_five_nearest_classes_the_nearest_first():
    classes = _classes()
    ab = torch.tensor([[12.0, 3.0], [0.0, 0.0], [-31.2, 44.4]]).T.reshape(1, 2, 1, 3)
    numbers, weights = classes.encode(ab)
    assert numbers.shape == weights.shape == (1, 5, 1, 3)
    torch.testing.assert_close(weights.sum(1), torch.ones(1, 1, 3))
    assert classes.centers[numbers[0, 0, 0]].tolist() == [[10, 0], [0, 0], [-30, 40]]
    neighbors = {tuple(c) for c in classes.centers[numbers[0, :, 0, 1]].tolist()}
    assert neighbors == {(0, 0), (10, 0), (-10, 0), (0, 10), (0, -10)}
    # A Gaussian of sigma 5 at distance 10: exp(-2) of the middle.
    torch.testing.assert_close(
        weights[0, 1:, 0, 1], weights[0, 0, 0, 1] * torch.full((4,), np.exp(-2.0)).float()
    )
    assert (weights[:, 0] >= weights[:, 1:].amax(1) - 1e-2).all()


def test_colors_beyond_all_classes_are_still_encoded():
    numbers, weights = _classes().encode(torch.tensor([500.0, -500.0]).reshape(1, 2, 1, 1))
    assert weights.isfinite().all()
    assert numbers.min() >= 0


def test_what_was_encoded_is_read_back_to_a_few_lab_units():
    classes = _classes(temperature=1.0)
    ab = lab.rgb_to_lab(_photos())[:, 1:]
    numbers, weights = classes.encode(ab)
    shares = torch.zeros(2, len(classes), 64, 64).scatter(1, numbers, weights)
    back = classes.annealed_mean(torch.log(shares.clamp(min=1e-12)))
    assert (back - ab).abs().mean() < 2


def test_a_lower_temperature_goes_from_the_mean_of_two_colors_to_the_likelier_one():
    classes = _classes()
    numbers = [classes.centers.tolist().index(ab) for ab in ([60.0, 40.0], [-40.0, 40.0])]
    logits = torch.full((1, len(classes), 1, 1), -1e4)
    logits[0, numbers, 0, 0] = torch.log(torch.tensor([0.6, 0.4]))
    means = [classes.annealed_mean(logits, temperature=t)[0, 0, 0, 0].item() for t in (1, 0.38, 0.05)]
    assert means[0] == pytest.approx(0.6 * 60 - 0.4 * 40, abs=0.01)
    assert means[0] < means[1] < means[2]
    assert means[2] == pytest.approx(60, abs=0.1)


def test_rare_colors_count_more_and_the_mean_weight_is_one():
    classes = _classes()
    ab = torch.zeros(1, 2, 10, 10)
    ab[0, :, 0, 0] = torch.tensor([60.0, 40.0])
    classes.set_prior(ab)
    assert classes.prior.sum() == pytest.approx(1, abs=1e-6)
    gray = classes.centers.tolist().index([0.0, 0.0])
    red = classes.centers.tolist().index([60.0, 40.0])
    ratios = []
    for rebalancing in (0.0, 0.1, 0.5, 1.0):
        rarity = classes.rarity(rebalancing)
        assert rarity.isfinite().all()
        assert (rarity * classes.prior).sum() == pytest.approx(1, abs=1e-4)
        ratios.append((rarity[red] / rarity[gray]).item())
    assert ratios[0] == 1
    assert ratios == sorted(ratios)
    assert ratios[-1] == pytest.approx(99, rel=0.01)


@classifiers
def test_the_network_says_classes_at_a_quarter_of_the_size_and_predicts_ab_at_full(configuration):
    network = build(configuration).eval()
    rgb = _photos()
    inputs, targets = network.pairs(rgb)
    assert targets.shape == (2, 2, 16, 16)
    torch.testing.assert_close(
        network.ab_of(targets)[0, :, 1, 2], lab.rgb_to_lab(rgb)[0, 1:, 4:8, 8:12].mean(dim=(1, 2))
    )
    assert network(inputs).shape == network.gray_target(inputs, targets).shape == (2, 260, 16, 16)
    assert network.predict_ab(lab.rgb_to_lab(rgb)[:, :1]).shape == (2, 2, 64, 64)


@classifiers
def test_a_network_sure_of_the_truth_gives_the_photo_back(configuration):
    network = build(configuration)
    rgb = _photos()
    _, targets = network.pairs(rgb)
    numbers, weights = network.classes.encode(network.ab_of(targets))
    certain = torch.full((2, 260, 16, 16), 1e-9).scatter(1, numbers, weights)
    network.forward = lambda _: torch.log(certain)
    truth = lab.rgb_to_lab(rgb)
    assert (network.predict_ab(truth[:, :1]) - truth[:, 1:]).abs().mean() < 0.35 * truth[:, 1:].abs().mean()


@classifiers
def test_every_weight_of_it_learns(configuration):
    network = build(configuration)
    network(network.pairs(_photos())[0]).square().mean().backward()
    assert [n for n, w in network.named_parameters() if w.grad is None or not w.grad.any()] == []


def test_a_saved_model_keeps_prior_and_temperature_and_can_be_given_another_temperature(tmp_path):
    network = build(CONFIGURATION).eval()
    # Red by six to four, gray else, at every pixel.
    torch.nn.init.zeros_(network.head.weight)
    torch.nn.init.constant_(network.head.bias, -1e4)
    numbers = [network.classes.centers.tolist().index(ab) for ab in ([60.0, 40.0], [0.0, 0.0])]
    with torch.no_grad():
        network.head.bias[numbers] = torch.log(torch.tensor([0.6, 0.4]))
    network.classes.set_prior(lab.rgb_to_lab(_photos())[:, 1:])
    save_model(tmp_path / "m.safetensors", Model(network, {}))
    loaded = load_model(tmp_path / "m.safetensors").network
    assert loaded.configuration == CONFIGURATION
    assert torch.equal(loaded.classes.prior, network.classes.prior)
    lightness = color.rgb_to_lab(data.chelsea()[:64, :64])[None, None, ..., 0]
    ab = networks.predictor(loaded)(lightness)
    np.testing.assert_allclose(ab, networks.predictor(network)(lightness), atol=0.3)
    loaded.classes.temperature = 1.0
    calmer = networks.predictor(loaded)(lightness)
    np.testing.assert_allclose(calmer[0, :, 0, 0], (36, 24), atol=0.1)
    assert (ab[0, :, 0, 0] > (40, 27)).all()


def test_it_is_exported_to_onnx(tmp_path):
    torch.manual_seed(0)
    model = Model(build(CONFIGURATION).eval(), {})
    write_onnx(tmp_path / "m.onnx", model, opset=18)
    lightness = color.rgb_to_lab(data.chelsea()[:64, :96])[..., 0]
    assert check_onnx(tmp_path / "m.onnx", model, [lightness], tolerance=0.25) < 0.25

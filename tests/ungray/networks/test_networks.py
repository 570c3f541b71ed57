"""The architectures, their color conversions, and model files: good ones, damaged ones, hostile ones."""

import copy
import functools
import io
import json
import os
import pickle
import zipfile

import numpy as np
import pytest
import safetensors.torch
import torch
from skimage import data
from skimage.color import rgb2lab
from torch import nn

from ungray import networks
from ungray.errors import UngrayError
from ungray.imaging import color
from ungray.imaging.upsampling import gray_photo
from ungray.networks import Model, build, lab, load_model, save_model
from ungray.networks.unet import UNet

UNET = {"architecture": "unet", "working_size": 64, "channels": [4, 6, 8, 10]}
CNN = {"architecture": "cnn", "working_size": 64}
PROVENANCE = {
    "train": {"lr": 1e-05, "flip": True, "unet": {"channels": [4, 6, 8, 10]}},
    "queries": ["bäche", 'a "quoted" one', "山"],
    "steps": 12345678901,
    "nothing": None,
}


@pytest.fixture(params=networks.ARCHITECTURES)
def configuration(request, tiny) -> dict:
    """What each architecture writes into its model, small."""
    return build(tiny["train"].model_copy(update={"architecture": request.param}).network()).configuration


def _batch(*photos: np.ndarray) -> torch.Tensor:
    return torch.stack([torch.from_numpy(photo.copy()).permute(2, 0, 1) for photo in photos]).float() / 255


def test_features_are_there_or_it_says_that_there_are_none(configuration):
    lightness = torch.full((1, 1, 64, 64), 50.0)
    if configuration["architecture"] == "lite_unet":
        network = build(configuration | {"hints": True}).eval()
        _, features = network.predict_with_features(lightness)
        assert features.shape == (1, network.feature_channels, 4, 4)
    else:
        network = build(configuration).eval()
        assert network.feature_channels == 0
        with pytest.raises(ValueError, match=f"this {network.ARCHITECTURE} has no features"):
            network.predict_with_features(lightness)


def _photos(height: int = 64, width: int = 64) -> torch.Tensor:
    return _batch(
        data.astronaut()[30 : 30 + height, 150 : 150 + width],
        data.coffee()[100 : 100 + height, 200 : 200 + width],
    )


def _trained(configuration: dict, seed: int = 0) -> networks.Network:
    """A network whose weights and batch-norm statistics have moved from where they start."""
    return copy.deepcopy(_trained_once(json.dumps(configuration), seed))


@functools.cache
def _trained_once(configuration: str, seed: int) -> networks.Network:
    torch.manual_seed(seed)
    network = build(json.loads(configuration))
    optimizer = torch.optim.SGD(network.parameters(), lr=0.05)
    inputs, targets = network.pairs(_photos())
    for _ in range(3):
        optimizer.zero_grad()
        nn.functional.l1_loss(network(inputs), targets).backward()
        optimizer.step()
    return network.eval()


# Lab on tensors


@pytest.mark.parametrize("name", ["astronaut", "chelsea", "coffee", "rocket"])
def test_lab_of_a_photo_on_tensors_is_scikit_images_and_near_opencvs(name):
    photo = getattr(data, name)()
    ours = lab.rgb_to_lab(_batch(photo))[0].permute(1, 2, 0).numpy()
    theirs = rgb2lab(photo)
    assert np.abs(ours[..., 0] - theirs[..., 0]).max() < 0.001
    assert np.abs(ours - theirs).max() < 0.01  # libraries write D65 with four to six digits
    # OpenCV interpolates in a table and is off by up to 0.19 in L and 0.43 in a itself.
    assert np.abs(ours - color.rgb_to_lab(photo)).max() < 0.5
    assert np.abs((ours - color.rgb_to_lab(photo))[..., 0]).max() < 0.2


@pytest.mark.parametrize("name", ["astronaut", "chelsea", "coffee", "rocket"])
def test_photos_come_back_from_lab_on_tensors(name):
    rgb = _batch(getattr(data, name)())
    # A hundredth of an 8-bit level.
    assert (lab.lab_to_rgb(lab.rgb_to_lab(rgb)) - rgb).abs().max() < 0.01 / 255


def test_lab_on_tensors_becomes_the_same_photo_as_with_opencv_to_one_level():
    photo_lab = color.rgb_to_lab(data.chelsea())
    tensors = lab.lab_to_rgb(torch.from_numpy(photo_lab).permute(2, 0, 1)[None])[0].permute(1, 2, 0).numpy()
    assert np.abs(np.round(255 * tensors) - color.lab_to_rgb(photo_lab)).max() <= 1


def test_all_corners_of_rgb_come_back_from_lab():
    corners = torch.cartesian_prod(*[torch.tensor([0.0, 0.001, 0.5, 1.0])] * 3).T.reshape(1, 3, 8, 8)
    assert (lab.lab_to_rgb(lab.rgb_to_lab(corners)) - corners).abs().max() < 1e-4


def test_lab_outside_the_gamut_is_clamped_to_0_1_and_never_nan():
    wild = torch.stack(
        torch.meshgrid(torch.linspace(-10, 110, 13), *[torch.linspace(-200, 200, 21)] * 2, indexing="ij")
    ).reshape(1, 3, 13, -1)
    rgb = lab.lab_to_rgb(wild)
    assert rgb.isfinite().all()
    assert rgb.min() == 0
    assert rgb.max() == 1


@pytest.mark.parametrize("convert", [lab.rgb_to_lab, lab.lab_to_rgb])
def test_gradients_are_finite_from_black_to_white_and_outside_the_gamut(convert):
    values = torch.tensor([0.0, 1e-6, 0.0031308, 0.04045, 0.5, 1.0])
    colors = torch.cartesian_prod(values, values, values).T.reshape(1, 3, 6, 36)
    if convert is lab.lab_to_rgb:
        colors = torch.cat([colors[:, :1] * 100, colors[:, 1:] * 300 - 150], dim=1)
    colors.requires_grad_()
    convert(colors).sum().backward()
    assert colors.grad.isfinite().all()
    assert (colors.grad != 0).any()


def test_gradients_are_those_of_finite_differences():
    rgb = _batch(data.chelsea()[::100, ::100]).double().clamp(0.06, 0.94).requires_grad_()
    assert torch.autograd.gradcheck(lab.rgb_to_lab, rgb, eps=1e-7, atol=1e-3)
    inside = lab.rgb_to_lab(rgb.detach()).requires_grad_()
    assert torch.autograd.gradcheck(lab.lab_to_rgb, inside, eps=1e-6, atol=1e-6)


# Architectures


@pytest.mark.parametrize("factors", [(1, 1), (3, 5)])
def test_a_network_takes_any_sides_that_are_multiples_and_gives_ab_of_that_size(configuration, factors):
    network = build(configuration).eval()
    height, width = (network.MULTIPLE * factor for factor in factors)
    rgb = _photos(height, width)
    with torch.inference_mode():
        ab = network.predict_ab(lab.rgb_to_lab(rgb)[:, :1])
        raw = network.raw_rgb(rgb)
    assert ab.shape == (2, 2, height, width)
    assert ab.isfinite().all()
    assert ab.abs().max() < 500  # untrained, but of the order of colors
    assert raw.shape == rgb.shape
    assert raw.min() >= 0
    assert raw.max() <= 1


def test_training_pairs_fit_the_network_and_stay_in_range(configuration):
    network = build(configuration)
    rgb = _photos(64, 96)
    inputs, targets = network.pairs(rgb)
    outputs, gray = network(inputs), network.gray_target(inputs, targets)
    assert outputs.shape == targets.shape == gray.shape
    assert inputs.shape == (2, 1, 64, 96)
    assert -1 <= inputs.min() < inputs.max() <= 1
    assert -1.2 <= targets.min() < targets.max() <= 1.2
    assert outputs.requires_grad
    assert not targets.requires_grad


def test_the_unet_learns_lightness_to_ab_at_half_the_size():
    rgb = _photos(32, 48)
    inputs, targets = build(UNET).pairs(rgb)
    truth = lab.rgb_to_lab(rgb)
    torch.testing.assert_close(inputs, truth[:, :1] / 50 - 1)
    assert targets.shape == (2, 2, 16, 24)
    mean_of_four = truth[:, 1:, 4:6, 6:8].mean(dim=(2, 3)) / 110
    torch.testing.assert_close(targets[:, :, 2, 3], mean_of_four)
    assert not build(UNET).gray_target(inputs, targets).any()


def test_the_unet_gives_back_what_its_target_says():
    network = build(UNET)
    rgb = _photos()
    _, targets = network.pairs(rgb)
    network.forward = lambda _: targets
    lightness = lab.rgb_to_lab(rgb)[:, :1]
    truth = lab.rgb_to_lab(rgb)[:, 1:]
    assert (network.predict_ab(lightness) - truth).abs().mean() < 0.25 * truth.abs().mean()
    assert (network.raw_rgb(rgb) - rgb).abs().mean() < 0.02


def test_a_unet_with_no_color_to_add_gives_the_gray_photo():
    network = build(UNET).eval()
    nn.init.zeros_(network.head.weight)
    nn.init.zeros_(network.head.bias)
    rgb = _photos()
    with torch.inference_mode():
        assert not network.predict_ab(lab.rgb_to_lab(rgb)[:, :1]).any()
        raw = network.raw_rgb(rgb)
    gray = gray_photo(np.uint8(255 * rgb[0].permute(1, 2, 0).numpy() + 0.5))
    assert np.abs(255 * raw[0].permute(1, 2, 0).numpy() - gray).max() <= 1


def test_the_cnn_learns_the_gray_photo_to_rgb():
    rgb = _photos()
    network = build(CNN)
    inputs, targets = network.pairs(rgb)
    assert torch.equal(targets, rgb)
    gray = gray_photo(np.uint8(255 * rgb[0].permute(1, 2, 0).numpy() + 0.5))
    assert np.abs(255 * inputs[0, 0].numpy() - gray[..., 0]).max() <= 1
    assert torch.equal(network.gray_target(inputs, targets), inputs.repeat(1, 3, 1, 1))


def test_the_cnn_uses_only_ab_of_the_rgb_it_predicts():
    network = build(CNN)
    rgb = _photos()
    network.forward = lambda _: rgb
    truth = lab.rgb_to_lab(rgb)
    torch.testing.assert_close(network.predict_ab(truth[:, :1]), truth[:, 1:])
    assert torch.equal(network.raw_rgb(rgb), rgb)


def test_the_cnn_is_the_ancestors():
    network = build(CNN)
    kinds = [type(module) for module in network.modules() if not list(module.children())]
    convolution = [nn.Conv2d, nn.BatchNorm2d, nn.ReLU]
    upward = [nn.ConvTranspose2d, nn.BatchNorm2d, nn.ReLU]
    assert kinds == [
        *convolution, *convolution, nn.MaxPool2d,
        *convolution, *convolution, nn.MaxPool2d,
        *convolution,
        *upward, *upward, nn.Conv2d,
    ]  # fmt: skip
    steps = [m for m in network.modules() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d)]
    assert [step.in_channels for step in steps] == [1, 12, 24, 48, 64, 128, 64, 24]
    assert [step.out_channels for step in steps] == [12, 24, 48, 64, 128, 64, 24, 3]
    assert all(step.kernel_size == (3, 3) for step in steps if isinstance(step, nn.Conv2d))
    # The sigmoid at the end: the logits of the last layer, brought to 0..1.
    gray = network.pairs(_photos())[0]
    network.eval()
    with torch.inference_mode():
        torch.testing.assert_close(network(gray), torch.sigmoid(network.decoder(network.encoder(gray))))
        nn.init.constant_(network.decoder[-1].bias, 50)
        assert network(gray).min() > 0.999
        nn.init.constant_(network.decoder[-1].bias, -50)
        assert network(gray).max() < 0.001


def test_the_unet_has_four_levels_of_the_channels_asked_for():
    network = build(UNET)
    widths = [block[0].out_channels for block in network.down]
    assert widths == [4, 6, 8, 10]
    with torch.inference_mode():
        assert network.eval()(torch.zeros(1, 1, 16, 16)).shape == (1, 2, 8, 8)
    with pytest.raises(ValueError, match="four"):
        UNet(working_size=64, channels=[4, 6, 8])


def test_every_weight_of_a_network_learns(configuration):
    network = build(configuration)
    inputs, targets = network.pairs(_photos())
    nn.functional.mse_loss(network(inputs), targets).backward()
    idle = [
        name for name, weight in network.named_parameters() if weight.grad is None or not weight.grad.any()
    ]
    assert idle == []


def test_predict_ab_on_arrays_is_the_networks_and_switches_batch_norm_to_eval(configuration):
    network = _trained(configuration).train()
    lightness = color.rgb_to_lab(data.chelsea()[:64, :96])[None, None, ..., 0]
    ab = networks.predictor(network)(lightness)
    assert ab.shape == (1, 2, 64, 96)
    assert ab.dtype == np.float32
    assert not network.training
    expected = network.predict_ab(torch.from_numpy(lightness)).detach().numpy()
    np.testing.assert_array_equal(ab, expected)
    np.testing.assert_array_equal(ab, networks.predictor(network)(np.asfortranarray(lightness)))


def test_parameters_are_counted_without_buffers_and_frozen_ones():
    layer = nn.Sequential(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3))
    assert networks.parameter_count(layer) == 2 * 3 * 9 + 3 + 6
    layer[0].requires_grad_(False)
    assert networks.parameter_count(layer) == 6


# Model files


def test_a_saved_model_colors_as_it_did(configuration, tmp_path):
    network = _trained(configuration)
    path = tmp_path / "model.safetensors"
    save_model(path, Model(network, PROVENANCE))
    loaded = load_model(path)
    assert loaded.network.configuration == configuration
    assert loaded.provenance == PROVENANCE
    assert not loaded.network.training
    assert {weight.dtype for weight in loaded.network.parameters()} == {torch.float32}
    lightness = lab.rgb_to_lab(_photos(64, 96))[:, :1]
    with torch.inference_mode():
        before = network.predict_ab(lightness)
        # fp16 costs a little: a fifth of a Lab unit at most, nothing an eye could see.
        assert (loaded.network.predict_ab(lightness) - before).abs().max() < 0.2
        assert before.abs().max() > 1
        for weight in network.parameters():
            weight.copy_(weight.half())
        assert torch.equal(loaded.network.predict_ab(lightness), network.predict_ab(lightness))


def test_a_network_is_built_again_from_the_configuration_in_the_file_alone(configuration, tmp_path):
    path = tmp_path / "model.safetensors"
    save_model(path, Model(_trained(configuration), PROVENANCE))
    with safetensors.safe_open(path, framework="pt") as file:
        written = json.loads(file.metadata()["configuration"])
    network = build(written).eval()
    network.load_state_dict(safetensors.torch.load_file(path))
    lightness = lab.rgb_to_lab(_photos())[:, :1]
    with torch.inference_mode():
        expected = load_model(path).network.predict_ab(lightness)
        assert torch.equal(network.predict_ab(lightness), expected)


def test_weights_are_saved_in_fp16_and_batch_norm_statistics_as_they_are(configuration, tmp_path):
    network = _trained(configuration)
    path = tmp_path / "model.safetensors"
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    for norm in norms[:1]:
        norm.running_var.fill_(1e6)  # fp16 ends at 65504
        norm.running_mean.fill_(1 / 3)
    save_model(path, Model(network, {}))
    saved = safetensors.torch.load_file(path)
    assert saved.keys() == network.state_dict().keys()
    assert all(saved[name].dtype == torch.float16 for name, _ in network.named_parameters())
    for name, buffer in network.named_buffers():
        assert saved[name].dtype == buffer.dtype, name
        assert torch.equal(saved[name], buffer), name
    loaded = load_model(path).network
    assert all(
        torch.equal(buffer, dict(loaded.named_buffers())[name]) for name, buffer in network.named_buffers()
    )


def test_a_model_is_the_same_bytes_every_time_it_is_saved(configuration, tmp_path):
    path, contents, trained = tmp_path / "model.safetensors", set(), _trained(configuration)
    for _ in range(5):  # the library's own metadata order is random
        save_model(path, Model(trained, dict(reversed(PROVENANCE.items()))))
        contents.add(path.read_bytes())
    save_model(path, Model(_trained(configuration), PROVENANCE))
    contents.add(path.read_bytes())
    save_model(path, load_model(path))
    contents.add(path.read_bytes())
    assert len(contents) == 1
    assert os.listdir(tmp_path) == [path.name]  # noqa: PTH208
    save_model(path, Model(_trained(configuration, seed=1), PROVENANCE))
    assert path.read_bytes() not in contents


@pytest.fixture(scope="module")
def content(tmp_path_factory) -> bytes:
    """The bytes of a good model."""
    path = tmp_path_factory.mktemp("good") / "model.safetensors"
    save_model(path, Model(_trained(UNET), PROVENANCE))
    return path.read_bytes()


def _zip() -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("archive/data.pkl", b"...")
    return stream.getvalue()


def _foreign(configuration: object = None, **more: str) -> bytes:
    """A whole safetensors file that this project did not write."""
    metadata = {} if configuration is None else {"configuration": json.dumps(configuration)}
    return safetensors.torch.save({"weight": torch.ones(3)}, metadata | more or None)


def _cnn_with(tensors: dict[str, torch.Tensor], **metadata: str) -> bytes:
    return safetensors.torch.save(tensors, {"configuration": json.dumps(CNN)} | metadata)


def _channels(good: bytes, text: bytes) -> bytes:
    assert len(text) == len(b"[4, 6, 8, 10]")
    return good.replace(b"[4, 6, 8, 10]", text)


DAMAGE = {
    "empty": lambda good: b"",
    "one byte": lambda good: good[:1],
    "only the header": lambda good: good[: 8 + int.from_bytes(good[:8], "little")],
    "half": lambda good: good[: len(good) // 2],
    "last byte missing": lambda good: good[:-1],
    "longer than it says": lambda good: good + b"\0",
    "zeros": lambda good: b"\0" * len(good),
    "header broken": lambda good: good[:20] + b"\xff" * 20 + good[40:],
    "a git-lfs pointer": lambda good: b"version https://git-lfs.github.com/spec/v1\n" * 3,
    "a web page": lambda good: b"<!DOCTYPE html><html><body>404</body></html>",
    "a zip": lambda good: _zip(),
    "somebody else's": lambda good: _foreign(),
    "somebody else's, with metadata": lambda good: _foreign(format="pt"),
    "no such architecture": lambda good: _foreign({"architecture": "gan"}),
    "no architecture": lambda good: _foreign({}),
    "configuration no JSON": lambda good: good.replace(b'\\"architecture\\"', b'\\"architecture\\ '),
    "configuration a list": lambda good: _foreign([1, 2]),
    "configuration a number": lambda good: _foreign(3),
    "an argument that is none": lambda good: _foreign(CNN | {"layers": 3}),
    "three channels": lambda good: _foreign(UNET | {"channels": [4, 6, 8]}),
    "words for channels": lambda good: _foreign(UNET | {"channels": ["a", "b", "c", "d"]}),
    "other channels": lambda good: _channels(good, b"[4, 6, 8, 12]"),
    "negative channels": lambda good: _channels(good, b"[-4, 6, 8, 9]"),
    "no channels at all": lambda good: _channels(good, b"[0, 0, 0,  0]"),
    "the other architecture": lambda good: _cnn_with(build(UNET).state_dict(), provenance="{}"),
    "no provenance": lambda good: _cnn_with(build(CNN).state_dict()),
    "a weight missing": lambda good: _cnn_with(
        dict(list(build(CNN).state_dict().items())[1:]), provenance="{}"
    ),
}


@pytest.mark.filterwarnings("ignore:Initializing zero-element tensors")
@pytest.mark.parametrize("damage", DAMAGE)
def test_a_file_that_is_no_good_model_is_refused_in_one_sentence_that_names_it(damage, content, tmp_path):
    path = tmp_path / "colorizer.safetensors"
    path.write_bytes(DAMAGE[damage](content))
    assert path.read_bytes() != content
    with pytest.raises(UngrayError) as caught:
        load_model(path)
    message = str(caught.value)
    assert str(path) in message
    assert "dvc" in message
    assert "\n" not in message


def test_a_file_cut_or_flipped_anywhere_in_its_header_is_refused_or_read_but_never_a_traceback(
    content, tmp_path
):
    path = tmp_path / "colorizer.safetensors"
    header = 8 + int.from_bytes(content[:8], "little")
    rng = np.random.default_rng(0)
    complaints = []
    for _ in range(300):
        broken = bytearray(content)
        place = int(rng.integers(0, header))
        broken[place] ^= 1 << int(rng.integers(0, 8))
        path.write_bytes(broken)
        try:
            load_model(path)
        except UngrayError as error:
            complaints.append(str(error))
    assert len(complaints) > 100
    assert [text for text in complaints if str(path) not in text or "\n" in text] == []


@pytest.mark.parametrize("there", ["nothing", "a folder"])
def test_a_missing_model_is_said_so_with_the_way_to_one(there, tmp_path):
    path = tmp_path / "colorizer.safetensors"
    if there == "a folder":
        path.mkdir()
    with pytest.raises(UngrayError, match="not found") as caught:
        load_model(path)
    assert str(path) in str(caught.value)
    assert "dvc pull" in str(caught.value)


class _Trap:
    """Unpickling this makes a folder: stands for any code that a hostile file could run."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self):
        return os.mkdir, (self.path,)


@pytest.mark.parametrize("kind", ["pickle", "torch.save", "torch.save, the old format"])
def test_a_pickle_in_disguise_is_refused_and_not_executed(kind, tmp_path):
    path, sprung = tmp_path / "colorizer.safetensors", tmp_path / "sprung"
    if kind == "pickle":
        path.write_bytes(pickle.dumps(_Trap(str(sprung))))
    else:
        torch.save(_Trap(str(sprung)), path, _use_new_zipfile_serialization=kind == "torch.save")
    with pytest.raises(UngrayError) as caught:
        load_model(path)
    assert str(path) in str(caught.value)
    assert not sprung.exists()
    # The trap is a real one.
    if kind == "pickle":
        pickle.loads(path.read_bytes())
    else:
        torch.load(io.BytesIO(path.read_bytes()), weights_only=False)
    assert sprung.exists()


def test_a_model_that_cannot_be_written_leaves_the_old_one(tmp_path):
    path = tmp_path / "model.safetensors"
    save_model(path, Model(_trained(CNN), PROVENANCE))
    before = path.read_bytes()
    with pytest.raises(TypeError):
        save_model(path, Model(_trained(CNN, seed=1), {"no JSON": object()}))
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == [path.name]  # noqa: PTH208

import shutil
import subprocess
import sys

import cv2
import numpy as np
import pytest
import torch
from PIL import Image
from skimage import data

from ungray import networks
from ungray.cli.main import main
from ungray.imaging.color import rgb_to_lab
from ungray.imaging.photos import read_rgb
from ungray.networks import Model, save_model


@pytest.fixture(scope="module", params=["unet", "cnn"])
def model(request, tiny, tmp_path_factory):
    """An untrained model of each architecture whose last bias gives wrong colors, and plenty of them."""
    network = networks.build(tiny["train"].model_copy(update={"architecture": request.param}).network())
    with torch.no_grad():
        list(network.parameters())[-1].mul_(0).add_(
            torch.linspace(-1, 1, len(list(network.parameters())[-1]))
        )
    path = tmp_path_factory.mktemp("model") / "model.safetensors"
    save_model(path, Model(network, {}))
    return path


def colorize(*arguments):
    main([str(argument) for argument in arguments])


@pytest.mark.parametrize("size", [(640, 427), (97, 331), (1201, 900), (24, 24), (16, 900)])
def test_a_photo_of_any_size_keeps_its_size_and_lightness(model, tmp_path, size):
    photo = cv2.resize(data.astronaut(), size, interpolation=cv2.INTER_AREA)
    Image.fromarray(photo).convert("L").save(tmp_path / "gray.png")
    colorize(tmp_path / "gray.png", "-o", tmp_path / "colored.png", "--model", model)
    gray, colored = read_rgb(tmp_path / "gray.png"), read_rgb(tmp_path / "colored.png")
    assert colored.shape == (size[1], size[0], 3)
    lightness = [rgb_to_lab(p)[..., 0] for p in (gray, colored)]
    level = 100 / 255 * 1.6  # the most that one 8-bit level of gray changes L by, in the darks
    assert np.abs(lightness[0] - lightness[1]).max() <= 2 * level
    assert np.abs(lightness[0] - lightness[1]).mean() < 0.5 * level


def test_the_result_has_color_and_a_color_photo_is_taken_as_gray(model, tmp_path):
    photo = Image.fromarray(data.coffee())
    photo.save(tmp_path / "color.png")
    lightness = rgb_to_lab(np.asarray(photo))[..., 0]
    zeros = np.zeros_like(lightness)
    gray = (cv2.cvtColor(np.dstack([lightness, zeros, zeros]), cv2.COLOR_Lab2RGB) * 255).round()
    Image.fromarray(gray.astype(np.uint8)).save(tmp_path / "gray.png")
    for name in ("color", "gray"):
        colorize(tmp_path / f"{name}.png", "-o", tmp_path / f"{name}-out.png", "--model", model)
    first, second = (read_rgb(tmp_path / f"{name}-out.png").astype(int) for name in ("color", "gray"))
    assert np.abs(first - second).mean() < 1.5
    assert np.ptp(first, axis=-1).max() > 5


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp"])
def test_the_extension_gives_the_format(model, tmp_path, suffix):
    Image.fromarray(data.chelsea()).save(tmp_path / "cat.jpg")
    colorize(tmp_path / "cat.jpg", "-o", tmp_path / f"out.{suffix}", "--model", model)
    with Image.open(tmp_path / f"out.{suffix}") as written:
        assert written.format == {"png": "PNG", "jpg": "JPEG", "webp": "WEBP"}[suffix]


def failing(capsys, *arguments):
    with pytest.raises(SystemExit) as left:
        colorize(*arguments)
    said = str(left.value.code)
    assert said.startswith("error: ")
    assert "\n" not in said
    return said


def test_what_goes_wrong_is_said_in_one_sentence_and_nothing_is_written(model, tmp_path, capsys):
    cat = tmp_path / "cat.png"
    Image.fromarray(data.chelsea()).save(cat)
    text = tmp_path / "letter.jpg"
    text.write_text("Dear all")
    broken = tmp_path / "broken.png"
    broken.write_bytes(cat.read_bytes()[:5000])
    out = tmp_path / "out.png"
    assert "gone.png: not found" in failing(capsys, tmp_path / "gone.png", "-o", out, "--model", model)
    assert "not an image" in failing(capsys, text, "-o", out, "--model", model)
    assert "damaged" in failing(capsys, broken, "-o", out, "--model", model)
    assert "a photo itself" in failing(capsys, cat, "-o", cat, "--model", model)
    assert "model.safetensors not found" in failing(
        capsys, cat, "-o", out, "--model", tmp_path / "model.safetensors"
    )
    assert not out.exists()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["broken.png", "cat.png", "letter.jpg"]


def test_the_installed_command_answers_help_with_examples():
    command = shutil.which("colorize", path=str(sys.executable).rsplit("/", 1)[0])
    assert command
    shown = subprocess.run([command, "--help"], capture_output=True, text=True, check=True).stdout
    assert "examples:" in shown
    assert "Ungray" in shown

"""The Python API: single photos and batches, both engines, edges, and what the docstrings show."""

import doctest
import os
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import ExifTags, Image
from skimage import data
from skimage.color import lab2rgb, rgb2lab

from tests.sample_images import load_sample_image
from tests.ungray.colors import given_color
from ungray import colorizer as module
from ungray import engines, networks
from ungray.colorizer import Colorizer
from ungray.errors import UngrayError
from ungray.imaging import photo_files, upsampling

ROOT = Path(__file__).parents[2]
PHOTOS = {
    "astronaut": data.astronaut(),
    "coffee": data.coffee(),
    "flower": load_sample_image("flower.jpg"),
    "rocket": data.rocket(),
}


def gray_level(rgb):
    """Gray, 0..255, of the lightness of a photo in 0..1: CIE 15 and sRGB, by scikit-image."""
    lightness = rgb2lab(rgb)[..., 0]
    y = np.where(lightness > 8, ((lightness + 16) / 116) ** 3, lightness / 903.3)
    return 255 * np.where(y > 0.0031308, 1.055 * y ** (1 / 2.4) - 0.055, 12.92 * y)


def spread(rgb):
    return np.ptp(rgb.astype(int), axis=-1)


@pytest.mark.parametrize("saturation", [0, 1, 10])
@pytest.mark.parametrize("name", PHOTOS)
def test_the_lightness_stays_to_one_level_however_vivid_the_colors(colorizer, name, saturation):
    photo = PHOTOS[name]
    colored = colorizer.colorize(photo, saturation=saturation)
    assert colored.shape == photo.shape
    assert np.abs(gray_level(colored) - gray_level(photo)).max() <= 1
    assert spread(colored).max() <= 1 if saturation == 0 else spread(colored).mean() > 3 * saturation**0.5


def test_the_lightness_of_16_bits_stays_at_16_bits(colorizer):
    ramp = np.tile(np.arange(0, 65536, 16, dtype=np.uint16), (64, 1))
    colored = colorizer.colorize(ramp, saturation=3)
    assert colored.dtype == np.uint16
    assert colored.shape == (*ramp.shape, 3)
    assert spread(colored).mean() > 1000
    assert np.abs(257 * gray_level(colored / 65535) - ramp).max() < 12  # 16 bits in 65536; one of 8 is 257


def test_colors_a_photo_has_are_thrown_away(colorizer):
    gray = np.asarray(Image.fromarray(PHOTOS["coffee"]).convert("L"))
    sepia = upsampling.apply_color(
        upsampling.gray_levels(gray), np.broadcast_to(np.float32([0, 0, 8, 20]), (2, 2, 4)).copy(), bits=16
    )
    assert spread(sepia).mean() > 3000
    found, expected = colorizer.colorize(sepia) / 257, colorizer.colorize(gray)
    assert np.abs(found - expected).max() <= 2


@pytest.mark.parametrize("blurred", [False, True])
@pytest.mark.parametrize(("dark", "light"), [(20, 80), (40, 60)])
@pytest.mark.parametrize("turn", [0, 0.3])
def test_colors_end_at_an_edge_and_leave_no_halo(dark, light, turn, blurred):
    rows, columns = np.mgrid[:1200, :1600]
    distance = (columns - 800) * np.cos(turn) + (rows - 600) * np.sin(turn)
    lightness = np.where(distance < 0, dark, light).astype(np.float32)
    left, right = np.float32([25, 15]), np.float32([-10, -25])

    def predict(small):
        side = (small > (small.min() + small.max()) / 2).astype(np.float32)  # its blacks may be restored
        if blurred:  # as of a network that answers at half the size
            half = cv2.resize(side, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
            side = cv2.resize(half, small.shape[::-1], interpolation=cv2.INTER_LINEAR)
        return left + (right - left) * side[..., None]

    gray = np.uint8(gray_level(lab2rgb(np.dstack([lightness, 0 * lightness, 0 * lightness]))) + 0.5)
    ab = rgb2lab(given_color(gray, predict, working_size=128))[..., 1:]
    true = np.where(distance[..., None] < 0, left, right)
    off = np.linalg.norm(ab - true, axis=-1) / np.linalg.norm(right - left)
    assert off[np.abs(distance) > 2].max() < (0.25 if blurred else 0.15)
    # Brought up without regard to edges, most of the step would still be missing there.
    assert off[np.abs(distance) < 6].mean() < 0.15


def test_color_is_smooth_where_there_is_no_edge():
    noise = np.random.default_rng(0).normal(50, 2, (900, 1200)).astype(np.float32)
    wide = np.linspace(-30, 30, 192, dtype=np.float32)
    fits = upsampling.guided_fit(
        cv2.resize(noise, (192, 144), interpolation=cv2.INTER_AREA),
        np.dstack([np.tile(wide, (144, 1)), np.zeros((144, 192), np.float32)]),
    )
    slope, offset = fits[..., 0], fits[..., 2]
    a = slope * 50 + offset
    assert np.abs(np.diff(a, axis=1)).max() < 1  # 0.31 a step is what was predicted
    assert np.abs(a[:, 5:-5] - wide[5:-5]).max() < 1
    assert np.abs(slope).max() < 0.3


def test_photos_of_several_shapes_are_the_same_together_and_one_by_one(colorizer):
    photos = [*PHOTOS.values(), PHOTOS["coffee"][:, ::-1], PHOTOS["coffee"][:300, :200]] * 2
    for photo, colored in zip(photos, colorizer.colorize_batch(photos), strict=True):
        assert np.abs(colored.astype(int) - colorizer.colorize(photo)).max() <= 1


def test_photos_of_one_shape_are_asked_for_together(colorizer, monkeypatch):
    asked = []
    run = colorizer._engine.run
    engine = engines.Engine(
        **{**vars(colorizer._engine), "run": lambda x, hints: asked.append(x.shape) or run(x, hints)}
    )
    Colorizer(engine).colorize_batch([PHOTOS["coffee"]] * 20)
    assert sorted(shape[0] for shape in asked) == [4, 16]


def test_saturation_is_a_matter_of_painting(colorizer):
    prediction = colorizer.predict(PHOTOS["coffee"])
    pale, plain, vivid = (prediction.render(saturation=s) for s in (0.5, 1, 2))
    assert spread(pale).mean() < spread(plain).mean() < spread(vivid).mean()
    np.testing.assert_array_equal(prediction.render(vivid=True), vivid)  # as the model's provenance says
    for bad in (-0.1, float("nan"), float("inf")):
        with pytest.raises(UngrayError, match="saturation is"):
            prediction.render(saturation=bad)


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "LA", "P", "CMYK", "1", "I;16"])
def test_an_image_of_any_mode_gives_an_image(colorizer, mode):
    image = Image.fromarray(PHOTOS["coffee"]).convert("L" if mode == "I;16" else mode)
    if mode == "I;16":
        image = Image.fromarray(np.asarray(image).astype(np.uint16) * 257)
    colored = colorizer.colorize(image)
    assert colored.size == image.size
    assert colored.mode == ("RGBA" if mode.endswith("A") else "RGB")
    assert colored.info["icc_profile"]


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_an_array_with_or_without_alpha_gives_an_array(colorizer, channels):
    photo = np.dstack([PHOTOS["coffee"], PHOTOS["rocket"][:400, :600, 0]])[..., -channels:]
    colored = colorizer.colorize(photo)
    assert colored.shape == (400, 600, 3 + (channels in (2, 4)))
    if channels in (2, 4):
        np.testing.assert_array_equal(colored[..., 3], photo[..., -1])


@pytest.mark.parametrize("top", [255, 65535])
def test_integers_are_levels_of_8_bits_or_of_16(colorizer, top):
    gray = np.asarray(Image.fromarray(PHOTOS["coffee"]).convert("L"))
    integers = Image.fromarray(gray.astype(np.int32) * (top // 255))
    assert integers.mode == "I"
    colored = np.asarray(colorizer.colorize(integers))
    assert np.abs(gray_level(colored) - gray).max() <= 1
    assert colorizer.predict(integers).photo.bits == (8 if top == 255 else 16)


def test_fractions_are_levels_in_0_to_1(colorizer):
    gray = np.asarray(Image.fromarray(PHOTOS["coffee"]).convert("L"))
    colored = np.asarray(colorizer.colorize(Image.fromarray(gray / np.float32(255))))
    assert np.abs(gray_level(colored) - gray).max() <= 1


def test_numbers_that_are_no_levels_are_refused(colorizer):
    for integers in ([[-1, 9]], [[0, 65536]]):
        with pytest.raises(
            UngrayError, match=r"integers in .* is not a photo; give levels in 0..255 or 0..65535"
        ):
            colorizer.colorize(Image.fromarray(np.int32(integers)))
    with pytest.raises(UngrayError, match=r"floating-point values beyond 0\.\.1"):
        colorizer.colorize(Image.fromarray(np.float32([[20, 200]])))


def test_an_array_of_another_byte_order_is_the_same_photo(colorizer):
    deep = PHOTOS["coffee"].astype(np.uint16) * 257
    colored = colorizer.colorize(deep.astype(">u2"))
    assert colored.dtype == np.uint16
    np.testing.assert_array_equal(colored, colorizer.colorize(deep))


def test_photos_may_come_one_by_one(colorizer):
    photos = [PHOTOS["coffee"], PHOTOS["rocket"]]
    for found, expected in zip(
        colorizer.colorize_batch(photo for photo in photos), colorizer.colorize_batch(photos), strict=True
    ):
        np.testing.assert_array_equal(found, expected)
    assert len(colorizer.predict_batch(iter(photos))) == 2
    assert colorizer.colorize_batch(iter([])) == []


def test_an_image_keeps_what_is_said_of_it(colorizer):
    image = Image.fromarray(PHOTOS["coffee"])
    exif = Image.Exif()
    exif[ExifTags.Base.Make] = "Agfa"
    image.info |= {"dpi": (300, 300), "exif": exif.tobytes()}
    colored = colorizer.colorize(image)
    assert colored.info["dpi"] == (300, 300)
    assert colored.getexif()[ExifTags.Base.Make] == "Agfa"


@pytest.mark.parametrize("bad", ["photo.jpg", None, Path("photo.jpg"), [[0, 9]], b"\xff\xd8"])
def test_what_is_neither_an_image_nor_an_array_is_refused_in_a_sentence(colorizer, bad):
    for ask in (colorizer.colorize, colorizer.predict):
        with pytest.raises(
            UngrayError, match=r"is no photo; give a Pillow image, .*Image\.open.*, or an array"
        ):
            ask(bad)


def test_what_is_no_photo_is_refused_in_a_sentence(colorizer):
    for bad in (np.zeros((4, 4)), np.zeros((4, 4, 5), np.uint8), np.zeros((0, 4), np.uint8)):
        with pytest.raises(UngrayError, match="is not a photo; give uint8 or uint16"):
            colorizer.colorize(bad)


@pytest.mark.parametrize("name", PHOTOS)
def test_the_engines_agree_to_two_levels(colorful, name):
    torch_, onnx_ = (Colorizer.load(colorful, engine=engine) for engine in ("torch", "onnxruntime"))
    assert (torch_.engine, onnx_.engine) == ("torch", "onnxruntime")
    assert torch_.configuration == onnx_.configuration
    assert torch_.provenance == onnx_.provenance
    photo = PHOTOS[name]
    assert np.abs(torch_.colorize(photo).astype(int) - onnx_.colorize(photo)).max() <= 2


def test_with_onnxruntime_torch_is_not_imported(colorful):
    code = (
        "import sys; import numpy as np; from ungray.imaging import photo_files as files\n"
        "from ungray.colorizer import Colorizer\n"
        f"c = Colorizer.load({str(colorful.with_suffix('.onnx'))!r})\n"
        "photo = files.from_array(np.full((90, 120), 99, np.uint8))\n"
        "files.encode(photo, c.predict(photo).render(), format='jpg')\n"
        "print(c.engine, 'torch' in sys.modules)"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    assert ran.stdout.split() == ["onnxruntime", "False"], ran.stderr


def test_the_exported_file_beside_a_model_is_taken_if_it_is_of_the_same_training(colorful, tmp_path):
    for suffix in (".safetensors", ".onnx"):
        shutil.copy(colorful.with_suffix(suffix), tmp_path / f"model{suffix}")
    path = tmp_path / "model.safetensors"
    chosen = Colorizer.load(path)
    assert (chosen.engine, chosen.path.name) == ("onnxruntime", "model.onnx")
    assert Colorizer.load(path, engine="torch").engine == "torch"
    model = networks.load_model(path)
    networks.save_model(path, networks.Model(model.network, {**model.provenance, "trained": "again"}))
    assert Colorizer.load(path).engine == "torch"
    shutil.copy(colorful, path)
    path.with_suffix(".onnx").write_bytes(b"no model")
    assert Colorizer.load(path).engine == "torch"


def test_the_base_model_is_the_default_in_either_file_and_else_the_one_trained_here(
    colorful, tmp_path, monkeypatch
):
    monkeypatch.setattr(module, "ROOT", tmp_path)
    with pytest.raises(UngrayError, match=r"data/models/colorizer\.safetensors not found"):
        Colorizer.load()
    for name in ("models/colorizer.onnx", "models/colorizer.safetensors", "base/colorizer.onnx"):
        path = tmp_path / "data" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(colorful.with_suffix(path.suffix), path)
        assert module.default_model() == path
        assert Colorizer.load().path.parent == path.parent
    shutil.copy(colorful, tmp_path / "data/base/colorizer.safetensors")
    assert module.default_model() == tmp_path / "data/base/colorizer.safetensors"


def test_a_model_that_is_none_is_named(colorful, tmp_path):
    with pytest.raises(UngrayError, match="unknown engine cuda; use auto, torch or onnxruntime"):
        Colorizer.load(colorful, engine="cuda")
    with pytest.raises(UngrayError, match=r"letter\.txt is not a model"):
        Colorizer.load(tmp_path / "letter.txt")
    for name in ("model.onnx", "model.safetensors"):
        with pytest.raises(UngrayError, match=f"{name} not found"):
            Colorizer.load(tmp_path / name)
        (tmp_path / name).write_bytes(b"no model")
        with pytest.raises(UngrayError, match=f"{name} is damaged or not a model of ungray"):
            Colorizer.load(tmp_path / name)


def test_the_examples_in_the_docstrings_work(colorful, tmp_path, monkeypatch):
    Image.fromarray(PHOTOS["coffee"]).convert("L").save(tmp_path / "photo.jpg")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(module, "default_model", lambda: colorful)
    for documented in (module, photo_files):
        tried = doctest.testmod(documented)
        assert tried.failed == 0
        assert tried.attempted >= 3

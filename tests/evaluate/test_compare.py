"""The tool ``python -m stages.evaluate compare``, as a person runs it."""

import shutil
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from skimage import data

from stages.evaluate.candidates import candidate, load_photo
from stages.evaluate.compare import compare
from tests.sample_images import load_sample_image
from ungray import networks
from ungray.errors import UngrayError
from ungray.imaging import photos
from ungray.imaging.upsampling import gray_photo

SHIPPED = Path(__file__).parents[2] / "params.yaml"


def _gray(rgb):
    return gray_photo(rgb)


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    shutil.copy(SHIPPED, tmp_path / "params.yaml")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def truths(here):
    """Twenty-four photos of ten scenes; one of them is there twice, the second time smaller and brighter."""
    folder = here / "truths"
    scenes = [data.astronaut(), data.chelsea(), data.coffee(), data.rocket(), load_sample_image("china.jpg")]
    for number, scene in enumerate(scenes):
        height, width = scene.shape[:2]
        for part in range(4):
            top, left = part // 2 * height // 2, part % 2 * width // 2
            crop = np.ascontiguousarray(scene[top : top + height // 2, left : left + width // 2])
            photos.write_rgb(folder / f"scene {number} part {part}.jpg", crop)
    flower = load_sample_image("flower.jpg")
    for number in range(3):
        photos.write_rgb(folder / f"flower{number}.jpg", np.roll(flower[:, 200 * number :], 0)[:300, :300])
    again = cv2.resize(photos.read_rgb(folder / "flower0.jpg"), (200, 200), interpolation=cv2.INTER_AREA)
    photos.write_rgb(folder / "flower0 again.png", np.minimum(again, 247) + np.uint8(8))
    return folder


@pytest.fixture
def model_file(here, model):
    networks.save_model(here / "model.safetensors", model)
    return here / "model.safetensors"


def _colored(truths, folder, colorize, *, suffix=".png"):
    for path in truths.iterdir():
        photos.write_rgb(folder / f"{path.stem}{suffix}", colorize(photos.read_rgb(path)))
    return folder


def _figures():
    return pd.read_csv("reports/compare/figures.csv").set_index("figure")


def test_another_programs_colorings_are_held_against_a_model(truths, model_file, here, capsys):
    # A program that hands back the truth, half its size and as another format, is better than any model.
    perfect = _colored(
        truths, here / "out", lambda rgb: cv2.resize(rgb, None, fx=0.5, fy=0.5), suffix=".webp"
    )
    compare([str(model_file), str(perfect), "--photos", str(truths)])
    said = capsys.readouterr().out
    assert "A is worse than B: CIEDE2000" in said
    figures = _figures()
    row = figures.loc["ciede2000"]
    assert row["a_minus_b"] == pytest.approx(row["a"] - row["b"], abs=1e-2)
    assert 0 < row["low"] < row["a_minus_b"] < row["high"]
    assert figures.loc["psnr", "a_is"] == "worse"
    assert pd.isna(figures.loc["colorfulness", "a_is"])
    grid = photos.read_rgb(Path("reports/compare/grid.jpg"))
    assert 900 < grid.shape[1] < 1100


def test_the_other_way_round_a_is_better(truths, model_file, here, capsys):
    perfect = _colored(truths, here / "out", lambda rgb: rgb)
    compare([str(perfect), str(model_file), "--photos", str(truths), "-o", "elsewhere"])
    assert "A is better than B" in capsys.readouterr().out
    assert Path("elsewhere/figures.csv").is_file()
    assert not Path("reports").exists()


def test_a_model_against_itself_cannot_be_told_apart(truths, model_file, capsys):
    compare([str(model_file), str(model_file), "--photos", str(truths)])
    assert "no measurable difference between A and B" in capsys.readouterr().out
    assert (_figures()["a_minus_b"] == 0).all()


def test_photos_that_look_alike_count_once(truths, model_file, here):
    gray = _colored(truths, here / "gray", _gray)
    compare([str(model_file), str(gray), "--photos", str(truths)])
    rows = pd.read_csv("reports/compare/photos.csv", dtype={"group": str})
    group = rows.drop_duplicates("file").set_index("file")["group"]
    assert group["flower0.jpg"] == group["flower0 again.png"]
    assert group.nunique() == len(group) - 1 == 23
    assert (_figures()["groups"] == 23).all()


def test_photos_that_prepare_has_put_into_one_group_count_once(truths, model_file, here):
    gray = _colored(truths, here / "gray", _gray)
    files = sorted(path.name for path in truths.iterdir())
    index = pd.DataFrame(
        {"file": [f"truths/{file}" for file in files], "group": [file[:7] for file in files]}
    )
    index.to_csv(here / "index.csv", index=False)
    compare([str(model_file), str(gray), "--photos", str(truths)])
    assert (_figures()["groups"] == index["group"].nunique()).all()
    index.drop(columns="group").to_csv(here / "index.csv", index=False)  # somebody else's table
    compare([str(model_file), str(gray), "--photos", str(truths)])
    assert (_figures()["groups"] == 23).all()


def test_photos_that_the_base_was_trained_on_do_not_judge(truths, model_file, here, capsys):
    gray = _colored(truths, here / "gray", _gray)
    files = sorted(path.name for path in truths.iterdir())
    index = pd.DataFrame({"file": [f"truths/{file}" for file in files], "base_knows": "no"})
    index.loc[:2, "base_knows"] = "yes"
    index.to_csv(here / "index.csv", index=False)
    compare([str(model_file), str(gray), "--photos", str(truths)])
    assert f"left out 3 of {len(files)} photos" in capsys.readouterr().out
    assert set(pd.read_csv("reports/compare/photos.csv")["file"]) == set(files[3:])
    index.assign(base_knows="yes").to_csv(here / "index.csv", index=False)
    with pytest.raises(UngrayError, match=f"trained on all {len(files)} photos, so none is left to judge by"):
        compare([str(model_file), str(gray), "--photos", str(truths)])


def test_few_photos_give_no_verdict(truths, model_file, here, capsys):
    gray = _colored(truths, here / "gray", _gray)
    for path in sorted(truths.iterdir())[3:]:
        path.unlink()
    compare([str(model_file), str(gray), "--photos", str(truths)])
    assert "too few photos to tell: 2 different ones, 20 needed" in capsys.readouterr().out


def test_twice_the_same_bytes(truths, model_file, here):
    gray = _colored(truths, here / "gray", _gray)
    for name in ("one", "two"):
        compare([str(model_file), str(gray), "--photos", str(truths), "-o", name])
    for name in ("figures.csv", "photos.csv", "grid.jpg"):
        assert (here / "one" / name).read_bytes() == (here / "two" / name).read_bytes(), name


def test_large_photos_are_judged_at_the_short_side_asked_for(truths):
    path = truths / "flower0.jpg"
    assert load_photo(path, short_side=0).truth.shape == (300, 300, 3)
    assert load_photo(path, short_side=100).truth.shape == (100, 100, 3)
    assert load_photo(path, short_side=1000).truth.shape == (300, 300, 3), "never enlarged"


def test_what_is_wrong_is_said_in_a_sentence(truths, model_file, here):
    gray = _colored(truths, here / "gray", _gray)

    def refusal(*arguments):
        with pytest.raises(UngrayError) as caught:
            compare([str(argument) for argument in arguments])
        assert "\n" not in str(caught.value)
        return str(caught.value)

    assert "nowhere.safetensors not found" in refusal("nowhere.safetensors", gray, "--photos", truths)
    assert "not a folder with photos" in refusal(model_file, gray, "--photos", here / "nowhere")
    assert "--short-side -1 is not allowed" in refusal(
        model_file, gray, "--photos", truths, "--short-side", -1
    )
    assert "less than 11 pixels" in refusal(model_file, gray, "--photos", truths, "--short-side", 8)
    (gray / "flower1.png").unlink()
    assert "has no coloring of flower1.jpg" in refusal(model_file, gray, "--photos", truths)
    photos.write_rgb(gray / "flower1.png", np.zeros((100, 300, 3), np.uint8))
    assert "300x100 pixels are not the whole photo" in refusal(model_file, gray, "--photos", truths)
    (gray / "flower1.png").write_bytes(b"no photo")
    assert "flower1.png: not an image" in refusal(model_file, gray, "--photos", truths)
    photos.write_rgb(truths / "gray.png", _gray(data.chelsea()))
    assert "gray.png has no color to judge by" in refusal(model_file, model_file, "--photos", truths)
    (truths / "gray.jpg").write_bytes((truths / "flower1.jpg").read_bytes())
    assert "share a name" in refusal(model_file, model_file, "--photos", truths)


def test_a_side_cut_to_a_multiple_of_16_is_still_the_same_photo(truths, here):
    cut = _colored(truths, here / "cut", lambda rgb: rgb[: len(rgb) // 16 * 16, : rgb.shape[1] // 16 * 16])
    for path in truths.iterdir():
        photo = load_photo(path, short_side=128)
        assert candidate(cut)(photo).shape == photo.truth.shape

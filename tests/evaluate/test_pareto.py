"""The tool ``python -m stages.evaluate pareto``, as a person runs it."""

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from skimage import data

from stages.evaluate.pareto import pareto
from stages.evaluate.pareto_chart import draw_pareto
from stages.evaluate.pareto_table import pareto_table
from ungray import networks
from ungray.colorizer import Colorizer
from ungray.errors import UngrayError
from ungray.imaging import metrics, photos
from ungray.imaging.upsampling import gray_photo
from ungray.networks import Model

SHIPPED = Path(__file__).parents[2] / "params.yaml"


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    shutil.copy(SHIPPED, tmp_path / "params.yaml")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def truths(here):
    """Six photos of three scenes, in true color."""
    for number, scene in enumerate((data.astronaut(), data.chelsea(), data.coffee())):
        for part in range(2):
            crop = np.ascontiguousarray(scene[100 * part : 100 * part + 120, 100 * part : 100 * part + 150])
            photos.write_rgb(here / "truths" / f"scene {number} part {part}.png", crop)
    return here / "truths"


@pytest.fixture
def models(here, model, base):
    """Two models whose colors are weak, as those of models that learned with L1 are; in a folder each."""
    paths = []
    for name, made, strength in (("l1", model, 0.3), ("classes", base, 0.5)):
        network = networks.build(made.network.configuration)
        weights = made.network.state_dict()
        last = list(weights)[-2:]
        network.load_state_dict(weights | {key: strength * weights[key] for key in last})
        paths.append(here / name / "colorizer.safetensors")
        networks.save_model(paths[-1], Model(network, {}))
    return paths


def _table(folder="reports"):
    return pd.read_csv(Path(folder) / "pareto.csv", keep_default_na=False, na_values=[""])


def _judged(points, files=40):
    """What judging would give: each method's CIEDE2000 and colorfulness, the truth's being 50."""
    rng = np.random.default_rng(0)
    rows = []
    for file, noise in enumerate(rng.normal(0, 0.1, files)):
        for name, (ratio, ciede2000) in points.items():
            rows.append(
                {
                    "file": f"{file}.png", "group": str(file), "method": name, "ciede2000": ciede2000 + noise,
                    "ab_mae": 1.0, "psnr": 20.0, "colorfulness": 50 * ratio, "colorfulness_truth": 50.0,
                }
            )  # fmt: skip
    return pd.DataFrame(rows)


def test_every_model_at_every_saturation_beside_gray(truths, models, capsys):
    pareto([*map(str, models), "--photos", str(truths), "--saturation", "2", "1", "1.5"])
    table = _table()
    points = list(zip(table["model"], table["saturation"], strict=True))
    assert points == [("gray", 0), *((name, factor) for name in ("l1", "classes") for factor in (1, 1.5, 2))]
    assert (table["photos"] == 6).all()
    assert table.loc[0, "colorfulness_ratio"] == pytest.approx(0, abs=1e-3)
    for _, rows in table[1:].groupby("model"):
        assert rows["colorfulness_ratio"].is_monotonic_increasing
        assert (np.diff(rows["colorfulness_ratio"]) > 0).all()
        gray = table.loc[0, "ciede2000"]
        assert rows["ciede2000_minus_gray"].to_numpy() == pytest.approx(rows["ciede2000"] - gray, abs=1e-4)
    said = capsys.readouterr().out
    assert "| model | ab times | colorfulness ratio | CIEDE2000 | minus gray's | minus l1's line |" in said
    assert "| classes" in said
    assert "6 photos in" in said
    picture = photos.read_rgb(Path("reports/pareto.png"))
    assert 850 < picture.shape[1] < 1000, "read at the width that GitHub shows"


def test_a_model_is_judged_on_what_colorize_makes_of_the_gray_photos(truths, models):
    pareto([str(models[0]), "--photos", str(truths), "--saturation", "1", "2"])
    colorizer = Colorizer.load(models[0])
    for row, saturation in ((1, 1.0), (2, 2.0)):
        figures = []
        for path in truths.iterdir():
            truth = photos.read_rgb(path)
            colored = colorizer.colorize(gray_photo(truth), saturation=saturation)
            figures.append(metrics.judge(colored, truth)["ciede2000"])
        assert _table().loc[row, "ciede2000"] == pytest.approx(np.mean(figures), abs=1e-5)


def test_the_test_photos_of_the_workflow_are_the_default(models, prepared, here, index):
    (here / "data").mkdir()
    (here / "data/prepared").symlink_to(prepared)
    pareto([*map(str, models)])
    test = index[(index["split"] == "test") & (index["copy"] == 0)]
    assert (_table()["photos"] == len(test)).all()
    assert (_table()["groups"] == test["group"].nunique()).all()
    assert set(_table()["saturation"]) == {0, 1, 1.3, 1.6, 2}


def test_a_remedy_is_held_against_the_constant_at_the_same_colorfulness(tiny):
    points = {
        "gray": (0, 12),
        "l1 x1": (0.4, 11),
        "l1 x2": (0.8, 13),
        "new x1": (0.6, 11.5),
        "new x2": (1.1, 14),
    }
    params = tiny["evaluate"].model_copy(update={"min_groups": 20})
    table = pareto_table(_judged(points), ["l1", "new"], [1.0, 2.0], params).set_index(
        ["model", "saturation"]
    )
    halfway = table.loc[("new", 1.0)]
    # Halfway between the two points of the line, 11 and 13, lies 12.
    assert halfway["ciede2000_minus_line"] == pytest.approx(-0.5, abs=1e-4)
    assert halfway["against_line"] == "better"
    assert pd.isna(table.loc[("new", 2.0), "ciede2000_minus_line"]), "the line ends before"
    assert table.loc["l1", "ciede2000_minus_line"].isna().all()
    assert not table.loc[("gray", 0.0), "on_front"].item(), "l1 is better in both"
    assert table["on_front"].sum() == 4


def test_many_models_with_any_name_are_drawn_in_the_same_bytes(here):
    names = ["a $formula_{$", "a_very_long_name_of_a_model_that_nobody_reads", *"bcdefgh"]
    rows = [{"model": "gray", "saturation": 0.0, "colorfulness_ratio": 0.0, "ciede2000": 12.0}]
    for number, name in enumerate(names):
        for factor in (1.0, 1.3):
            ratio = 0.4 + 0.01 * number + 0.3 * (factor - 1)
            rows.append(
                {"model": name, "saturation": factor, "colorfulness_ratio": ratio, "ciede2000": 11 + ratio}
            )
    table = pd.DataFrame(rows).assign(on_front=True)
    for file in ("one.png", "two.png"):
        draw_pareto(here / file, table)
    assert (here / "one.png").read_bytes() == (here / "two.png").read_bytes()


def test_twice_the_same_bytes(truths, models, here):
    for name in ("one", "two"):
        pareto([*map(str, models), "--photos", str(truths), "-o", name])
    for name in ("pareto.csv", "pareto.png"):
        assert (here / "one" / name).read_bytes() == (here / "two" / name).read_bytes(), name


def test_the_network_answers_once_a_photo_whatever_the_saturations(truths, models, monkeypatch):
    asked = []
    plain = Colorizer.predict
    monkeypatch.setattr(Colorizer, "predict", lambda *given: asked.append(1) or plain(*given))
    pareto([*map(str, models), "--photos", str(truths)])
    assert len(asked) == 6 * 2


def test_models_are_named_by_their_folder_or_as_asked(truths, models):
    pareto([f"as it was={models[0]}", str(models[1]), "--photos", str(truths), "--saturation", "1"])
    assert _table()["model"].tolist() == ["gray", "as it was", "classes"]


def test_what_is_wrong_is_said_in_a_sentence(truths, models, here):
    def refusal(*arguments):
        with pytest.raises(UngrayError) as caught:
            pareto([str(argument) for argument in arguments])
        assert "\n" not in str(caught.value)
        return str(caught.value)

    assert "the name 'l1' is already used; give it another, as in OTHER=" in refusal(models[0], models[0])
    assert "the name 'gray' is already used" in refusal(f"gray={models[0]}")
    assert "nowhere.safetensors not found" in refusal("nowhere.safetensors", "--photos", truths)
    assert "data/prepared has no test photos" in refusal(models[0])
    assert "--saturation 0 is not allowed" in refusal(models[0], "--photos", truths, "--saturation", "0")
    assert "--saturation nan is not allowed" in refusal(models[0], "--photos", truths, "--saturation", "nan")
    assert "--short-side -1 is not allowed" in refusal(models[0], "--short-side", "-1")
    assert "not a folder with photos" in refusal(models[0], "--photos", here / "nowhere")


def test_help_says_what_it_does(here, command):
    run = command("stages.evaluate", "pareto", "--help", folder=here)
    assert run.returncode == 0
    assert "trivial" in run.stdout
    assert "NAME=path" in run.stdout

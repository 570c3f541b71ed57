"""The tool ``python -m stages.evaluate board``, as a person runs it, on models and colorings that are named.

What DVC knows is tested in tests/pipeline, with real experiments.
"""

import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from skimage import data

from stages.evaluate.board import collection, judging
from stages.evaluate.board.collection import Source, merged
from stages.evaluate.board.command import board
from ungray import networks
from ungray.errors import UngrayError
from ungray.imaging import duplicates, photos
from ungray.imaging.upsampling import gray_photo
from ungray.networks import Model

SHIPPED = Path(__file__).parents[2] / "params.yaml"


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """A folder without DVC, in which four groups of photos are enough for a verdict."""
    text = SHIPPED.read_text().replace("min_groups: 20", "min_groups: 4")
    (tmp_path / "params.yaml").write_text(text)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def truths(here):
    """Eight photos of four scenes."""
    scenes = (data.astronaut(), data.chelsea(), data.coffee(), data.rocket())
    for number, scene in enumerate(scenes):
        for part in range(2):
            crop = np.ascontiguousarray(scene[100 * part : 100 * part + 120, 100 * part : 100 * part + 150])
            photos.write_rgb(here / "truths" / f"scene {number} part {part}.png", crop)
    return here / "truths"


@pytest.fixture
def file(here, model):
    networks.save_model(here / "model.safetensors", Model(model.network, {"train": {"lr": 0.5}, "data": "d"}))
    return here / "model.safetensors"


@pytest.fixture
def almost(truths, here):
    """Colorings by a program that is nearly right."""
    for path in truths.iterdir():
        truth = photos.read_rgb(path)
        mixed = (0.9 * truth + 0.1 * gray_photo(truth)).astype(np.uint8)
        photos.write_rgb(here / "almost" / path.name, mixed)
    return here / "almost"


def _table():
    return pd.read_csv("reports/board/board.csv", keep_default_na=False, na_values=[""]).set_index("model")


def _run(*arguments):
    board([*map(str, arguments), "--photos", "truths"])
    return _table()


def test_models_and_colorings_of_others_are_judged_on_the_same_photos(truths, file, almost, capsys):
    table = _run(f"mine={file}", f"theirs={almost}")
    assert list(table.index) == ["theirs", "mine"], "the best first"
    assert list(table["against_best"]) == ["best", "worse"]
    assert table["against_gray"]["theirs"] == "better"
    mine = table.loc["mine"]
    assert mine["ciede2000_minus_best"] == pytest.approx(mine["ciede2000"] - table["ciede2000"]["theirs"])
    assert mine["ciede2000_minus_best_low"] < mine["ciede2000_minus_best"] < mine["ciede2000_minus_best_high"]
    assert mine["bytes"] == file.stat().st_size
    assert mine["milliseconds"] > 0
    assert mine["parameters"] > 1000
    assert table[["bytes", "milliseconds", "parameters", "knows"]].loc["theirs"].isna().all()
    rows = pd.read_csv("reports/board/photos.csv")
    assert set(rows["method"]) == {"gray", "mine", "theirs"}
    assert len(rows) == 3 * 8
    said = capsys.readouterr().out
    assert re.search(r"theirs has the lowest error of 2 models on 8 photos in [4-8] groups: CIEDE2000", said)
    assert "it is measurably better than every other one" in said


def test_the_page_shows_the_same_six_photos_for_all_and_needs_no_network(truths, file, almost):
    _run(f"mine={file}", f"theirs={almost}")
    page = Path("reports/board/board.html").read_text()
    assert page.count('<img src="data:image/jpeg;base64,') == 6 * len(("truth", "gray", "mine", "theirs"))
    assert "train.lr" not in page, "one model alone says how it was trained, so nothing differs"
    assert not re.search(r"(src|href)=\"(?!data:)", page)
    assert "https:" not in page


def test_what_was_judged_once_is_not_judged_again(truths, file, almost, monkeypatch):
    before = _run(f"mine={file}", f"theirs={almost}")
    judged = []
    original = judging.metrics.judge
    monkeypatch.setattr(
        judging.metrics, "judge", lambda *some, **more: judged.append(some) or original(*some, **more)
    )
    pd.testing.assert_frame_equal(_run(f"mine={file}", f"theirs={almost}"), before)
    assert not judged
    photos.write_rgb(almost / "scene 0 part 0.png", photos.read_rgb(truths / "scene 0 part 0.png"))
    _run(f"mine={file}", f"theirs={almost}")
    assert len(judged) == 8, "the folder whose content changed, and no other"
    (truths / "scene 0 part 1.png").unlink()
    _run(f"mine={file}", f"theirs={almost}")
    assert len(judged) == 8 + 3 * 7, "other photos: all is judged anew"


def test_a_model_that_cannot_be_judged_is_a_row_with_the_reason(truths, file, almost, here, capsys):
    (here / "damaged.safetensors").write_bytes(file.read_bytes()[:999])
    (almost / "scene 1 part 0.png").unlink()
    table = _run(f"mine={file}", f"theirs={almost}", f"broken={here / 'damaged.safetensors'}")
    assert list(table.index) == ["mine", "theirs", "broken"]
    assert "has no coloring of scene 1 part 0.png" in table["note"]["theirs"]
    assert "damaged" in table["note"]["broken"]
    assert table["ciede2000"].isna().tolist() == [False, True, True]
    assert "broken: " in capsys.readouterr().out
    assert "has no coloring of scene 1" in Path("reports/board/board.html").read_text()


def test_photos_that_the_base_knows_are_left_out(truths, file, here, capsys):
    (here / "data/base").mkdir(parents=True)
    shutil.copy(file, here / "data/base/colorizer.safetensors")
    hashes = [int(duplicates.phash(photos.read_rgb(path)), 16) for path in sorted(truths.iterdir())]
    np.save(here / "data/base/train_hashes.npy", np.array(hashes[:2], np.uint64))
    table = _run()
    assert list(table.index) == ["base model"]
    assert table["knows"]["base model"] == 0
    assert len(pd.read_csv("reports/board/photos.csv")) == 2 * 6
    assert "left out 2 of 8 photos: the base model was trained on them" in capsys.readouterr().out
    np.save(here / "data/base/train_hashes.npy", np.array(hashes, np.uint64))
    with pytest.raises(UngrayError, match="was trained on all 8 photos"):
        _run()


def test_a_model_that_knows_the_photos_is_marked_and_not_the_best(truths, file, almost, monkeypatch):
    known = [int(duplicates.phash(photos.read_rgb(path)), 16) for path in truths.glob("scene 2*")]
    original = collection.of_file

    def knowing(path, name):
        source = original(path, name)
        if name == "theirs":
            return Source(source.names, source.checksum, source.fetch, train_hashes=lambda: np.array(known))
        return source

    monkeypatch.setattr(collection, "of_file", knowing)
    table = _run(f"mine={file}", f"theirs={almost}")
    assert table["knows"]["theirs"] == 2
    assert table["note"]["theirs"] == "was trained on 2 of these photos"
    assert list(table["against_best"]) == ["best", "better"]
    assert table.index[0] == "mine", "the other one is better because it has seen them"


def test_parameters_that_differ_are_columns_and_rows_of_the_page(truths, file, here, base):
    other = Model(base.network, {"train": {"lr": 0.25, "seed": 1}})
    networks.save_model(here / "other.safetensors", other)
    table = _run(f"mine={file}", f"other={here / 'other.safetensors'}")
    assert table["train.lr"].to_dict() == {"mine": 0.5, "other": 0.25}
    assert table["train.seed"]["other"] == 1
    page = Path("reports/board/board.html").read_text()
    assert re.search(r">train\.lr</th><td class=\"text\">0\.\d+</td><td class=\"text\">0\.\d+</td>", page)


def test_the_winner_of_a_search_is_on_the_board_and_its_charts_are_linked(truths, file, here):
    winner = here / ".cache/tune/1a2b3c4d/winner/trial-0003.safetensors"
    winner.parent.mkdir(parents=True)
    shutil.copy(file, winner)
    (here / "reports/tune").mkdir(parents=True)
    (here / "reports/tune/slices.png").write_bytes(b"png")
    assert list(_run().index) == ["search 1a2b, trial 3"]
    assert '<a href="../tune/slices.png">' in Path("reports/board/board.html").read_text()


def test_the_same_file_is_one_model_and_names_are_unique():
    def source(name, checksum):
        return Source((name,), checksum, lambda folder: folder)

    found = merged(
        [source("workspace", "a"), source("main", "b"), source("faster", "a"), source("lr", "c"),
         source("lr", "d"), source("gone", ""), source("gone too", "")]
    )  # fmt: skip
    assert [one.name for one in found] == ["workspace = faster", "main", "lr", "lr (2)", "gone", "gone too"]


def test_names_of_others_are_text(truths, file):
    _run(f"<b>'&amp;={file}")
    page = Path("reports/board/board.html").read_text()
    assert "<b>" not in page
    assert "&lt;b&gt;&#39;&amp;amp;" in page


def test_without_a_model_or_with_one_that_is_not_there_it_says_so(truths):
    with pytest.raises(UngrayError, match="there is no model yet; `dvc repro` trains one"):
        _run()
    with pytest.raises(UngrayError, match=r"mine=gone\.safetensors: there is no such file or folder"):
        _run("mine=gone.safetensors")

import re

import numpy as np
import pandas as pd
import pytest
from skimage import data

from stages.evaluate.charts import BLUE, MOST_BARS, ORANGE, draw_charts
from stages.evaluate.pictures import difference_map, draw_grids, label, scale_strip
from stages.evaluate.run import run
from ungray.imaging import photos
from ungray.imaging.color import rgb_to_lab
from ungray.imaging.upsampling import gray_photo

GITHUB = 830
"""Pixels, about, that GitHub gives a picture in a README."""


def _rgb(colorize):
    return tuple(int(colorize[place : place + 2], 16) for place in (1, 3, 5))


def _share(picture, colorize):
    return (np.abs(picture.astype(int) - colorize).max(axis=-1) < 3).mean()


@pytest.fixture(scope="module")
def grids(found, prepared, tmp_path_factory):
    folder = tmp_path_factory.mktemp("grids")
    draw_grids(found.photos, found.methods, prepared, folder, rows=2)
    return folder


def test_the_same_best_median_and_worst_photos_are_drawn_one_column_a_rival(grids):
    pictures = {path.name: photos.read_rgb(path) for path in grids.iterdir()}
    assert pictures.keys() == {"test.jpg", "best.jpg", "median.jpg", "worst.jpg"}
    assert (pictures["best.jpg"] != pictures["worst.jpg"]).any()
    for picture in pictures.values():
        assert picture.shape[1] == 5 * 198 + 6, "gray, model, base, truth, difference"
        assert GITHUB < picture.shape[1] < 1.25 * GITHUB, "text of 14 pixels stays readable"


def test_grids_are_the_same_bytes_every_time(grids, found, prepared, tmp_path):
    draw_grids(found.photos, found.methods, prepared, tmp_path, rows=2)
    for path in grids.iterdir():
        assert (tmp_path / path.name).read_bytes() == path.read_bytes()


def test_one_test_photo_is_enough_for_all_grids(tiny, prepared, index, model, pixels, tmp_path):
    first = index.query("split == 'test'")["file"].iloc[0]
    one = index[(index["split"] != "test") | (index["file"] == first)]
    found = run(tiny["evaluate"], model, None, index=one, pixels=pixels, prepared=prepared)
    draw_grids(found.photos, found.methods, prepared, tmp_path, rows=6)
    assert len(list(tmp_path.iterdir())) == 4
    assert photos.read_rgb(tmp_path / "median.jpg").shape[0] < 300


def test_the_map_is_dark_where_colors_are_equal_and_its_scale_shows_both_ends():
    truth = data.chelsea()[:120, :120]
    photo = truth.copy()
    photo[60:] = (255, 0, 255)
    shown = difference_map(photo, truth).astype(int)
    lightness = rgb_to_lab(shown.astype(np.uint8))[..., 0]
    assert np.ptp(lightness[:60]) == 0
    assert lightness[60:].min() > lightness[:60].max() + 20, "by lightness too, not by hue alone"
    strip = rgb_to_lab(scale_strip())[..., 0]
    middle = strip[7, 12:72]
    assert (np.diff(middle) > -0.5).all()
    assert middle[0] == pytest.approx(lightness[0, 0], abs=1)


def test_a_gray_photo_is_as_far_as_the_figures_say():
    truth = data.coffee()[:100, :100]
    gray = gray_photo(truth)
    assert (difference_map(gray, truth) != difference_map(truth, truth)).any()


@pytest.mark.parametrize("query", ["short", "a " * 100, "x" * 100, "two\nlines\tand more"])
def test_a_label_is_one_line_of_bounded_length(query):
    assert len(label(query, 30)) <= 30
    assert "\n" not in label(query, 30)
    assert label(query, 30)[:3] == query[:3]


def _queries(count, names=None):
    values = np.linspace(-5, 3, count)
    return pd.DataFrame(
        {
            "query": names or [f"query {number}" for number in range(count)],
            "photos": 3,
            "against_gray": "better",
            "ciede2000_minus_gray": values,
            "ciede2000_minus_gray_low": [None, *list(values[1:] - 1)],
            "ciede2000_minus_gray_high": [None, *list(values[1:] + 1)],
        }
    )


CURVES = {
    name: pd.DataFrame({"step": [1, 2], name: [0.5, 0.4]}) for name in ("train", "val", "gray")
}  # fmt: skip


def _draw(folder, found, queries):
    draw_charts(folder, queries=queries, histograms=found.histograms, curves=CURVES)
    return {path.stem: photos.read_rgb(path) for path in folder.iterdir()}


def test_better_queries_are_blue_worse_ones_orange(found, tmp_path):
    picture = _draw(tmp_path, found, _queries(9))["queries"]
    assert _share(picture, _rgb(BLUE)) > _share(picture, _rgb(ORANGE)) > 0.005


def test_bars_of_too_few_photos_are_pale(found, tmp_path):
    picture = _draw(tmp_path, found, _queries(9).assign(against_gray="too few photos to tell"))["queries"]
    assert _share(picture, _rgb(BLUE)) == 0
    assert _share(picture, [255 - 0.45 * (255 - level) for level in _rgb(BLUE)]) > 0.01


@pytest.mark.parametrize("count", [1, 2, 41])
def test_bars_are_readable_at_githubs_width_for_one_query_and_for_41(found, tmp_path, count):
    picture = _draw(tmp_path, found, _queries(count))["queries"]
    assert picture.shape[1] == 880
    assert picture.shape[0] >= 25 * count, "each label has its line"


def test_of_very_many_queries_the_best_and_the_worst_are_drawn(found, tmp_path):
    picture = _draw(tmp_path, found, _queries(5000))["queries"]
    assert picture.shape[0] < 40 * MOST_BARS


def test_queries_that_look_like_formulas_or_never_end_are_drawn_as_they_are(found, tmp_path):
    names = [r"$\foo{$ a$^$", "w" * 300, "<b>&amp;</b>", "two\nlines"]
    picture = _draw(tmp_path, found, _queries(4, names))["queries"]
    assert _share(picture, _rgb(BLUE)) > 0.005, "labels leave room for bars"


def test_charts_are_the_same_bytes_every_time_and_name_no_version(found, tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        _draw(tmp_path / name, found, _queries(5))
    written = {path.name: path.read_bytes() for path in (tmp_path / "one").iterdir()}
    assert written.keys() == {"queries.png", "ab_histograms.png", "curves.png"}
    for name, content in written.items():
        assert (tmp_path / "two" / name).read_bytes() == content
        assert not re.search(rb"matplotlib|Creation|tIME", content, re.IGNORECASE)


def test_one_epoch_is_seen_as_points(found, tmp_path):
    curves = {name: table.head(1) for name, table in CURVES.items()}
    draw_charts(tmp_path, queries=_queries(2), histograms=found.histograms, curves=curves)
    assert _share(photos.read_rgb(tmp_path / "curves.png"), _rgb(BLUE)) > 0

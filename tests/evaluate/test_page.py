import re
from html.parser import HTMLParser

import pandas as pd
import pytest

from stages.evaluate.charts import draw_charts
from stages.evaluate.page import page
from stages.evaluate.pictures import draw_grids
from stages.evaluate.run import run
from ungray.imaging.grids import write_jpeg
from ungray.imaging.photos import read_rgb
from ungray.networks import Model

HOSTILE = """<img src=x onerror="document.title='injected'">'&amp;{{ 7 * 7 }}"""
PROVENANCE = {
    "train": {"lr": 0.001, "unet": {"channels": [4, 6]}},
    "photos": {"train": 50, "val": 18, "test": 14},
    "groups": {"train": 6, "val": 2, "test": 2},
    "steps": 100, "precision": "bf16", "torch": "2.15.0",
}  # fmt: skip
CURVES = {name: pd.DataFrame({"step": [1, 2], name: [0.5, 0.4]}) for name in ("train", "val", "gray")}


@pytest.fixture(scope="module")
def hostile(tiny, prepared, index, model, base, pixels):
    """What is found where a folder has the name of an attack."""
    queries = index["query"].where(index["split"] != "test", HOSTILE)
    return run(
        tiny["evaluate"], model, base, index=index.assign(query=queries), pixels=pixels, prepared=prepared
    )


@pytest.fixture(scope="module")
def reports(hostile, prepared, tmp_path_factory):
    folder = tmp_path_factory.mktemp("reports")
    for name in ("grids", "charts", "train"):
        (folder / name).mkdir()
    draw_grids(hostile.photos, hostile.methods, prepared, folder / "grids", rows=2)
    draw_charts(
        folder / "charts", queries=hostile.kinds["query"], histograms=hostile.histograms, curves=CURVES
    )
    write_jpeg(folder / "learning.jpg", read_rgb(folder / "grids/best.jpg"))
    return folder


def _page(found, model, tiny, reports, prepared, origins=None, names=None, base=None):
    if origins is None:
        origins = pd.DataFrame(
            [{"source": "bing", "query": HOSTILE, "fetched": 2, "train": 1, "val": 0, "test": 1,
              "license": "CC0"}]
        )  # fmt: skip
    return page(
        found,
        model,
        tiny["evaluate"],
        origins,
        prepared=prepared,
        reports=reports,
        learning=reports / "learning.jpg",
        names=names or {},
        base=base,
    )


@pytest.fixture(scope="module")
def html(hostile, model, tiny, reports, prepared):
    return _page(hostile, Model(model.network, PROVENANCE), tiny, reports, prepared)


class Text(HTMLParser):
    """Collects the text and the tags of a page."""

    def __init__(self, html):
        super().__init__()
        self.words, self.tags = [], []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.words.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())


def test_it_says_the_verdicts_what_was_trained_on_what_where_photos_came_from_and_with_what(html, hostile):
    text = Text(html).text
    for sentence in hostile.said:
        assert sentence[1:] in text
    assert "trained on 50 photos in 6 groups, watched on 18, judged on 14" in text
    for said in (
        "train.lr 0.001",
        "train.unet.channels 4, 6",
        "steps 100",
        "trained in bf16",
        "evaluate.min_groups 20",
        "judged with torch",
    ):
        assert said in text
    for title in (
        "model minus gray photo",
        "model minus base model",
        "mean color",
        "CIEDE2000 (lower is better)",
    ):
        assert title in text
    assert "L1 of the network's own output" in text
    assert "third by chroma of the truth" in text
    assert "third by size of the original" in text


def test_it_has_sliders_grids_charts_and_the_learning_grid_inside_and_asks_for_nothing_outside(html):
    images = [attrs["src"] for tag, attrs in Text(html).tags if tag == "img"]
    assert len(images) == 2 * 4 + 4 + 3 + 1
    assert all(source.startswith("data:image/") for source in images)
    assert not re.search(r"""(src|href)=["']?(https?:|//|file:)|url\(|@import|fetch\(""", html)
    assert not [tag for tag, _ in Text(html).tags if tag in ("link", "iframe", "object", "base")]


def test_hostile_query_names_stay_text(html):
    parsed = Text(html)
    assert HOSTILE.split("{{")[0] in " ".join(parsed.words)
    assert "{{ 7 * 7 }}" in parsed.text
    assert not [attrs for _, attrs in parsed.tags if "onerror" in attrs]


def test_every_picture_says_what_it_shows_and_every_slider_what_it_does(html):
    tags = Text(html).tags
    assert all(attrs.get("alt") for tag, attrs in tags if tag == "img")
    assert all(attrs.get("aria-label") for tag, attrs in tags if tag == "input")


def test_the_same_page_every_time_without_time_commit_or_path(html, hostile, model, tiny, reports, prepared):
    again = _page(hostile, Model(model.network, PROVENANCE), tiny, reports, prepared)
    assert again == html
    assert str(prepared) not in html
    assert str(reports) not in html
    assert not re.search(r"20\d\d-\d\d-\d\d|\d\d:\d\d:\d\d", Text(html).text)


def test_a_training_that_kept_nothing_is_not_told_as_one_that_did(hostile, model, tiny, reports, prepared):
    unchanged = {"epoch": 0, "epochs": 2, "watch": "ciede2000", "before": 9.7, "best": 9.9}
    told = PROVENANCE | {"start": {"new": []}, "unchanged": unchanged}
    text = Text(_page(hostile, Model(model.network, told), tiny, reports, prepared)).text
    assert "after a training that kept nothing on 50 photos in 6 groups" in text
    assert ", trained on 50 photos" not in text


def test_a_model_that_tells_nothing_of_itself_and_empty_origins_still_have_a_page(
    hostile, model, tiny, reports, prepared
):
    html = _page(hostile, model, tiny, reports, prepared, origins=pd.DataFrame())
    assert "the model does not say what it was trained on" in Text(html).text


def test_photos_go_by_their_names_and_only_those_without_by_their_files(
    hostile, model, tiny, reports, prepared
):
    worst = hostile.kinds["query"]["worst_photo"].iloc[0].split("/")[1].split(".")[0]
    text = Text(_page(hostile, model, tiny, reports, prepared, names={worst: "IMG 4711.jpg"})).text
    assert "IMG 4711.jpg test/" in text
    best = hostile.kinds["query"]["best_photo"].iloc[0]
    assert f"{best.split('/')[1]} {best}" in text


def test_what_differs_from_the_base_models_training_stands_first(hostile, model, tiny, reports, prepared):
    ours = Model(model.network, PROVENANCE)
    base = Model(model.network, PROVENANCE | {"train": {"lr": 0.01, "unet": {"channels": [4, 6]}}})
    text = Text(_page(hostile, ours, tiny, reports, prepared, base=base)).text
    differing, same = text.split("Where it is the same")
    assert "train.lr 0.001 0.01" in differing
    assert "train.unet.channels 4, 6 4, 6" in same
    alike = Text(_page(hostile, ours, tiny, reports, prepared, base=ours)).text
    assert "Trained with the very parameters of the base model." in alike
    assert not re.search(r"[{}\[\]]", alike.split("Parameters and versions")[1].split("for (const slider")[0])

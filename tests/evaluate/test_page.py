import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest
from ruamel.yaml import YAML

from stages.evaluate.charts import draw_charts
from stages.evaluate.page import DEFAULTS, page
from stages.evaluate.pictures import draw_grids
from stages.evaluate.run import run
from stages.evaluate.unlikeness import Encoder
from ungray.imaging.grids import write_jpeg
from ungray.imaging.photos import read_rgb
from ungray.networks import Model

ROOT = Path(__file__).parents[2]
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


def _page(found, model, tiny, reports, prepared, origins=None, names=None, queries=None, base=None):
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
        queries=dict(zip(found.photos["file"], found.photos["query"], strict=True)) | (queries or {}),
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
    assert f"IMG 4711.jpg {HOSTILE.split('{{')[0]}" in text, "a name and its query"
    assert worst not in text
    best = hostile.kinds["query"]["best_photo"].iloc[0].split("/")[1]
    assert f"{best} {HOSTILE.split('{{')[0]}" in text


def test_what_differs_from_the_default_training_stands_first(hostile, model, tiny, reports, prepared):
    shipped = YAML(typ="safe").load(DEFAULTS)["train"]
    ours = Model(model.network, PROVENANCE | {"train": shipped | {"lr": 0.5, "hints": {"points": 64.0}}})
    base = Model(model.network, {"train": shipped | {"lr": 0.01}})
    text = Text(_page(hostile, ours, tiny, reports, prepared, base=base)).text
    differing, same = text.split("Parameters and versions")[1].split("All other parameters", 1)
    assert f"train.lr 0.5 {shipped['lr']} 0.01" in differing
    assert differing.count("train.") == 1
    assert "train.hints.points 64.0 64 64" in same
    assert "train.unet.channels 48, 96, 192, 384 48, 96, 192, 384 48, 96, 192, 384" in same
    assert "steps 100" in same
    usual = Model(model.network, {"train": shipped})
    alike = Text(_page(hostile, usual, tiny, reports, prepared)).text
    assert "Trained with the default parameters." in alike
    assert not re.search(r"[{}\[\]]", alike.split("Parameters and versions")[1].split("for (const slider")[0])


def test_the_defaults_that_the_report_knows_are_those_of_params_yaml():
    shipped, known = (YAML(typ="safe").load(path)["train"] for path in (ROOT / "params.yaml", DEFAULTS))
    assert known == shipped


def test_the_worst_photos_have_their_likely_reason_and_how_it_was_measured(
    hostile, model, tiny, reports, prepared
):
    text = Text(_page(hostile, model, tiny, reports, prepared)).text
    assert "only a lite_unet has an encoder for that" in text
    reasons = [
        replace(reason, unlikeness=0.5, unlikeness_rank=0.9, nearest="train/near.jpg", same_query=1)
        for reason in hostile.worst
    ]
    found = replace(hostile, worst=reasons, encoder=Encoder("base", 5000, 2000), correlation=0.25)
    options = {"queries": {"train/near.jpg": "roses"}, "names": {"near": "rose 7.jpg"}}
    text = Text(_page(found, model, tiny, reports, prepared, **options)).text
    assert "1 train photo of its query; unlike the train photos" in text
    assert "0.50 90 % rose 7.jpg roses" in text
    assert "what the base model's encoder sees" in text
    assert "of which 2000 of 5000 are compared" in text
    assert "is +0.25 (Spearman)" in text


def test_there_is_one_headline_and_each_term_is_explained_once_where_it_comes_first(html):
    parsed = Text(html)
    assert [tag for tag, _ in parsed.tags].count("h1") == 1
    terms = re.findall(r"<dfn>(.*?)</dfn>", html)
    assert len(terms) == len(set(terms)) >= 10
    assert {"CIEDE2000", "gray photo", "base model", "group", "val", "Chroma", "epoch"} <= set(terms)
    before = html[html.index("</h1>") : html.index("<h2>Before and after")]
    assert {"CIEDE2000", "gray photo", "base model", "group"} <= set(re.findall(r"<dfn>(.*?)</dfn>", before))

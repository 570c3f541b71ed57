import pandas as pd
import pytest

from stages.evaluate.origins import origins_table
from stages.evaluate.report import digest
from stages.evaluate.report import test_set as quality_of
from stages.evaluate.summaries import figures_table, kinds_table, terciles_table, with_terciles
from ungray.imaging.metrics import of_photos
from ungray.quality import verdicts

FIGURES = [metric.name for metric in of_photos()]

HOSTILE = """<img src=x onerror="document.title='injected'">'&amp;"""


def _judged(rows):
    """A row a photo and method of (file, query, group, truth's chroma, figures by method)."""
    table = []
    for file, query, group, chroma, figures in rows:
        about = {"file": file, "query": query, "group": group}
        for method, value in figures.items():
            judged = dict.fromkeys(FIGURES, value) | {"colorfulness_truth": 20.0, "chroma_truth": chroma}
            judged.pop("colorfulness_ratio")
            table.append(about | {"method": method} | judged)
    return pd.DataFrame(table)


@pytest.fixture
def params(tiny):
    return tiny["evaluate"].model_copy(update={"min_groups": 3})


@pytest.fixture
def judged():
    """Thirty photos in fifteen groups; the model is 4 better than gray among cats, 1 worse among dogs."""
    rows = []
    for number in range(30):
        query, ours = ("cats", 6.0) if number % 2 else ("dogs", 11.0)
        wobble = number // 2 / 10
        figures = {"model": ours + wobble, "base": 8.0 + wobble, "gray": 10.0 + wobble, "mean_ab": 12.0}
        rows.append((f"test/{number:02}.jpg", query, f"g{number // 2}", float(number), figures))
    return with_terciles(_judged(rows), pd.Series(1e6, [row[0] for row in rows]))


def test_every_figure_of_every_rival_has_its_interval_and_its_difference_to_gray_and_base(judged, params):
    table = figures_table(judged, params).set_index(["figure", "method"])
    assert len(table) == len(FIGURES) * 4
    row = table.loc[("ciede2000", "model")]
    assert row["mean"] == pytest.approx(8.5 + 0.7)
    assert row["mean_low"] < row["mean"] < row["mean_high"]
    assert row["minus_gray"] == pytest.approx(-1.5)
    assert row["minus_base"] == pytest.approx(0.5)
    assert (row["against_gray"], row["against_base"]) == ("better", "worse")
    assert table.loc[("psnr", "model"), "against_gray"] == "worse", "of PSNR more is better"
    assert table.loc[("colorfulness", "model"), "against_gray"] == "", "more color is not better"
    assert table.loc[("colorfulness_ratio", "model"), "mean"] == pytest.approx(9.2 / 20)
    assert table.loc[("ciede2000", "mean_ab"), "minus_gray"] == pytest.approx(12 - 10.7)
    assert pd.isna(table.loc[("ciede2000", "gray"), "minus_gray"]), "gray beside itself is empty"


def test_queries_are_told_apart_with_their_best_and_worst_photo(judged, params):
    table = kinds_table(judged, "query", params).set_index("query")
    assert table["ciede2000_minus_gray"].to_dict() == pytest.approx({"cats": -4, "dogs": 1})
    assert table["against_gray"].to_dict() == {"cats": "better", "dogs": "worse"}
    assert table["ciede2000_minus_base"].to_dict() == pytest.approx({"cats": -2, "dogs": 3})
    assert table["photos"].to_dict() == table["groups"].to_dict() == {"cats": 15, "dogs": 15}
    assert table.loc["cats", ["best_photo", "worst_photo"]].tolist() == ["test/01.jpg", "test/29.jpg"]
    assert table.loc["dogs", "ciede2000_model"] == pytest.approx(11.7)


def test_a_query_with_one_photo_has_no_interval_and_no_verdict(params):
    judged = with_terciles(
        _judged([("a.jpg", "cats", "g", 5.0, {"model": 1.0, "gray": 9.0})]), pd.Series({"a.jpg": 100.0})
    )
    row = kinds_table(judged, "query", params).iloc[0]
    assert row["ciede2000_minus_gray"] == -8
    assert pd.isna(row["ciede2000_minus_gray_low"])
    assert pd.isna(row["ciede2000_minus_gray_high"])
    assert row["against_gray"] == "too few photos to tell"
    assert row["best_photo"] == row["worst_photo"] == "a.jpg"


def test_terciles_hold_a_third_each_and_say_their_range(judged, params):
    table = kinds_table(judged, "chroma_tercile", params)
    assert table["chroma_tercile"].tolist() == ["low (0 to 9)", "middle (10 to 19)", "high (20 to 29)"]
    assert table["photos"].tolist() == [10, 10, 10]


def test_photos_of_one_size_are_not_told_apart_by_size(judged, params):
    assert kinds_table(judged, "size_tercile", params)["size_tercile"].tolist() == ["all (1 MP)"]


def test_equal_values_share_a_tercile_however_many_there_are(params):
    rows = [(f"{n}.jpg", "q", f"g{n}", float(n), {"model": 1.0, "gray": 2.0}) for n in range(9)]
    pixels = pd.Series({f"{n}.jpg": 1e6 if n < 7 else 4e6 for n in range(9)})
    table = kinds_table(with_terciles(_judged(rows), pixels), "size_tercile", params)
    assert table["size_tercile"].tolist() == ["low (1 MP)", "high (4 MP)"]
    assert table["photos"].tolist() == [7, 2]


def test_both_tercile_tables_are_one_file(judged, params):
    kinds = {k: kinds_table(judged, k, params) for k in ("query", "chroma_tercile", "size_tercile")}
    table = terciles_table(kinds)
    assert table["kind"].tolist() == ["chroma"] * 3 + ["size"]
    assert table["tercile"].notna().all()


def test_rows_in_another_order_give_the_same_tables(judged, params):
    shuffled = judged.sample(frac=1, random_state=3)
    pd.testing.assert_frame_equal(
        kinds_table(shuffled, "query", params), kinds_table(judged, "query", params)
    )


def test_metrics_hold_verdicts_counts_and_the_headline_figures_beside_grays(judged, params):
    found = digest(_test_set(judged, params), {})
    assert (found["verdict"], found["verdict_beside_base"]) == ("better", "worse")
    assert (found["photos"], found["groups"]) == (30, 15)
    assert found["model"]["ciede2000"] == pytest.approx(9.2)
    assert found["gray"]["ciede2000"] == pytest.approx(10.7)
    assert len(found) + len(found["model"]) + len(found["gray"]) <= 16, "to compare at a glance"


def _test_set(judged, params):
    return quality_of(judged, figures_table(judged, params), params, known_to_base=None)


def test_verdicts_are_sentences_beside_gray_and_beside_the_base(judged, params):
    gray, base = verdicts(_test_set(judged, params))
    assert gray.startswith("better than the gray photo: CIEDE2000 9.20 vs. the gray photo's 10.70, 95 %")
    assert base.startswith("worse than the base model: ")
    assert gray.endswith("15 groups")


def test_too_few_groups_give_no_verdict_and_the_sentence_says_how_many_are_wanted(judged, params):
    demanding = params.model_copy(update={"min_groups": 16})
    test = _test_set(judged, demanding)
    assert digest(test, {})["verdict"] == "too few photos to tell"
    assert "15 groups in test, 16 needed" in verdicts(test)[0]


def test_origins_count_photos_not_copies_and_name_licenses_as_stated():
    manifest = pd.DataFrame(
        [("kept", "bing", HOSTILE, "CC0"), ("kept", "bing", HOSTILE, ""), ("refused", "bing", "b", "CC0")],
        columns=["status", "source", "query", "license"],
    )
    index = pd.DataFrame(
        [(HOSTILE, "train", 0), (HOSTILE, "train", 1), (HOSTILE, "test", 0)],
        columns=["query", "split", "copy"],
    )
    (row,) = origins_table(manifest, index).to_dict("records")
    assert row == {
        "source": "bing", "query": HOSTILE, "fetched": 2, "train": 1, "val": 0, "test": 1, "license": "CC0",
    }  # fmt: skip
    assert origins_table(manifest[:0], index).empty

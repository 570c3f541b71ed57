import io
import itertools
import tempfile
from pathlib import Path, PurePosixPath, PureWindowsPath

import pandas as pd
import pytest
from PIL import Image
from ruamel.yaml import YAML

from stages.params import load_all
from stages.scrape import manifest
from stages.scrape.manifest import Attempt, folder_name
from stages.storage.tables import read_table, write_table
from tests.properties import given, st
from ungray.errors import UngrayError

QUERIES = [
    *(
        "..",
        ".",
        "...",
        "a/b",
        "a:b",
        "a_b",
        "a\\b",
        "../../etc",
        "/etc/passwd",
        "C:\\Windows",
        "~",
        "a b",
        " a b",
    ),
    *(
        "a b ",
        "_",
        " ",
        "-",
        "a\nb",
        "a\0b",
        "日本",
        "été",
        "e\u0301te\u0301",
        "x" * 300,
        "x" * 301,
        "日" * 300,
        "*",
        "?",
    ),
]


def attempt(**about):
    return Attempt(**{"source": "bing", "query": "cats", "rank": 1, "status": "refused", **about})


def jpeg(color):
    written = io.BytesIO()
    Image.new("RGB", (8, 8), color).save(written, "JPEG")
    return written.getvalue()


@pytest.mark.parametrize("query", QUERIES)
def test_a_query_gives_a_folder_name_that_stays_in_its_folder(query):
    name = folder_name(query)
    assert name not in ("", ".", "..")
    assert PurePosixPath(name).parts == PureWindowsPath(name).parts == (name,)
    assert not PureWindowsPath(name).drive
    assert name == name.strip()
    assert len(name.encode()) <= 255


def test_different_queries_give_different_folder_names():
    for one, other in itertools.combinations(QUERIES, 2):
        assert folder_name(one) != folder_name(other), (one, other)


def test_a_plain_query_is_its_own_folder_name():
    assert folder_name("peoples faces") == "peoples faces"


def test_an_empty_query_gives_a_folder_name_too():
    assert folder_name("")


def test_queries_that_differ_only_in_case_have_folders_of_their_own_on_mac_and_windows():
    assert folder_name("Moon").casefold() != folder_name("moon").casefold()


@pytest.mark.parametrize("query", ["con", "nul", "aux", "prn", "com1", "LPT9"])
def test_a_name_that_windows_keeps_for_a_device_is_not_a_folder_name(query):
    assert folder_name(query).casefold() != query.casefold()


@pytest.mark.parametrize("queries", [[], [""], ["  "], ["cats", "cats"], "cats", [1], ["a\rb"], ["\ud800"]])
def test_blank_or_repeated_or_no_queries_are_refused_by_name(tmp_path, queries):
    yaml = YAML(typ="safe")
    content = yaml.load(Path(__file__).parents[2] / "params.yaml")
    content["scrape"]["queries"] = queries
    yaml.dump(content, tmp_path / "params.yaml")
    with pytest.raises(UngrayError, match=r"scrape\.queries"):
        load_all(tmp_path / "params.yaml")


def test_the_manifest_is_sorted_by_query_rank_and_url_in_whatever_order_attempts_came(tmp_path):
    attempts = [
        attempt(query=query, rank=rank, url=url)
        for query in ("dogs", "cats")
        for rank in (10, 9, 2)
        for url in ("http://b", "http://a")
    ]
    manifest.write(attempts, tmp_path / "one.csv")
    manifest.write(reversed(attempts), tmp_path / "other.csv")
    assert (tmp_path / "one.csv").read_bytes() == (tmp_path / "other.csv").read_bytes()
    table = read_table(tmp_path / "one.csv", made_by="scrape")
    rows = list(table[["query", "rank", "url"]].itertuples(index=False, name=None))
    assert rows == sorted((a.query, a.rank, a.url) for a in attempts)


def test_links_and_reasons_with_commas_and_quotes_come_back_whole(tmp_path):
    odd = "a,b;\"c\" 'd' é 日本 \\"
    manifest.write([attempt(url=odd, reason=odd, query=odd)], tmp_path / "manifest.csv")
    row = read_table(tmp_path / "manifest.csv", made_by="scrape").iloc[0]
    assert (row["url"], row["reason"], row["query"]) == (odd, odd, odd)


ODD = {
    "a\rb": r"a\x0db",
    "a\nb": r"a\x0ab",
    "a\r\nb,c\r": r"a\x0d\x0ab,c\x0d",
    "a\0b": r"a\x00b",
    "\x1b[31mred\x9b": r"\x1b[31mred\x9b",
    "\udce9t\udce9": r"\xe9t\xe9",
    "\ud800": r"\ud800",
    "x" * 100_000: "x" * 8192 + "…",
}
"""Texts that no line of a table can hold, and what stands for them."""


@pytest.mark.parametrize("text", ODD)
def test_what_would_break_a_table_stands_in_it_as_an_escape_and_the_row_is_the_same_when_read(tmp_path, text):
    row = attempt(url=text, reason=text, query=text, rank=3)
    assert (row.url, row.reason, row.query) == (ODD[text],) * 3
    manifest.write([row, attempt()], tmp_path / "manifest.csv")
    assert (tmp_path / "manifest.csv").read_bytes().count(b"\n") == 3
    table = read_table(tmp_path / "manifest.csv", made_by="scrape")
    assert sorted(table["query"]) == sorted(["cats", ODD[text]])
    (told,) = table[table["rank"] == 3].to_dict("records")
    assert {name: told[name] for name in manifest.COLUMNS} == vars(row)


@given(
    st.lists(
        st.text(max_size=20) | st.text("\r\n\0\x85\u2028,\"'\ud800 =", max_size=9), min_size=3, max_size=3
    )
)
def test_any_text_of_any_row_comes_back_as_the_row_has_it(texts):
    url, query, reason = texts
    row = attempt(url=url, query=query, reason=reason)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "manifest.csv"
        manifest.write([row, attempt(rank=2)], path)
        told = read_table(path, made_by="scrape")
    assert told[told["rank"] == 1].to_dict("records") == [vars(row)]


def test_every_table_is_kept_from_breaking(tmp_path):
    table = pd.DataFrame({"file": ["a\rb.jpg", "\udce9.jpg"], "count": [1, 2], "mixed": [None, "\n"]})
    write_table(table, tmp_path / "table.csv")
    assert list(read_table(tmp_path / "table.csv", made_by="x")["file"]) == [r"a\x0db.jpg", r"\xe9.jpg"]
    assert table["file"][0] == "a\rb.jpg", "the caller's own table stays as it is"


@pytest.mark.parametrize(
    "queries", [["007", "2019"], ["NA", "cats"], ["nan", "null"], ["1e5", "0x10"], ["True", "False"]]
)
def test_queries_that_look_like_numbers_or_gaps_come_back_as_they_were(tmp_path, queries):
    manifest.write([attempt(query=query) for query in queries], tmp_path / "manifest.csv")
    assert list(read_table(tmp_path / "manifest.csv", made_by="scrape")["query"]) == sorted(queries)


def test_a_checksum_of_digits_only_comes_back_as_text(tmp_path):
    manifest.write([attempt(sha256="0" * 63 + "7")], tmp_path / "manifest.csv")
    assert read_table(tmp_path / "manifest.csv", made_by="scrape")["sha256"].iloc[0] == "0" * 63 + "7"


def test_an_attempt_that_gave_nothing_has_empty_cells_not_nan(tmp_path):
    manifest.write([attempt()], tmp_path / "manifest.csv")
    row = read_table(tmp_path / "manifest.csv", made_by="scrape").iloc[0]
    assert {row[name] for name in ("url", "sha256", "file", "format", "photograph", "fetched_at")} == {""}
    assert {row[name] for name in ("bytes", "width", "height")} == {0}


def test_a_photo_that_is_refused_leaves_no_folder_behind(raw):
    row = manifest.keep(b"no photo", raw=raw, source="folder", query="cats", rank=1, url="a.jpg")
    assert (row.status, row.file, row.bytes) == ("refused", "", 8)
    assert not list(raw.iterdir())


def test_two_photos_of_a_query_lie_side_by_side(raw, contents):
    kept = [
        manifest.keep(jpeg(color), raw=raw, source="folder", query="a/b", rank=1, url="a.jpg")
        for color in ("red", "blue")
    ]
    assert contents(raw) == {kept[0].file: jpeg("red"), kept[1].file: jpeg("blue")}

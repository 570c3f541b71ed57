import hashlib
import io
import socket
from typing import get_args

import pytest
from PIL import Image

from stages.scrape import gather, manifest
from stages.scrape.params import Params
from stages.storage.tables import read_table
from ungray.errors import UngrayError

FAULTS = {
    "/missing.jpg": "HTTP 404",
    "/html.jpg": "not an image",
    "/short.jpg": "not an image",
    "/big.jpg": "larger than",
    "/endless.jpg": "larger than",
    "/moved?to=http://169.254.169.254/": "not a public address",
    "file:///etc/passwd": "not a web address",
    "data://image/png;base64,iVBORw0KGgo=": "not a web address",
    "http://10.0.0.1/photo/1.jpg": "not a public address",
    "http://[::1]/photo/1.jpg": "not a public address",
}
"""What is wrong with a link, and what its row says."""


@pytest.fixture
def search(scrape_params, raw, tmp_path):
    """Runs the source bing as the stage does and returns the manifest as the next stage reads it."""

    def run(*queries, **changes):
        params = scrape_params(source="bing", queries=queries, **changes)
        manifest.write(gather.run(params, raw), tmp_path / "manifest.csv")
        return read_table(tmp_path / "manifest.csv", made_by="scrape")

    return run


def photo_paths(start, stop):
    return [f"/photo/{number}.jpg" for number in range(start, stop)]


def test_a_limit_of_100_gives_100_photos_from_pages_of_35(bing, search, raw):
    bing.finds("cats", *photo_paths(0, 150))
    table = search("cats", limit=100)
    assert list(table["rank"]) == list(range(1, 101))
    assert list(table["url"]) == bing.links["cats"][:100]
    assert set(table["status"]) == {"kept"}
    assert [int(asked["first"]) for asked in bing.asked] == [0, 35, 70]
    assert len(list((raw / "cats").iterdir())) == 100


def test_fewer_photos_than_the_limit_are_all_kept(bing, search):
    bing.finds("cats", *photo_paths(0, 40))
    assert len(search("cats", limit=100)) == 40


def test_the_search_goes_to_bing_with_the_query_the_filters_and_safe_search_of_params(bing, search):
    bing.finds("peoples faces", "/photo/1.jpg")
    search("peoples faces", min_side=256)
    asked = bing.asked[0]
    assert asked["host"] == "www.bing.com"
    assert asked["q"] == "peoples faces"
    assert asked["qft"] == "+filterui:photo-photo+filterui:color2-color+filterui:imagesize-custom_256_256"
    assert asked["adlt"] == "on"


@pytest.mark.parametrize(
    ("changes", "codes"),
    [
        ({"photos_only": False, "color_only": False}, ""),
        ({"photos_only": False}, "+filterui:color2-color"),
        ({"color_only": False}, "+filterui:photo-photo"),
    ],
)
def test_a_filter_that_is_off_is_not_sent(bing, search, changes, codes):
    bing.finds("cats", "/photo/1.jpg")
    search("cats", **changes)
    assert {asked.get("qft", "") for asked in bing.asked} == {codes}


# As Bing's own page builds its addresses, and icrawler's.
LICENSES = {
    "creative_commons": "+filterui:licenseType-Any",
    "public_domain": "+filterui:license-L1",
    "share": "+filterui:license-L2_L3_L4_L5_L6_L7",
    "share_commercially": "+filterui:license-L2_L3_L4",
    "modify": "+filterui:license-L2_L3_L5_L6",
    "modify_commercially": "+filterui:license-L2_L3",
}


@pytest.mark.parametrize(("license", "code"), LICENSES.items())
def test_a_license_is_sent_to_bing_and_recorded(bing, search, license, code):
    bing.finds("cats", "/photo/1.jpg")
    table = search("cats", license=license, photos_only=False, color_only=False)
    assert {asked["qft"] for asked in bing.asked} == {code}
    assert list(table["license"]) == [f"Bing's filter {license}"]


def test_every_license_that_params_allow_has_a_code():
    assert LICENSES.keys() | {"any"} == set(get_args(Params.model_fields["license"].annotation))


def test_safe_search_can_be_switched_off(bing, search):
    bing.finds("cats", "/photo/1.jpg")
    search("cats", safe_search=False)
    assert {asked["adlt"] for asked in bing.asked} == {"off"}


def test_every_kept_photo_is_on_disk_as_it_came_and_described_rightly(bing, search, raw):
    bing.finds("cats", *photo_paths(0, 5))
    for number, row in enumerate(search("cats").itertuples()):
        content = bing.photo(number)
        sha256 = hashlib.sha256(content).hexdigest()
        assert (raw / row.file).read_bytes() == content
        assert (row.sha256, row.bytes, row.format) == (sha256, len(content), "JPEG")
        assert (row.width, row.height) == Image.open(io.BytesIO(content)).size == (24, 16)
        assert row.file == f"cats/{sha256[:16]}.jpg"
        assert row.source == "bing"
        assert row.license == "", "Bing was asked for any"
        assert row.source_page == f"https://shown.example/{number}.jpg"
        assert row.fetched_at.startswith("20")
        assert row.fetched_at.endswith("Z")


SEARCH_FAULTS = {
    "503": "search failed: HTTP Error 503",
    "404": "search failed: HTTP Error 404",
    "429": "search failed: HTTP Error 429",
    "captcha": "search failed: Bing asks for a captcha",
    "nothing found": "search found nothing for these words and filters",
    "empty": "search failed: Bing sent an empty answer",
    "endless": "search failed: a results page of more than 8 MB",
    "gzip bomb": "search failed: a results page of more than 8 MB",
    "gzip cut off": "search failed: a damaged results page",
    "cut off": "search failed: a results page was cut off",
    "reset": "search failed: ",
}


@pytest.mark.parametrize("trouble", SEARCH_FAULTS)
def test_one_failing_search_is_told_in_a_row_and_the_others_go_on(bing, search, capsys, trouble):
    for start, query in enumerate(("cats", "dogs", "owls")):
        bing.finds(query, *photo_paths(start * 10, start * 10 + 3))
    bing.trouble["dogs"] = trouble, 0
    table = search("cats", "dogs", "owls")
    failed = table[table["query"] == "dogs"]
    assert list(failed["status"]) == ["refused"]
    assert failed["reason"].iloc[0].startswith(SEARCH_FAULTS[trouble])
    assert list(failed["file"]) == [""]
    assert list(table[table["status"] == "kept"]["query"]) == ["cats"] * 3 + ["owls"] * 3
    assert "dogs: search " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("trouble", "deadline", "said"),
    [
        *(("hang", 5, "timed out"), ("hang", 0.5, "took longer than 0.5 seconds")),
        *(
            ("drip", 0.5, "took longer than 0.5 seconds"),
            ("header drip", 0.5, "took longer than 0.5 seconds"),
        ),
        ("status drip", 0.5, "took longer than 0.5 seconds"),
    ],
)
def test_a_results_page_that_does_not_end_is_given_up(bing, search, trouble, deadline, said):
    bing.finds("cats", "/photo/1.jpg")
    bing.trouble["dogs"] = trouble, 0
    table = search("cats", "dogs", timeout=1, deadline=deadline, attempts=1)
    assert said in table["reason"].iloc[-1]


@pytest.mark.parametrize("trouble", ["not UTF-8", "Latin-1", "no such charset", "gzip"])
def test_a_page_in_an_odd_encoding_gives_its_links_all_the_same(bing, search, trouble):
    bing.finds("cats", *photo_paths(0, 40))
    bing.trouble["cats"] = trouble, 0
    assert list(search("cats")["url"]) == bing.links["cats"]


def test_a_link_in_latin_1_is_read_as_it_was_written(bing, search):
    bing.finds("cats", "/photo/été.jpg")
    bing.trouble["cats"] = "Latin-1", 0
    (row,) = search("cats").itertuples()
    assert row.url == bing.url("/photo/été.jpg")


def test_503_on_every_other_page_still_gives_all_links(bing, search):
    bing.finds("cats", *photo_paths(0, 100))
    bing.trouble["cats"] = "503 on every other page", 0
    table = search("cats", limit=100)
    assert list(table["url"]) == bing.links["cats"]
    assert [int(asked["first"]) for asked in bing.asked] == [0, 0, 35, 35, 70, 70]


def test_a_page_that_fails_is_asked_for_as_often_as_params_say(bing, search):
    bing.finds("cats", "/photo/1.jpg")
    bing.trouble["dogs"] = "503", 0
    search("cats", "dogs", attempts=4)
    assert [asked["q"] for asked in bing.asked] == ["cats"] * 2 + ["dogs"] * 4


def test_a_page_that_will_never_come_is_asked_for_once(bing, search):
    bing.finds("cats", "/photo/1.jpg")
    bing.trouble |= {"dogs": ("404", 0), "owls": ("captcha", 0)}
    search("cats", "dogs", "owls", attempts=4)
    assert [asked["q"] for asked in bing.asked] == ["cats"] * 2 + ["dogs", "owls"]


def test_many_failing_searches_in_a_row_do_not_keep_later_ones_from_being_asked(bing, search):
    dead = [f"dead {number}" for number in range(6)]
    bing.trouble |= dict.fromkeys(dead, ("503", 0))
    bing.finds("cats", "/photo/1.jpg")
    table = search(*dead, "cats")
    assert list(table[table["status"] == "kept"]["query"]) == ["cats"]
    asked = [asked["q"] for asked in bing.asked]
    assert [asked.count(query) for query in dead] == [3, 3, 3, 1, 1, 1], "patience ends, trying does not"


def test_a_page_that_comes_again_does_not_end_the_search_at_once(bing, search):
    bing.finds("cats", *photo_paths(0, 35), *photo_paths(0, 35), *photo_paths(100, 120))
    assert len(search("cats", limit=100)) == 55


def test_the_same_page_for_ever_ends_the_search(bing, search):
    bing.finds("cats", *photo_paths(0, 100))
    bing.trouble["cats"] = "the same page again", 35
    assert len(search("cats", limit=100)) == 35
    assert len(bing.asked) < 10


def test_two_results_on_one_page_with_the_same_photo_count_as_one(bing, search):
    bing.finds("cats", *photo_paths(0, 20), *photo_paths(0, 20), *photo_paths(20, 80))
    assert list(search("cats", limit=100)["url"]) == [bing.url(path) for path in photo_paths(0, 80)]


@pytest.mark.parametrize("trouble", ["503", "captcha", "reset"])
def test_a_search_that_fails_on_a_later_page_keeps_what_it_found_and_says_so(bing, search, trouble):
    bing.finds("cats", *photo_paths(0, 100))
    bing.trouble["cats"] = trouble, 35
    table = search("cats", limit=100)
    assert list(table["rank"]) == list(range(36))
    assert (table["status"] == "kept").sum() == 35
    assert table["reason"].iloc[0].startswith("search failed: ")


def test_every_faulty_link_is_refused_with_its_reason_and_every_good_photo_kept(bing, search, raw):
    good = photo_paths(0, 6)
    mixed = [path for pair in zip(FAULTS, good * 2, strict=False) for path in pair]
    bing.finds("cats", *dict.fromkeys(mixed))
    table = search("cats", timeout=1, max_megabytes=0.5).set_index("url")
    for path, reason in FAULTS.items():
        row = table.loc[bing.url(path) if path.startswith("/") else path]
        assert (row["status"], row["file"]) == ("refused", ""), path
        assert reason in row["reason"], path
    for number, path in enumerate(good):
        row = table.loc[bing.url(path)]
        assert row["status"] == "kept"
        assert (raw / row["file"]).read_bytes() == bing.photo(number)
    assert len(list(raw.rglob("*.*"))) == len(good)


def test_a_malformed_link_is_refused_and_ends_nothing(bing, search):
    bing.finds("cats", "http://[abc/a.jpg", "/photo/1.jpg")
    assert list(search("cats")["status"]) == ["refused", "kept"]


@pytest.mark.parametrize("path", ["/truncated.jpg", "/silent.jpg", "/moved?to=file:///etc/passwd"])
def test_a_damaged_photo_or_a_bad_host_is_refused(bing, search, path):
    bing.finds("cats", "/photo/1.jpg", path)
    table = search("cats", timeout=1)
    assert list(table["status"]) == ["kept", "refused"]
    assert table["reason"].iloc[1]


@pytest.mark.parametrize("escaped", ["/photo/\\u00e9t\\u00e9.jpg", "\\/photo\\/été.jpg"])
def test_letters_that_json_escapes_come_out_right(bing, search, escaped):
    bing.finds("cats", escaped)
    bing.links["cats"] = [bing.url("") + escaped]
    bing.escaped = True
    (row,) = search("cats").itertuples()
    assert (row.url, row.status) == (bing.url("/photo/été.jpg"), "kept")


def test_a_link_with_an_encoded_letter_stays_as_it_is_and_a_space_is_encoded(bing, search):
    bing.finds("cats", "/photo/%C3%A9t%C3%A9.jpg", "/photo/1.jpg?a b")
    table = search("cats")
    assert list(table["url"]) == [bing.url("/photo/%C3%A9t%C3%A9.jpg"), bing.url("/photo/1.jpg?a%20b")]
    assert set(table["status"]) == {"kept"}


def test_one_photo_under_two_links_is_kept_once(bing, search, raw):
    bing.finds("cats", "/photo/1.jpg", "/photo/1.jpg?again")
    table = search("cats")
    assert list(table["status"]) == ["kept", "refused"]
    assert table["reason"].iloc[1] == "same bytes as another of this query"
    assert len(list(raw.rglob("*.jpg"))) == 1


def test_one_photo_of_two_queries_is_fetched_once_and_kept_for_both(bing, search, raw):
    bing.finds("cats", "/photo/1.jpg")
    bing.finds("pets", "/photo/1.jpg")
    table = search("cats", "pets")
    assert list(table["status"]) == ["kept", "kept"]
    assert len(list(raw.rglob("*.jpg"))) == 2
    assert bing.fetched == {"/photo/1.jpg": 1}


def test_queries_of_any_letters_each_get_a_folder_of_their_own_below_raw(bing, search, raw, contents):
    absolute = str(raw.parent / "elsewhere")
    queries = [
        "..",
        ".",
        "a/b",
        "a:b",
        "a\\b",
        "../a",
        absolute,
        "C:\\a",
        "x" * 300,
        "x" * 301,
        "日本 桜",
        "*?<>|",
    ]
    for number, query in enumerate(queries):
        bing.finds(query, f"/photo/{number}.jpg")
    table = search(*queries)
    assert set(table["status"]) == {"kept"}
    assert sorted(table["query"]) == sorted(queries)
    written = {path for path in contents(raw.parent) if not path.startswith(".cache/scrape/")}
    assert written == {f"raw/{file}" for file in table["file"]} | {"manifest.csv"}
    assert table["file"].str.split("/").str[0].nunique() == len(queries)
    assert all(file.count("/") == 1 and len(file.encode()) < 250 for file in table["file"])


def test_no_network_at_all_is_said_in_one_sentence_with_the_way_out(search, send_bing_to, raw):
    with socket.socket() as reserved:  # bound, not listening: connections are refused
        reserved.bind(("127.0.0.1", 0))
        send_bing_to(reserved.getsockname()[1])
        with pytest.raises(UngrayError) as error:
            search("cats", "dogs")
    told = str(error.value)
    assert "\n" not in told
    assert all(word in told for word in ("refused", "network", "scrape.source", "sample", "folder"))
    assert not list(raw.iterdir())


def test_links_that_are_all_dead_are_an_error_that_says_why(bing, search):
    bing.finds("cats", "/missing.jpg", "/gone.jpg")
    with pytest.raises(UngrayError, match=r"scrape\.source bing: none of 2 .*HTTP 404"):
        search("cats")

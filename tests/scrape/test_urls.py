import tempfile
from pathlib import Path

import pytest

from stages.params import load_all
from stages.scrape import gather, urls
from tests.properties import given, st
from ungray.errors import UngrayError

SHIPPED = load_all(Path(__file__).parents[2] / "params.yaml")["scrape"]


@pytest.fixture
def listed(scrape_params, raw, tmp_path):
    """Gathers a list of addresses with this content; returns its rows."""

    def run(content, name="list.txt"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return gather.run(scrape_params(source="urls", urls=str(path)), raw)

    return run


def refusal(listed, content, name="list.csv"):
    with pytest.raises(UngrayError) as error:
        listed(content, name)
    told = str(error.value)
    assert "\n" not in told
    assert told.startswith("scrape.urls: ")
    assert name in told
    return told


def test_a_text_file_has_an_address_a_line_and_its_name_is_the_query(bing, listed, raw):
    rows = listed(f"# mine\n{bing.url('/photo/1.jpg')}\n\n  {bing.url('/photo/2.jpg')}  \r\n", "roses.txt")
    assert [(row.query, row.rank, row.url, row.status) for row in rows] == [
        ("roses", 1, bing.url("/photo/1.jpg"), "kept"),
        ("roses", 2, bing.url("/photo/2.jpg"), "kept"),
    ]
    assert {row.source for row in rows} == {"urls"}
    assert (raw / rows[0].file).read_bytes() == bing.photo(1)


def test_a_table_may_name_query_license_and_page_of_each(bing, listed):
    one, two, three = (bing.url(f"/photo/{number}.jpg") for number in (1, 2, 3))
    rows = listed(
        f"Query,url,license,source_page\nred roses,{one},CC0,http://a.example/\n"
        f',{two}\n"red roses","{three}"\n',
        "list.csv",
    )
    assert [(row.query, row.rank, row.url, row.license, row.source_page) for row in rows] == [
        ("list", 1, two, "", ""),
        ("red roses", 1, one, "CC0", "http://a.example/"),
        ("red roses", 2, three, "", ""),
    ]


@pytest.mark.parametrize("start", [b"\xef\xbb\xbf", b""])
@pytest.mark.parametrize("name", ["list.csv", "list.txt"])
def test_what_spreadsheets_write_is_read(bing, listed, start, name):
    header = "url\r\n" if name == "list.csv" else ""
    (row,) = listed(start + f"{header}{bing.url('/photo/été.jpg')}\r\n".encode(), name)
    assert row.status == "kept"


def test_the_same_address_twice_is_fetched_once(bing, listed):
    url = bing.url("/photo/1.jpg")
    rows = listed(f"url,query\n{url},cats\n{url},cats\n{url},dogs\n", "list.csv")
    assert [(row.query, row.status) for row in rows] == [
        ("cats", "kept"),
        ("cats", "refused"),
        ("dogs", "kept"),
    ]
    assert bing.fetched == {"/photo/1.jpg": 1}


def test_a_photo_that_cannot_be_had_is_a_row_and_no_error(bing, listed):
    rows = listed(f"{bing.url('/missing.jpg')}\n{bing.url('/photo/1.jpg')}\n")
    assert [row.status for row in rows] == ["refused", "kept"]


@pytest.mark.parametrize(
    "line",
    [
        "ftp://a.example/b.jpg",
        "photos/a.jpg",
        "http://",
        "https:///a.jpg",
        "http://[a/b.jpg",
        "file:///etc/passwd",
        "data:image/png;base64",
        "http://a.example/b c.jpg",
        "http://a.example/1.jpg http://a.example/2.jpg",
    ],
)
@pytest.mark.parametrize(("name", "header"), [("list.csv", "url"), ("list.txt", "# a list")])
def test_a_line_without_a_web_address_is_named_by_its_number_before_anything_is_asked(
    bing, listed, line, name, header
):
    told = refusal(listed, f"{header}\n{bing.url('/photo/1.jpg')}\n{line}\n", name)
    assert f"line 3 ({line!r})" in told
    assert bing.connections == 0


def test_of_many_bad_lines_three_are_named_and_the_rest_counted(listed):
    assert "line 3 ('c') and 7 more" in refusal(listed, "\n".join("abcdefghij"), "list.txt")


def test_a_row_without_an_address_is_named(listed):
    assert "line 3 ('')" in refusal(listed, "url,query\nhttp://a.example/,cats\n,dogs\n")


def test_a_cell_of_many_lines_does_not_put_the_numbers_wrong(listed):
    told = refusal(listed, 'query,url\n"two\nlines",http://a.example/\ncats,nothing\n')
    assert "line 4 ('nothing')" in told


@pytest.mark.parametrize("header", ["link,query", "http://a.example/b.jpg", "url,querry", "url,url", ""])
def test_a_table_with_other_columns_says_which_there_may_be(listed, header):
    told = refusal(listed, f"{header}\nhttp://a.example/,cats\n")
    assert all(word in told for word in ("url", "query", "license", "source_page"))


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ("url,query\nhttp://a.example/,cats,dogs\n", "line 2 has 3 cells under 2 columns"),
        ('url,query\nhttp://a.example/,"cats\n', "line 2 is not valid CSV"),
        ('url\n"http://a.example/"x\n', "line 2 is not valid CSV"),
        (b"url\nhttp://a.example/\xe9.jpg\n", "save it as UTF-8"),
        ("url\nhttp://a.example/".encode("utf-16"), "save it as UTF-8"),
        ("url,query\n", "lists no address"),
        ("url,query\n,\n", "lists no address"),
    ],
)
def test_a_broken_table_is_named_in_one_sentence(listed, content, named):
    assert named in refusal(listed, content)


@pytest.mark.parametrize("content", ["", "\n\n", "# nothing yet\n"])
def test_an_empty_list_is_named(listed, content):
    assert "lists no address" in refusal(listed, content, "list.txt")


def test_a_list_that_is_not_there_is_named(scrape_params, raw):
    with pytest.raises(UngrayError, match=r"scrape\.urls: nowhere\.csv is not a file"):
        gather.run(scrape_params(source="urls", urls="nowhere.csv"), raw)


def test_the_list_as_shipped_says_that_it_is_empty(scrape_params, raw, monkeypatch, shipped):
    monkeypatch.chdir(shipped)
    with pytest.raises(UngrayError, match=r"data/urls\.csv lists no address"):
        gather.run(scrape_params(source="urls"), raw)


@pytest.mark.parametrize(
    ("content", "name"),
    [
        ("http://a.test/\n" + "x" * 100_000_000, "list.txt"),
        ("url\nhttp://a.test/\n" + "x" * 100_000, "list.csv"),
        ("x" * 100_000_000, "list.csv"),
        ("x" * 100_000, "list.csv"),
        ("url\n" + "x" * 100_000_000, "list.csv"),
        ('url\n"' + "x" * 10_000_000, "list.csv"),
        ("url," + "x," * 1_000_000, "list.csv"),
        ("url\n" + ",x" * 100_000, "list.csv"),
    ],
)
def test_a_line_of_any_length_gives_an_error_of_one_short_line(listed, content, name):
    assert len(refusal(listed, content, name)) < 500


@pytest.mark.parametrize(
    "content",
    [
        *("\x00", "url\n\x00", "\x1b[31m", "url\n\x1b[31m", "\ufffe", "url,query\n,\x85", 'url\n"http://a"b'),
        *(
            b"\xff\xfeu\x00r\x00l\x00",
            b"PK\x03\x04",
            b"url\n\x80",
            "url;query\nhttp://a.test/;cats",
            "'url'\nhttp://a",
        ),
    ],
)
def test_a_list_that_is_none_is_an_error_of_one_line_that_a_terminal_can_show(listed, content):
    assert refusal(listed, content).isprintable()


def test_texts_of_a_list_that_no_table_can_hold_are_rows_with_escapes(bing, listed, tmp_path):
    one, two = bing.url("/photo/1.jpg"), bing.url("/photo/2.jpg")
    rows = listed(
        f'url,query,license,source_page\r\n{one},"cats\r\nand dogs\x1b","\x85","a\rb"\r\n{two},\x00,,\r\n'
        f"http://a.test/\x01.jpg,cats,,\r\nhttp://a.test/{'a' * 9000},cats,,\r\n",
        "list.csv",
    )
    assert [(row.query, row.url[:24], row.license, row.source_page, row.reason) for row in rows] == [
        (r"\x00", two[:24], "", "", ""),
        ("cats", r"http://a.test/\x01.jpg", "", "", "not a web address"),
        ("cats", "http://a.test/aaaaaaaaaa", "", "", "not a web address"),
        (r"cats\x0aand dogs\x1b", one[:24], "", r"a\x0ab", ""),
    ]


@given(
    st.text(max_size=40) | st.text("url,query\r\n\"'\0 :/.h\x85\ufeff#", max_size=60),
    st.sampled_from(["list.csv", "list.txt"]),
)
def test_a_list_of_any_text_gives_addresses_or_an_error_of_one_line(text, name):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_text(text, encoding="utf-8", errors="replace", newline="")
        params = SHIPPED.model_copy(update={"source": "urls", "urls": str(path)})
        try:
            found = list(urls.gather(params, Path(folder)))
        except UngrayError as error:
            assert "\n" not in str(error), text  # noqa: PT017
        else:
            assert found

"""Results pages that nobody would think of: each costs what it breaks itself, no other query's photos."""

import gzip
import html
import json
import zlib

import pytest

from stages.scrape import gather, manifest
from stages.scrape.results_page import results
from stages.storage.tables import read_table
from tests.properties import given, st
from ungray.errors import UngrayError


@pytest.fixture
def search(scrape_params, tmp_path):
    """Runs the source bing for cats, dogs and owls as the stage does, and returns the manifest."""

    def run(**changes):
        raw = tmp_path / "raw"
        raw.mkdir(exist_ok=True)
        params = scrape_params(source="bing", queries=("cats", "dogs", "owls"), **changes)
        manifest.write(gather.run(params, raw), tmp_path / "manifest.csv")
        return read_table(tmp_path / "manifest.csv", made_by="scrape")

    return run


def result(**described):
    return f'<a class="iusc" m="{html.escape(json.dumps(described))}"></a>'


def written(json_text):
    return f'<a class="iusc" m="{html.escape(json_text)}"></a>'


def others_are_kept(table):
    return (table[table["query"] != "dogs"]["status"] == "kept").all() and set(table["query"]) == {
        *("cats", "dogs", "owls")
    }


# What one result says of its photo, and what its row says in the end; no row where there is no address.
RESULTS = {
    "a lone surrogate": (r'{"murl":"http://a.test/\ud800.jpg"}', ("http://a.test/�.jpg", "unknown host")),
    "a carriage return": (r'{"murl":"http://a.test/\r\n.jpg"}', ("http://a.test/.jpg", "unknown host")),
    "a tab and blanks": (
        r'{"murl":" \thttp://a.test/b c.jpg\n"}',
        ("http://a.test/b%20c.jpg", "unknown host"),
    ),
    "an escape sequence": (
        r'{"murl":"http://a.test/\u001b[31m.jpg"}',
        (r"http://a.test/\x1b[31m.jpg", "not a web address"),
    ),
    "a NUL": (r'{"murl":"http://a.test/\u0000.jpg"}', (r"http://a.test/\x00.jpg", "not a web address")),
    "an endless address": (
        f'{{"murl":"http://a.test/{"a" * 100_000}"}}',
        ("http://a.test/" + "a" * 8178 + "…", "not a web address"),
    ),
    "the photo itself": (
        '{"murl":"data:image/png;base64,iVBORw0KGgo="}',
        ("data:image/png;base64,iVBORw0KGgo=", "not a web address (data)"),
    ),
    "a thousand brackets": (
        '{"x":' + "[" * 1000 + "]" * 1000 + ',"murl":"http://a.test/1.jpg"}',
        ("http://a.test/1.jpg", "unknown host"),
    ),
    "brackets without end": (
        '{"murl":"http://a.test/1.jpg","x":' + "[" * 200_000,
        ("http://a.test/1.jpg", "unknown host"),
    ),
    "a number of 5000 digits": (
        '{"x":' + "9" * 5000 + ',"murl":"http://a.test/1.jpg"}',
        ("http://a.test/1.jpg", "unknown host"),
    ),
    "an escape that JSON lacks": (
        r'{"murl":"http://a.test/\x.jpg"}',
        (r"http://a.test/\x.jpg", "unknown host"),
    ),
    "JSON cut short": (
        '{"purl":"http://a.test/","murl":"http://a.test/1.jpg","t',
        ("http://a.test/1.jpg", "unknown host"),
    ),
    "an address cut short": ('{"murl":"http://a.test/1.j', None),
    "a number": ('{"murl":1}', None),
    "nothing": ('{"murl":null}', None),
    "a list": ('["murl","http://a.test/"]', None),
    "an address inside": ('{"murl":{"murl":"http://a.test/"}}', None),
    "blanks only": (r'{"murl":" \n"}', None),
    "no address": ('{"murl":"here"}', ("here", "not a web address (no scheme)")),
    "no host": ('{"murl":"http://"}', ("http://", "not a web address (no host, or no such port)")),
}


@pytest.mark.parametrize("name", RESULTS)
def test_one_hostile_result_is_a_row_or_nothing_and_its_neighbors_are_photos(bing, search, name):
    described, row = RESULTS[name]
    bing.finds("cats", "/photo/1.jpg")
    bing.finds("owls", "/photo/2.jpg")
    page = result(murl=bing.url("/photo/3.jpg")) + written(described) + result(murl=bing.url("/photo/4.jpg"))
    bing.answers["dogs"] = lambda handler: handler.answer(page.encode(), kind="text/html")
    table = search()
    assert others_are_kept(table)
    dogs = table[table["query"] == "dogs"]
    assert list(dogs[dogs["status"] == "kept"]["url"]) == [bing.url("/photo/3.jpg"), bing.url("/photo/4.jpg")]
    refused = dogs[dogs["status"] != "kept"]
    assert list(zip(refused["url"], refused["reason"], strict=True)) == ([row] if row else [])
    asked = len(bing.asked)
    again = search(attempts=1)
    assert again.drop(columns="fetched_at").equals(table.drop(columns="fetched_at"))
    assert len(bing.asked) == asked, "and asks nothing"


@pytest.mark.parametrize(
    "page",
    [
        "javascript:alert(1)",
        "data:text/html,x",
        "/relative",
        "\ud800",
        5,
        None,
        ["http://a.test/"],
    ],
)
def test_a_page_that_shows_a_photo_is_told_only_if_it_has_a_web_address(page):
    assert results(result(murl="http://a.test/1.jpg", purl=page)) == [("http://a.test/1.jpg", "")]


LINK = "http://a.test/1.jpg"
ENTITIES = "&#34;murl&#x22;:&quot;" + LINK + "&quot"
MARKUP = {
    "single quotes": f'<a m=\'{{"murl":"{LINK}"}}\'>',
    "no quotes": f"<a m={{&quot;murl&quot;:&quot;{LINK}&quot;}}>",
    "other entities": f'<a m="{{{ENTITIES}}}">',
    "capitals": f'<A M=\'{{"murl":"{LINK}"}}\'>',
    "blanks": f'<a\n\tm\n=\n\'{{ "murl" : "{LINK}" }}\'\n/>',
    "another attribute": f'<li data-m=\'{{"murl":"{LINK}"}}\'>',
    "the first of two": f'<a m=\'{{"murl":"{LINK}"}}\' m=\'{{"murl":"http://a.test/2.jpg"}}\'>',
    "a bracket in it": f'<a m=\'{{"t":"a > b","murl":"{LINK}"}}\'>',
    "never closed": f'<div><p><table><a m=\'{{"murl":"{LINK}"}}\'',
    "closed twice": f'</div></a><a m=\'{{"murl":"{LINK}"}}\'></a></a></p>',
    "a NUL before": f'\0<a m=\'{{"murl":"{LINK}"}}\'>',
    "a BOM before": f'\ufeff<a m=\'{{"murl":"{LINK}"}}\'>',
    "in a comment too": f'<!-- <a m=\'{{"murl":"http://a.test/2.jpg"}}\'> --><a m=\'{{"murl":"{LINK}"}}\'>',
    "in a script too": f'<script>"<a m=\'{{\\"murl\\":1}}\'>"</script><a m=\'{{"murl":"{LINK}"}}\'>',
    "much before": "<a b=c>" * 100_000 + f'<a m=\'{{"murl":"{LINK}"}}\'>',
    "many attributes": "<a " + " ".join(f"a{n}" for n in range(100_000)) + f' m=\'{{"murl":"{LINK}"}}\'>',
}


@pytest.mark.parametrize("name", ["never closed", *MARKUP])
def test_a_result_is_found_in_whatever_markup_a_browser_would_find_it(name):
    page = MARKUP[name].replace("<a b=c>", "<i></i>")
    # An attribute that never ends is no attribute.
    assert results(page + (">" if name == "never closed" else "")) == [(LINK, "")]


@pytest.mark.parametrize(
    "page", ["", " \n", "\0", "<", "<a m=", '<a m="', "&quot;murl&quot;", '{"murl":"http://a"}', "<" * 99_999]
)
def test_a_page_without_a_result_has_none(page):
    assert results(page) == []


@given(
    st.lists(
        st.sampled_from(
            [
                *"<>\"'=&;{}[]\\:,/ \0\r\n",
                "\ud800",
                "é",
                "<a m=",
                '"murl":"',
                "&quot;",
                "<!--",
                "</",
                "http://a",
                "<script>",
                "<svg>",
                "]]>",
                "&#xD800;",
                "<template>",
            ]
        )
    )
)
def test_a_page_of_any_letters_gives_addresses_or_none(parts):
    for photo, shown_by in results("".join(parts)):
        assert photo.encode()
        assert shown_by.startswith("http") or not shown_by


@given(
    st.recursive(
        st.none() | st.floats() | st.text(),
        lambda inside: (
            st.lists(inside) | st.dictionaries(st.sampled_from(["murl", "purl"]) | st.text(), inside)
        ),
    )
)
def test_a_result_of_any_json_gives_an_address_or_none(described):
    assert len(results(f'<a m="{html.escape(json.dumps(described))}">')) <= 1


def answers(body=b"", **about):
    return lambda handler: handler.answer(body, **{"kind": "text/html", **about})


def writes(*parts):
    return lambda handler: handler.wfile.write(b"".join(parts))


PAGES = {
    "nested too deep": (
        answers(b"<div>" * 100_000 + b"</p>" * 100_000),
        "a results page nested deeper than 512",
    ),
    "no coding that we know": (
        answers(b"x", **{"Content-Encoding": "br"}),
        "a damaged results page (compressed by another method",
    ),
    "no gzip": (
        answers(b"no gzip", **{"Content-Encoding": "gzip"}),
        "a damaged results page (damaged: not gzip)",
    ),
    "a phrase with escapes": (writes(b"HTTP/1.1 404 \x1b[31mred\x1b[0m\r\n\r\n"), "HTTP Error 404"),
    "a long phrase": (writes(b"HTTP/1.1 404 " + b"x" * 60_000 + b"\r\n\r\n"), "HTTP Error 404"),
    "no HTTP": (writes(b"SSH-2.0-\x1b[31m\r\n\r\n"), "SSH-2.0-"),
    "a status of letters": (writes(b"HTTP/1.1 abc OK\r\n\r\n"), "HTTP/1.1 abc OK"),
    "headers without number": (
        writes(b"HTTP/1.1 200 OK\r\n", b"X: y\r\n" * 999, b"\r\n"),
        "got more than 100 headers",
    ),
    "a header without end": (writes(b"HTTP/1.1 200 OK\r\nX: ", b"y" * 99_999), "got more than 65536 bytes"),
    "chunks that are none": (writes(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n"), ""),
    "a time of 5000 digits": (answers(status=503, **{"Retry-After": "9" * 5000}), "HTTP Error 503"),
    "a year of 20 digits": (
        answers(status=503, **{"Retry-After": "Wed, 21 Oct 20150000000000000000 07:28:00 GMT"}),
        "HTTP Error 503",
    ),
    "moved in a circle": (
        answers(status=302, Location="https://www.bing.com/images/async?q=dogs&first=0"),
        "HTTP Error 302",
    ),
    "moved to a file": (answers(status=302, Location="file:///etc/passwd"), "HTTP Error 302"),
    "moved nowhere": (answers(status=302, Location="http://[a"), ""),
    "moved to a break": (answers(status=302, Location="https://www.bing.com/a\x7f"), ""),
    "no content": (writes(b"HTTP/1.1 204 No Content\r\n\r\n"), "Bing sent an empty answer"),
}


@pytest.mark.parametrize("name", PAGES)
def test_one_hostile_answer_is_a_row_and_the_other_searches_go_on(bing, search, capsys, monkeypatch, name):
    monkeypatch.setattr("stages.scrape.bing_pages.ResultsPages._wait", lambda self, state: 0.0)
    answer, said = PAGES[name]
    bing.finds("cats", "/photo/1.jpg")
    bing.finds("owls", "/photo/2.jpg")
    bing.answers["dogs"] = answer
    table = search(attempts=1)
    assert others_are_kept(table)
    (dogs,) = table[table["query"] == "dogs"].to_dict("records")
    assert dogs["reason"].startswith(f"search failed: {said}")
    assert len(dogs["reason"]) < 250
    told = capsys.readouterr().err
    assert "dogs: search failed: " in told
    assert not {"\x1b", "\r"} & set(told.partition("dogs: ")[2].partition("\n")[0])


def page(*links):
    return "".join(result(murl=link) for link in links)


ENCODED = {
    "gzip": (lambda page: gzip.compress(page.encode()), {"Content-Encoding": "gzip"}),
    "GZIP": (lambda page: gzip.compress(page.encode()), {"Content-Encoding": "GZIP"}),
    "x-gzip": (lambda page: gzip.compress(page.encode()), {"Content-Encoding": "x-gzip"}),
    "members": (
        lambda page: b"".join(gzip.compress(part.encode()) for part in (page[:20], page[20:])),
        {"Content-Encoding": "gzip"},
    ),
    "deflate": (lambda page: zlib.compress(page.encode()), {"Content-Encoding": "deflate"}),
    "bare deflate": (lambda page: zlib.compress(page.encode())[2:-4], {"Content-Encoding": "deflate"}),
    "none": (lambda page: page.encode(), {"Content-Encoding": "none"}),
    "UTF-16": (lambda page: page.encode("utf-16"), {"kind": "text/html; charset=UTF-16"}),
    "charset hex": (lambda page: page.encode(), {"kind": "text/html; charset=hex"}),
    "charset punycode": (lambda page: page.encode(), {"kind": "text/html; charset=punycode"}),
    "charset undefined": (lambda page: page.encode(), {"kind": "text/html; charset=undefined"}),
    "charset NUL": (lambda page: page.encode(), {"kind": "text/html; charset=utf-8\0"}),
    "charset twice": (lambda page: page.encode(), {"kind": "text/html; charset*=x''%ff; charset=\""}),
    "charset Big5": (lambda page: page.encode("big5"), {"kind": "text/html; charset=big5"}),
}


@pytest.mark.parametrize("name", ENCODED)
def test_a_page_encoded_in_an_odd_way_gives_its_links(bing, search, name):
    encode, about = ENCODED[name]
    for number, query in enumerate(("cats", "owls")):
        bing.finds(query, f"/photo/{number}.jpg")
    bing.answers["dogs"] = lambda handler: handler.answer(encode(page(bing.url("/photo/3.jpg"))), **about)
    table = search()
    assert others_are_kept(table)
    assert list(table[table["query"] == "dogs"]["status"]) == ["kept"]


def test_many_thousand_results_end_at_the_limit(bing, search):
    for number, query in enumerate(("cats", "owls")):
        bing.finds(query, f"/photo/{number}.jpg")
    links = [bing.url(f"/photo/{number}.jpg") for number in range(40_000)]
    bing.answers["dogs"] = lambda handler: handler.answer(page(*links).encode(), kind="text/html")
    table = search(limit=10)
    assert list(table[table["query"] == "dogs"]["url"]) == links[:10]


def test_hostile_results_and_nothing_else_are_an_error_of_one_line(bing, scrape_params, tmp_path):
    (tmp_path / "raw").mkdir()
    texts = "".join(written(described) for described, row in RESULTS.values() if row)
    bing.answers["cats"] = lambda handler: handler.answer(texts.encode(), kind="text/html")
    with pytest.raises(UngrayError) as error:
        gather.run(scrape_params(source="bing", queries=("cats",)), tmp_path / "raw")
    assert str(error.value).isprintable()
    assert len(str(error.value)) < 500

from typing import get_args

import pytest

from stages.scrape import gather
from stages.scrape.blocking import TakenOut
from stages.scrape.manifest import keep
from stages.scrape.params import Params
from stages.scrape.source import Link
from ungray.errors import UngrayError


def test_every_source_that_params_allow_is_there():
    assert set(gather.SOURCES) == set(get_args(Params.model_fields["source"].annotation))


@pytest.fixture
def gathered(bing, scrape_params, raw, monkeypatch):
    """Gathers by a source that somebody wrote; returns its rows."""

    def run(source, **about):
        monkeypatch.setitem(gather.SOURCES, "sample", source)
        return gather.run(scrape_params(source="sample"), raw, **about)

    return run


def test_a_new_source_is_a_function_that_yields_links_or_rows_or_both(bing, gathered, raw):
    def mine(params, raw):
        for rank, path in enumerate(["/photo/1.jpg", "/missing.jpg", "/photo/2.jpg"], start=1):
            yield Link(source="mine", query="links", rank=rank, url=bing.url(path), license="CC0")
        yield keep(bing.photo(3), raw=raw, source="mine", query="bytes", rank=1, url="here")

    rows = gathered(mine)
    assert [(row.query, row.rank, row.status) for row in rows] == [
        ("bytes", 1, "kept"),
        ("links", 1, "kept"),
        ("links", 2, "refused"),
        ("links", 3, "kept"),
    ]
    assert [row.license for row in rows] == ["", "CC0", "CC0", "CC0"]
    assert (raw / rows[3].file).read_bytes() == bing.photo(2)


def test_rows_are_sorted_whatever_order_they_came_in_and_the_first_of_equal_photos_is_kept(bing, gathered):
    def mine(params, raw):
        for rank in (3, 1, 2):
            yield keep(bing.photo(1), raw=raw, source="mine", query="cats", rank=rank, url="")

    assert [(row.rank, row.status) for row in gathered(mine)] == [
        (1, "kept"),
        (2, "refused"),
        (3, "refused"),
    ]


def test_a_photo_taken_out_is_refused_from_every_source(bing, gathered, raw):
    def mine(params, raw):
        for query in ("cats", "dogs"):
            yield keep(bing.photo(len(query)), raw=raw, source="mine", query=query, rank=1, url="mine/a.jpg")
        yield keep(bing.photo(9), raw=raw, source="mine", query="dogs", rank=2, url="mine/b.jpg")

    out = [row.sha256 for row in gathered(mine) if row.rank == 1]
    rows = gathered(mine, taken_out=TakenOut.of(out))
    assert [(row.reason, row.url, row.bytes) for row in rows[:2]] == [("taken out", "", 0)] * 2
    assert [path.parent.name for path in raw.rglob("*.jpg")] == ["dogs"]


def test_a_source_without_a_photo_is_an_error_that_says_why(gathered, raw):
    def mine(params, raw):
        yield keep(b"text", raw=raw, source="mine", query="cats", rank=1, url="a.jpg")

    with pytest.raises(UngrayError, match=r"none of 1 files is a photo .*not an image"):
        gathered(mine)

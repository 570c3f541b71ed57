import pandas as pd

from stages.scrape import summary
from stages.scrape.manifest import Attempt


def kept(query, rank=1, **about):
    return Attempt(source="bing", query=query, rank=rank, status="kept", sha256="a", **about)


def refused(query, reason, rank=1, **about):
    return Attempt(source="bing", query=query, rank=rank, status="refused", reason=reason, **about)


def test_the_table_says_asked_found_fetched_kept_and_why_refused():
    rows = [
        kept("cats"),
        refused("cats", "same bytes as another of this query", sha256="a"),
        refused("cats", "HTTP 404"),
        refused("cats", "unreachable: no such host"),
        refused("cats", "unreachable: timed out"),
        refused("dogs", "search failed: HTTP Error 503", rank=0),
    ]
    table = summary.table(rows, asked=100)
    assert table.splitlines() == [
        "           asked  found  fetched   kept  refused",
        "cats         100      5        2      1        4  2 unreachable, 1 HTTP 404, 1 other",
        "dogs         100      0        0      0        0  1 search failed",
        "2 queries    200      5        2      1        4",
        "refused: 2 unreachable, 1 HTTP 404, 1 same bytes as another of this query, 1 search failed",
    ]


def test_of_41_queries_all_are_shown_and_of_hundreds_the_sums():
    rows = [kept(f"query {number}") for number in range(41)]
    assert len(summary.table(rows, asked=None).splitlines()) == 1 + 41 + 1
    rows = [kept(f"query {number}") for number in range(300)]
    assert summary.table(rows, asked=None).splitlines()[1:] == [
        "300 queries    300    300      300    300        0"
    ]


def before(**counts):
    return pd.DataFrame(
        [
            {"source": "bing", "query": query, "status": "kept"}
            for query in counts
            for _ in range(counts[query])
        ]
        + [{"source": "bing", "query": "owls", "status": "refused"}]
    )


def test_photos_of_queries_that_are_no_longer_asked_are_counted():
    told = summary.left(before(cats=3, dogs=1), [kept("dogs")], cached=True)
    assert told == "3 photos of 1 query no longer asked for (cats) left data/raw; the cache keeps them"
    told = summary.left(before(a=1, b=1, c=1, d=1, e=1, f=1), [kept("dogs")], cached=False)
    assert told == "6 photos of 6 queries no longer asked for (a, b, c, d, e ...) left data/raw"


def test_nothing_is_said_where_no_query_left_or_the_source_is_another():
    assert summary.left(before(cats=3), [kept("cats")], cached=True) == ""
    other = Attempt(source="folder", query="cats", rank=1, status="kept")
    assert summary.left(before(dogs=3), [other], cached=True) == ""

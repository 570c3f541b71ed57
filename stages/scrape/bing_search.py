"""A Bing image search with the package bing-image-downloader, which is used for its links only.

The package provides the parameters of requests to Bing. Its own download is not used, since it trusts every
link (file:, private addresses, bodies of any size). Nor is its loop over results pages: it requests a page
only once, without a size limit, requires UTF-8, extracts links with a regular expression, and advances by one
result per page.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.error import HTTPError
from urllib.parse import urlencode

from bing_image_downloader.bing import Bing

from stages.scrape import last_commit, searches
from stages.scrape.bing_pages import ResultsPages
from stages.scrape.manifest import Attempt
from stages.scrape.params import Params
from stages.scrape.results_page import results
from stages.scrape.source import Link
from stages.storage import cache
from stages.storage.tables import cell
from ungray.errors import UngrayError
from ungray.system.progress import Bar
from ungray.system.terminal import say, tell

LICENSES = {
    "any": "",
    "creative_commons": "+filterui:licenseType-Any",
    "public_domain": "+filterui:license-L1",
    "share": "+filterui:license-L2_L3_L4_L5_L6_L7",
    "share_commercially": "+filterui:license-L2_L3_L4",
    "modify": "+filterui:license-L2_L3_L5_L6",
    "modify_commercially": "+filterui:license-L2_L3",
}
"""Bing's code for each license filter."""

ADDRESS = "https://www.bing.com/images/async"

REPEATS = 3
"""The number of consecutive pages without a new link that mark the end of the results."""

CAPTCHA = re.compile(r"captcha|are you a (robot|human)|unusual traffic|solve the challenge|turnstile", re.I)

MAX_REASON = 200
"""The largest length of the error message of a search."""

MAX_FAILURES = 3
"""After this many consecutive failed searches there are no more retries: the network may be down."""


class LinkSearch(Bing):
    """A search that collects ``links``: the page that shows each photo, by the photo's address."""

    def __init__(self, query: str, *, params: Params, attempts: int) -> None:
        adult = "on" if params.safe_search else "off"
        super().__init__(query, params.limit, Path(), adult, params.timeout, filters(params), verbose=False)
        self.pages = ResultsPages(
            attempts=attempts, delay=params.delay, timeout=params.timeout, deadline=params.deadline
        )
        self.links: dict[str, str] = {}
        self.trouble = ""
        """What is wrong with the last page; empty if it is just the end of the results."""

    def run(self) -> None:
        """Search until there are ``limit`` links, or no more results.

        Raises:
            OSError, HTTPException, ValueError: a page cannot be fetched; the links of earlier pages are kept.
        """
        offset = repeats = 0
        while len(self.links) < self.limit and repeats < REPEATS:
            parameters = {
                "q": self.query,
                "first": offset,
                "count": self.limit,
                "adlt": self.adult,
                "qft": self.filter,
            }
            page = self.pages.text(f"{ADDRESS}?{urlencode(parameters)}", self.headers)
            found, before = results(page), len(self.links)
            if not found:
                self.trouble = self._trouble(page)
                break
            offset += len(found)
            for url, shown_by in found:
                if len(self.links) < self.limit:
                    self.links.setdefault(url, shown_by)
            repeats = 0 if len(self.links) > before else repeats + 1

    def _trouble(self, page: str) -> str:
        if CAPTCHA.search(page):
            return "search failed: Bing asks for a captcha, so wait some hours or use another network"
        if self.links:
            return ""
        if not page.strip():
            return "search failed: Bing sent an empty answer"
        return "search found nothing for these words and filters"


def filters(params: Params) -> str:
    """Return Bing's codes for the filters in ``params``, such as ``+filterui:photo-photo``."""
    return (
        ("+filterui:photo-photo" if params.photos_only else "")
        + ("+filterui:color2-color" if params.color_only else "")
        + (f"+filterui:imagesize-custom_{params.min_side}_{params.min_side}" if params.min_side else "")
        + LICENSES[params.license]
    )


def ask(query: str, params: Params, *, attempts: int) -> tuple[list[tuple[str, str]], str]:
    """Search for ``query``.

    Returns the links (address of the photo, page that shows it), best first, and an error message. If that is
    not empty, the links are those of the pages before the error.
    """
    search = LinkSearch(query, params=params, attempts=attempts)
    try:
        search.run()
    except Exception as error:  # servers can make Python's HTTP client raise anything
        search.trouble = f"search failed: {_reason(error)}"
    return list(search.links.items()), search.trouble


def _reason(error: Exception) -> str:
    """Return the message of ``error`` as one short line."""
    # The phrase after an HTTP status code is chosen by the server.
    message = f"HTTP Error {error.code}" if isinstance(error, HTTPError) else str(error)
    return cell(next(iter(message.splitlines()), "") or type(error).__name__)[:MAX_REASON]


def gather(params: Params, raw: Path) -> Iterator[Attempt | Link]:
    """Yield a link for each photo that Bing finds, and a row of rank 0 for each search that failed.

    A successful search is not repeated until ``params.refresh`` is raised; its new results are then added.

    Raises:
        UngrayError: there is no link for any query.
    """
    license = "" if params.license == "any" else f"Bing's filter {params.license}"
    store = cache.folder("scrape", "searches")
    if not any(store.iterdir()):
        _restore_from_last_commit(store)
    found = failed_in_a_row = 0
    trouble = ""
    for query in Bar(params.queries, desc="search", unit="query"):
        search = store / _fingerprint(query, params)
        answers = searches.load(search, upto=params.refresh)
        if params.refresh not in answers:
            attempts = params.attempts if failed_in_a_row < MAX_FAILURES else 1
            answers[params.refresh], failure = ask(query, params, attempts=attempts)
            failed_in_a_row = failed_in_a_row + 1 if failure else 0
            if failure:
                trouble = failure
                with Bar.external_write_mode():
                    say(f"{query}: {failure}")
                yield Attempt(
                    source="bing", query=query, rank=0, status="refused", reason=failure, license=license
                )
            else:
                searches.save(search, answers[params.refresh], refresh=params.refresh)
        links = searches.merged(answers)
        found += len(links)
        for rank, (url, shown_by) in enumerate(links, start=1):
            yield Link(source="bing", query=query, rank=rank, url=url, source_page=shown_by, license=license)
    if not found:
        raise UngrayError(
            f"Bing gave no link for any of {len(params.queries)} queries (last: {trouble}); "
            "check the network, or set scrape.source in params.yaml to sample or folder"
        )


def _fingerprint(query: str, params: Params) -> str:
    return cache.fingerprint("bing", query, params.limit, params.safe_search, filters(params))


def _restore_from_last_commit(store: Path) -> None:
    """Store the answers in the last commit's manifest, except the incomplete ones of failed searches."""
    last = last_commit.read_last_commit()
    if last is None:
        return
    rows = last.manifest[last.manifest["source"] == "bing"].sort_values("rank", kind="stable")
    for query, of_query in rows.groupby("query"):
        if of_query["rank"].iloc[0] > 0:
            answer = list(zip(of_query["url"], of_query["source_page"], strict=True))
            searches.save(store / _fingerprint(str(query), last.params), answer, refresh=last.params.refresh)
    if len(rows):
        tell("scrape: the cache is empty; resuming from the searches and downloads of the last commit")

"""A Bing image search by the package bing-image-downloader, for its links only.

The package says how Bing is asked. Its own downloading trusts every link (file:, private addresses, bodies of
any size) and is not used; nor is its loop over the pages, which asks for a page once, reads it whole, must
find UTF-8 in it, cuts links out by a regular expression, and moves on by one result a page.
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
"""Pages in a row without a new link after which the results are at their end."""

CAPTCHA = re.compile(r"captcha|are you a (robot|human)|unusual traffic|solve the challenge|turnstile", re.I)

LONGEST_REASON = 200
"""Letters of what went wrong with a search."""

SHORT_OF_PATIENCE = 3
"""After so many failed searches in a row, each further query is asked once only: the network may be down."""


class LinkSearch(Bing):
    """A search that collects ``links``: the address of each photo, once, and of the page that shows it."""

    def __init__(self, query: str, *, params: Params, attempts: int) -> None:
        adult = "on" if params.safe_search else "off"
        super().__init__(query, params.limit, Path(), adult, params.timeout, filters(params), verbose=False)
        self.pages = ResultsPages(
            attempts=attempts, delay=params.delay, timeout=params.timeout, deadline=params.deadline
        )
        self.links: dict[str, str] = {}
        self.trouble = ""
        """What is wrong with the last page; empty if it may be the end of the results."""

    def run(self) -> None:
        """Search, until there are ``limit`` links or no more.

        Raises:
            OSError, HTTPException, ValueError: a page cannot be had; the links of those before are there.
        """
        offset = repeats = 0
        while len(self.links) < self.limit and repeats < REPEATS:
            asked = {
                "q": self.query,
                "first": offset,
                "count": self.limit,
                "adlt": self.adult,
                "qft": self.filter,
            }
            page = self.pages.text(f"{ADDRESS}?{urlencode(asked)}", self.headers)
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
    """Search for ``query`` now.

    Returns the links (address, page that shows the photo), best first, and what went wrong, if anything: then
    the links are those of the pages before.
    """
    search = LinkSearch(query, params=params, attempts=attempts)
    try:
        search.run()
    except Exception as error:  # whatever a server makes Python's HTTP client raise
        search.trouble = f"search failed: {_reason(error)}"
    return list(search.links.items()), search.trouble


def _reason(error: Exception) -> str:
    """Return one short line of what ``error`` says."""
    # The words beside a status are the server's own.
    said = f"HTTP Error {error.code}" if isinstance(error, HTTPError) else str(error)
    return cell(next(iter(said.splitlines()), "") or type(error).__name__)[:LONGEST_REASON]


def gather(params: Params, raw: Path) -> Iterator[Attempt | Link]:
    """Yield a link for each photo that Bing finds, and a row of rank 0 for each search that failed.

    A search that succeeded is not asked again until ``params.refresh`` is raised; then what it finds is
    added.

    Raises:
        UngrayError: not one link for any query.
    """
    license = "" if params.license == "any" else f"Bing's filter {params.license}"
    store = cache.folder("scrape", "searches")
    if not any(store.iterdir()):
        _take_up_last_commit(store)
    found = failed_in_a_row = 0
    trouble = ""
    for query in Bar(params.queries, desc="search", unit="query"):
        search = store / _fingerprint(query, params)
        answers = searches.known(search, upto=params.refresh)
        if params.refresh not in answers:
            attempts = params.attempts if failed_in_a_row < SHORT_OF_PATIENCE else 1
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
                searches.keep(search, answers[params.refresh], refresh=params.refresh)
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


def _take_up_last_commit(store: Path) -> None:
    """Keep the answers that the last commit's manifest tells of; those of failed searches are not whole."""
    last = last_commit.read()
    if last is None:
        return
    rows = last.manifest[last.manifest["source"] == "bing"].sort_values("rank", kind="stable")
    for query, of_query in rows.groupby("query"):
        if of_query["rank"].iloc[0] > 0:
            answer = list(zip(of_query["url"], of_query["source_page"], strict=True))
            searches.keep(store / _fingerprint(str(query), last.params), answer, refresh=last.params.refresh)
    if len(rows):
        tell("scrape: the cache is empty; going on from the searches and downloads of the last commit")

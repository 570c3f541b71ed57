"""A Bing image search through the package bing-image-downloader, for its links only.

The package's own downloading trusts every link (file:, private addresses, bodies of any size) and is not
used.
"""

from __future__ import annotations

import contextlib
import io
import urllib
from collections.abc import Iterator
from pathlib import Path
from urllib.error import HTTPError

from bing_image_downloader import bing as package

from stages.scrape import last_commit, searches
from stages.scrape.bing_pages import ResultsPages
from stages.scrape.manifest import Attempt
from stages.scrape.params import Params
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

LONGEST_REASON = 200
"""Letters of what went wrong with a search."""

SHORT_OF_PATIENCE = 3
"""After so many failed searches in a row, each further query is asked once only: the network may be down."""


class LinkSearch(package.Bing):
    """The package's search, which collects ``links`` (address, page that shows it) and downloads nothing."""

    def __init__(self, query: str, *, params: Params, attempts: int) -> None:
        self.links: list[tuple[str, str]] = []
        self.pages = ResultsPages(attempts=attempts, delay=params.delay, deadline=params.deadline)
        adult = "on" if params.safe_search else "off"
        super().__init__(query, params.limit, Path(), adult, params.timeout, filters(params), verbose=False)

    def get_filter(self, shorthand: str) -> str:
        """Return Bing's filter codes as they are, where the package knows short names for a few."""
        return shorthand

    def download_image(self, link: str) -> None:
        """Collect ``link``."""
        self.links.append(self.pages.link(link))
        self.download_count += 1

    def run(self) -> None:
        """Search, until there are ``limit`` links or no more."""
        package.urllib = self.pages.as_urllib()
        try:
            with contextlib.redirect_stdout(io.StringIO()):
                super().run()
        finally:
            package.urllib = urllib


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
        return search.links, f"search failed: {_reason(error)}"
    return search.links, "" if len(search.links) >= params.limit else search.pages.trouble()


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

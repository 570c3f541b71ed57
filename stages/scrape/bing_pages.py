"""Bing's results pages, asked for with patience and read with care.

:class:`ResultsPages` stands where the package bing-image-downloader has ``urllib``. The package asks for a
page once, reads it whole, must find UTF-8 in it, cuts links out of it by a regular expression, and moves on
by one result a page. It is given pages of numbers instead of links, one for each photo of the true page.
"""

from __future__ import annotations

import io
import re
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from concurrent.futures import Future
from http.client import HTTPException, HTTPResponse
from types import SimpleNamespace

from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_attempt, wait_exponential_jitter

from stages.scrape.results_page import results
from ungray.fetch.responses import FetchError, Unpacking, seconds_to_wait

MAX_PAGE = 8_000_000
"""Bytes of a results page; a real one has under a million."""

REPEATS = 3
"""Pages in a row without a new link after which the results are at their end."""

CHARSET = re.compile(
    r"utf-?(8|16)|us-ascii|iso-?8859-\d+|latin-?1|windows-125\d|gb\w+|big5|shift_jis|euc-\w+|koi8-\w"
)
"""Names of character sets that pages come in; any other page is read as UTF-8. Python knows stranger ones."""

CAPTCHA = re.compile(r"captcha|are you a (robot|human)|unusual traffic|solve the challenge|turnstile", re.I)


class ResultsPages:
    """The results pages of one search.

    ``links`` holds each photo found so far, once: its address and the page that shows it. ``offset`` is the
    number of results on the pages so far, ``last`` the text of the last page.

    Args:
        attempts: how often a page that fails is asked for.
        delay: seconds before every request; a failed one is repeated after twice as long, then four times ...
        deadline: seconds in all until a page is given up.
    """

    def __init__(self, *, attempts: int, delay: float, deadline: float) -> None:
        self.links: list[tuple[str, str]] = []
        self._numbers: dict[str, int] = {}
        self._found = 0
        self.offset = 0
        self.last = ""
        self.delay = delay
        self.deadline = deadline
        self._retrying = Retrying(
            stop=stop_after_attempt(attempts),
            wait=self._wait,
            retry=retry_if_exception(_may_pass),
            reraise=True,
        )

    def as_urllib(self) -> SimpleNamespace:
        """Return what the package takes for the module ``urllib``."""
        request = SimpleNamespace(Request=urllib.request.Request, urlopen=self.urlopen)
        return SimpleNamespace(parse=urllib.parse, request=request)

    def urlopen(self, request: urllib.request.Request, timeout: float) -> io.BytesIO:
        """Return the next page that has a new link, or the last one; numbers stand for links (:meth:`link`).

        Raises:
            OSError, HTTPException, ValueError: the page cannot be had.
        """
        found: list[tuple[str, str]] = []
        for _ in range(REPEATS):
            self.last = self._retrying(self._ask, request, timeout)
            found = results(self.last)
            self.offset += len(found)
            if not found or any(url not in self._numbers for url, _ in found):
                break
        self._found = len(found)
        for url, shown_by in found:
            if self._numbers.setdefault(url, len(self.links)) == len(self.links):
                self.links.append((url, shown_by))
        numbers = dict.fromkeys(self._numbers[url] for url, _ in found)
        return io.BytesIO("".join(f"murl&quot;:&quot;{number}&quot;" for number in numbers).encode())

    def link(self, number: str) -> tuple[str, str]:
        """Return what the package found as ``number``: the photo's address and the page that shows it."""
        return self.links[int(number)]

    def trouble(self) -> str:
        """Say what is wrong with the last page; nothing if it may be the end of the results."""
        if self._found:
            return ""
        if CAPTCHA.search(self.last):
            return "search failed: Bing asks for a captcha, so wait some hours or use another network"
        if self.links:
            return ""
        if not self.last.strip():
            return "search failed: Bing sent an empty answer"
        return "search found nothing for these words and filters"

    def _ask(self, request: urllib.request.Request, timeout: float) -> str:
        time.sleep(self.delay)
        parts = urllib.parse.urlsplit(request.full_url)
        asked = dict(urllib.parse.parse_qsl(parts.query, keep_blank_values=True))
        asked["first"] = str(self.offset)
        url = parts._replace(query=urllib.parse.urlencode(asked)).geturl()
        asking = urllib.request.Request(url, headers=dict(request.headers))
        try:
            return _within(self.deadline, lambda: self._page(asking, timeout))
        except TimeoutError as error:
            # A socket's own message names seconds without a word; a Future's says nothing at all.
            raise TimeoutError(
                str(error) or f"a results page took longer than {self.deadline:g} seconds"
            ) from None

    def _page(self, request: urllib.request.Request, timeout: float) -> str:
        with urllib.request.urlopen(request, timeout=timeout) as response:
            try:
                body = self._body(response)
            except FetchError as error:
                raise ValueError(f"a damaged results page ({error})") from None
            charset = response.headers.get_content_charset("utf-8")
            return body.decode(charset if CHARSET.fullmatch(charset) else "utf-8", errors="replace")

    def _body(self, response: HTTPResponse) -> bytes:
        unpacking = Unpacking(", ".join(response.headers.get_all("Content-Encoding", [])))
        came, body, start = 0, bytearray(), time.monotonic()
        while more := response.read1(65536):
            came += len(more)
            for piece in unpacking.pieces(more):
                body += piece
                if max(len(body), came) > MAX_PAGE:
                    raise ValueError(f"a results page of more than {MAX_PAGE / 1e6:g} MB")
            if time.monotonic() - start > self.deadline:
                raise TimeoutError  # nobody waits for it any more
        if response.length:  # http.client says nothing
            raise ConnectionError("a results page was cut off")
        unpacking.check_end()
        return bytes(body)

    def _wait(self, state: RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        wished = error.headers.get("Retry-After", "") if isinstance(error, urllib.error.HTTPError) else ""
        wait = wait_exponential_jitter(multiplier=2 * self.delay, max=60, jitter=self.delay)(state)
        return max(wait, min(60.0, seconds_to_wait(wished)))


def _may_pass(error: BaseException) -> bool:
    if isinstance(error, urllib.error.HTTPError):
        return error.code in (408, 429) or error.code >= 500
    return isinstance(error, OSError | HTTPException)


def _within(seconds: float, work: Callable[[], str]) -> str:
    """Return what ``work`` returns; after so many seconds nobody waits for it any more.

    The time-out of a socket begins anew with every byte, and so http.client may read headers for ever.

    Raises:
        TimeoutError: it took longer.
    """
    future: Future[str] = Future()

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=run, name="results page", daemon=True).start()
    return future.result(seconds)

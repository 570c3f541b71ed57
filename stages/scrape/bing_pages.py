"""Bing's results pages, asked for with patience and read with care.

:class:`ResultsPages` stands where the package bing-image-downloader has ``urllib``. The package asks for a
page once, reads it whole, must find UTF-8 in it, and moves on by one result a page.
"""

from __future__ import annotations

import html
import io
import json
import re
import time
import urllib.error
import urllib.parse
import urllib.request
import zlib
from http.client import HTTPException, HTTPResponse
from types import SimpleNamespace

from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_attempt, wait_exponential_jitter

MAX_PAGE = 8_000_000
"""Bytes of a results page; a real one has under a million."""

REPEATS = 3
"""Pages in a row without a new link after which the results are at their end."""

LINK = re.compile("murl&quot;:&quot;(.*?)&quot;")  # the package's own
ABOUT = re.compile(r'\bm="([^"]*)"')
CAPTCHA = re.compile(r"captcha|are you a (robot|human)|unusual traffic|solve the challenge|turnstile", re.I)


class ResultsPages:
    """The results pages of one search.

    ``links`` has an entry for each link found so far, as the package reads it: its address and the page that
    shows the photo. ``offset`` is the number of results on the pages so far, ``last`` the text of the last
    page.

    Args:
        attempts: how often a page that fails is asked for.
        delay: seconds before every request; a failed one is repeated after twice as long, then four times ...
        deadline: seconds in all until a page is given up.
    """

    def __init__(self, *, attempts: int, delay: float, deadline: float) -> None:
        self.links: dict[str, tuple[str, str]] = {}
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
        """Return the next page that has a new link, or the last one, as UTF-8.

        Raises:
            OSError, HTTPException, ValueError: the page cannot be had.
        """
        for _ in range(REPEATS):
            self.last = self._retrying(self._ask, request, timeout)
            found = _links(self.last)
            self.offset += len(LINK.findall(self.last))
            if not found or found.keys() - self.links.keys():
                break
        self.links |= {link: about for link, about in found.items() if link not in self.links}
        return io.BytesIO(self.last.encode())

    def trouble(self) -> str:
        """Say what is wrong with the last page; nothing if it may be the end of the results."""
        if LINK.search(self.last):
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
        with urllib.request.urlopen(
            urllib.request.Request(url, headers=dict(request.headers)), timeout=timeout
        ) as response:
            body = self._read(response)
            if response.headers.get("Content-Encoding") in ("gzip", "deflate"):
                body = _unpacked(body)
            if len(body) > MAX_PAGE:
                raise ValueError(f"a results page of more than {MAX_PAGE / 1e6:g} MB")
            try:
                return body.decode(response.headers.get_content_charset("utf-8"), errors="replace")
            except LookupError:  # a character set that nobody knows
                return body.decode(errors="replace")

    def _read(self, response: HTTPResponse) -> bytes:
        body, start = b"", time.monotonic()
        while len(body) <= MAX_PAGE and (more := response.read1(65536)):
            body += more
            if time.monotonic() - start > self.deadline:
                raise TimeoutError(f"a results page took longer than {self.deadline:g} seconds")
        if response.length and len(body) <= MAX_PAGE:  # http.client says nothing
            raise ConnectionError("a results page was cut off")
        return body

    def _wait(self, state: RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        wished = error.headers.get("Retry-After", "") if isinstance(error, urllib.error.HTTPError) else ""
        wait = wait_exponential_jitter(multiplier=2 * self.delay, max=60, jitter=self.delay)(state)
        return max(wait, min(60, int(wished))) if wished.isdecimal() else wait


def _may_pass(error: BaseException) -> bool:
    if isinstance(error, urllib.error.HTTPError):
        return error.code in (408, 429) or error.code >= 500
    return isinstance(error, OSError | HTTPException)


def _unpacked(body: bytes) -> bytes:
    unpacking = zlib.decompressobj(wbits=47)
    try:
        unpacked = unpacking.decompress(body, MAX_PAGE + 1)
    except zlib.error as error:
        raise ValueError(f"a damaged results page ({error})") from None
    if not unpacking.eof and len(unpacked) <= MAX_PAGE:
        raise ValueError("a damaged results page (it ends too soon)")
    return unpacked


def _links(page: str) -> dict[str, tuple[str, str]]:
    """Return each link of ``page`` as the package reads it -> its address, the page that shows it.

    The package cuts the address out of the JSON that describes a result; where that JSON can be read it is,
    so that an escaped letter in an address comes out right.
    """
    found = {_as_package(link): (_as_package(link), "") for link in LINK.findall(page)}
    for about in ABOUT.findall(page):
        link = LINK.search(about)
        try:
            result = json.loads(html.unescape(about))
        except ValueError:
            continue
        if link and isinstance(result, dict) and isinstance(result.get("murl"), str):
            shown_by = result.get("purl")
            found[_as_package(link[1])] = (
                result["murl"].replace(" ", "%20"),
                shown_by if isinstance(shown_by, str) else "",
            )
    return found


def _as_package(link: str) -> str:
    return html.unescape(link).replace(" ", "%20")

"""Fetches the results pages of a search, with retries and limits on size and time."""

from __future__ import annotations

import re
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from http.client import HTTPException, HTTPResponse

from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_attempt, wait_exponential_jitter

from ungray.fetch.responses import FetchError, Unpacking, seconds_to_wait

MAX_PAGE = 8_000_000
"""The largest results page in bytes; a real one has under a million."""

CHARSET = re.compile(
    r"utf-?(8|16)|us-ascii|iso-?8859-\d+|latin-?1|windows-125\d|gb\w+|big5|shift_jis|euc-\w+|koi8-\w"
)
"""The character sets that are supported; pages in others are decoded as UTF-8. Python has stranger codecs."""


class ResultsPages:
    """Fetches results pages.

    Args:
        attempts: how often a failing page is requested.
        delay: seconds before every request; the wait before a retry is twice as long, then four times ...
        timeout: seconds without data after which a request is given up.
        deadline: seconds in all after which it is given up.
    """

    def __init__(self, *, attempts: int, delay: float, timeout: float, deadline: float) -> None:
        self.delay = delay
        self.timeout = timeout
        self.deadline = deadline
        self._retrying = Retrying(
            stop=stop_after_attempt(attempts),
            wait=self._wait,
            retry=retry_if_exception(_is_temporary),
            reraise=True,
        )

    def text(self, url: str, headers: Mapping[str, str]) -> str:
        """Return the page at ``url``.

        Raises:
            OSError, HTTPException, ValueError: the page cannot be fetched.
        """
        return self._retrying(self._ask, urllib.request.Request(url, headers=dict(headers)))

    def _ask(self, request: urllib.request.Request) -> str:
        time.sleep(self.delay)
        try:
            return _within(self.deadline, lambda: self._page(request))
        except TimeoutError as error:
            # The message of a Future's timeout is empty.
            raise TimeoutError(
                str(error) or f"a results page took longer than {self.deadline:g} seconds"
            ) from None

    def _page(self, request: urllib.request.Request) -> str:
        with urllib.request.urlopen(request, timeout=self.timeout) as response:
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
                raise TimeoutError  # the caller has already given up
        if response.length:  # http.client does not report a truncated body
            raise ConnectionError("a results page was cut off")
        unpacking.check_end()
        return bytes(body)

    def _wait(self, state: RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        wished = error.headers.get("Retry-After", "") if isinstance(error, urllib.error.HTTPError) else ""
        wait = wait_exponential_jitter(multiplier=2 * self.delay, max=60, jitter=self.delay)(state)
        return max(wait, min(60.0, seconds_to_wait(wished)))


def _is_temporary(error: BaseException) -> bool:
    if isinstance(error, urllib.error.HTTPError):
        return error.code in (408, 429) or error.code >= 500
    return isinstance(error, OSError | HTTPException)


def _within(seconds: float, work: Callable[[], str]) -> str:
    """Return the result of ``work``; after ``seconds``, stop waiting for it.

    The timeout of a socket restarts with every byte, so http.client might read headers forever.

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

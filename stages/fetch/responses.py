"""What the answer of an image host says: its status, its wishes, its body; nothing of it is trusted."""

from __future__ import annotations

import re
import zlib
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpx

BOT = "ungray"
"""The name by which a host can address us in X-Robots-Tag."""

OPT_OUTS = {"noai", "noimageai", "noindex", "noimageindex", "none"}
"""Tags by which a host asks to be left out of image collections; ``none`` is noindex and nofollow."""

TEMPORARY = {408, 429, 500, 502, 503, 504}
"""HTTP statuses after which a second request may do better."""

STEP = 65536
"""Bytes that unpacking hands on at a time."""


class FetchError(Exception):
    """A link that gives no photo; the message says why in a few words, the same ones in every run."""


class TryLaterError(FetchError):
    """A link that may give a photo later, after ``wait`` seconds if its host named a time."""

    def __init__(self, reason: str, *, wait: float = 0.0) -> None:
        super().__init__(reason)
        self.wait = wait


def check_status(response: httpx.Response) -> None:
    """Pass an answer that holds a body or leads on to another address.

    Raises:
        TryLaterError: the host has trouble for now, or wants to be asked less often.
        FetchError: any other status.
    """
    if response.status_code in TEMPORARY:
        wait = seconds_to_wait(response.headers.get("Retry-After", ""))
        raise TryLaterError(f"HTTP {response.status_code}", wait=wait)
    if response.status_code != 200 and not response.has_redirect_location:
        raise FetchError(f"HTTP {response.status_code}")


def seconds_to_wait(retry_after: str) -> float:
    """Read a Retry-After header, seconds or an HTTP date (RFC 9110, 10.2.3); 0 if it is neither."""
    if re.fullmatch(r"\s*[0-9]+\s*", retry_after):
        return float(retry_after)
    try:
        return max(0.0, (parsedate_to_datetime(retry_after) - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError):  # TypeError: a date without time zone
        return 0.0


def opt_out(headers: httpx.Headers) -> str:
    """Return the tag in the X-Robots-Tag headers by which the host opts out, empty if there is none.

    ``X-Robots-Tag: somebot: noindex, nofollow`` speaks to that bot alone, as img2dataset reads it too.
    """
    for line in headers.get_list("X-Robots-Tag"):
        to_us = True
        for part in line.lower().split(","):
            name, colon, tag = (text.strip() for text in part.rpartition(":"))
            # A number or date belongs to unavailable_after and max-snippet, which are tags, not bots.
            if colon and re.fullmatch(r"[a-z][\w.-]*", name) and not re.match(r"max-|unavailable_", name):
                to_us = name == BOT
            if to_us and tag in OPT_OUTS:
                return tag
    return ""


async def body(response: httpx.Response, *, max_bytes: int) -> AsyncIterator[bytes]:
    """Yield the body in parts, unpacked if it came packed; memory does not grow with either length.

    Raises:
        FetchError: longer than ``max_bytes``, as it came or unpacked; packed in another way than gzip or
            deflate, or damaged.
        httpx.TransportError: the connection broke off before the announced end.
    """
    too_long = FetchError(f"larger than {max_bytes / 1e6:g} MB")
    if int(response.headers.get("Content-Length", 0)) > max_bytes:
        raise too_long
    unpack = Unpacking(response.headers.get("Content-Encoding", ""))
    came = unpacked = 0
    async for part in response.aiter_raw():
        came += len(part)
        for piece in unpack.pieces(part):
            unpacked += len(piece)
            if unpacked > max_bytes:
                raise too_long
            yield piece
        if came > max_bytes:
            raise too_long
    unpack.check_end()


class Unpacking:
    """Takes a body's content encoding off, a step at a time."""

    def __init__(self, encoding: str) -> None:
        """``encoding`` is the header Content-Encoding; raises FetchError if we did not learn it."""
        self.encoding = encoding.strip().lower().removeprefix("x-")
        if self.encoding not in ("", "identity", "gzip", "deflate"):
            raise FetchError("packed in another way than gzip or deflate")
        self.inflater = zlib.decompressobj(31) if self.encoding == "gzip" else None

    def pieces(self, packed: bytes) -> Iterator[bytes]:
        """Yield what ``packed``, the next part of the body, unpacks to, in pieces of STEP bytes at most."""
        if self.encoding in ("", "identity"):
            yield packed
            return
        if self.inflater is None and packed:
            # deflate means the zlib format, but some servers send it bare; the first byte tells (RFC 1950).
            self.inflater = zlib.decompressobj(15 if packed[0] & 0x0F == 8 else -15)
        piece = b""
        while self.inflater and not self.inflater.eof and (packed or len(piece) == STEP):
            try:
                piece = self.inflater.decompress(packed, STEP)
            except zlib.error:
                raise FetchError(f"damaged: not {self.encoding}") from None
            packed = self.inflater.unconsumed_tail
            yield piece

    def check_end(self) -> None:
        """Raise FetchError if more should have come."""
        if self.inflater and not self.inflater.eof:
            raise FetchError(f"damaged: {self.encoding} cut off")

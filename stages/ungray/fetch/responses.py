"""What the answer of an image host says: its status, its wishes, its body; nothing of it is trusted."""

from __future__ import annotations

import re
import zlib
from collections.abc import AsyncIterable, AsyncIterator, Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpx

BOT = "ungray"
"""The name by which a host can address us in X-Robots-Tag."""

OPT_OUTS = {"noai", "noimageai", "noml", "noindex", "noimageindex", "none"}
"""Rules by which a host asks to be left out of image collections; ``none`` is noindex and nofollow."""

VALUED = re.compile(r"max-|unavailable_after$")
"""How a rule of X-Robots-Tag begins that has a value behind a colon; before other colons are bots' names."""

CODINGS = {"aes128gcm", "br", "compress", "dcb", "dcz", "deflate", "exi", "gzip", "pack200-gzip", "zstd"}
"""The content codings that IANA lists, without the prefix x-, that change a body. What else hosts write there
(none, binary, utf-8, aws-chunked) does not: whether the bytes are a photo is seen when it is decoded."""

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
    # 203: the photo, passed on by a proxy that changed something of it, such as its size.
    if response.status_code not in (200, 203) and not response.has_redirect_location:
        raise FetchError(f"HTTP {response.status_code}")


def seconds_to_wait(retry_after: str) -> float:
    """Read a Retry-After header, seconds or an HTTP date (RFC 9110, 10.2.3); 0 if it is neither."""
    if re.fullmatch(r"\s*[0-9]+\s*", retry_after):
        return float(retry_after)
    try:
        then = parsedate_to_datetime(retry_after)
        # A date without a time zone is one in UTC, as all of HTTP are.
        then = then if then.tzinfo else then.replace(tzinfo=UTC)
        return max(0.0, (then - datetime.now(UTC)).total_seconds())
    except Exception:  # what Python raises for a date that is none is not one kind of error
        return 0.0


def opt_out(headers: httpx.Headers) -> str:
    """Return the header by which the host opts out, such as ``X-Robots-Tag: noai``; empty if there is none.

    Honored are the rules of :data:`OPT_OUTS` in X-Robots-Tag, unless they speak to another bot alone as in
    ``X-Robots-Tag: somebot: noindex, nofollow``, and ``tdm-reservation: 1`` of the TDM Reservation Protocol.
    """
    for line in headers.get_list("X-Robots-Tag"):
        if rule := _robots_opt_out(line):
            return f"X-Robots-Tag: {rule}"
    if any(value.strip() == "1" for value in headers.get_list("tdm-reservation", split_commas=True)):
        return "tdm-reservation: 1"
    return ""


def _robots_opt_out(line: str) -> str:
    """Return the rule of a line of X-Robots-Tag that asks us, or every bot, to leave the photo out."""
    to_us = True
    for part in line.lower().split(","):
        rule = part.strip()
        while ":" in rule:
            name, _, rest = (text.strip() for text in rule.partition(":"))
            # No bot: a rule with its value, or the hours of a date behind a weekday and a comma.
            if VALUED.match(name) or re.match(r"[0-9]", name):
                break
            # From here to the end of the line, or to the next name, the rules are for that bot.
            to_us = name.partition("/")[0] in (BOT, "*", "")
            rule = rest
        if to_us and rule in OPT_OUTS:
            return rule
    return ""


async def body(
    response: httpx.Response, parts: AsyncIterable[bytes], *, max_bytes: int
) -> AsyncIterator[bytes]:
    """Yield ``parts``, those of the response's body as they came, unpacked if they came packed.

    Memory grows with neither length.

    Raises:
        FetchError: longer than ``max_bytes``, as it came or unpacked; packed in another way than gzip or
            deflate, or damaged.
    """
    too_long = FetchError(f"larger than {max_bytes / 1e6:g} MB")
    if int(response.headers.get("Content-Length", 0)) > max_bytes:
        raise too_long
    unpack = Unpacking(response.headers.get("Content-Encoding", ""))
    came = unpacked = 0
    async for part in parts:
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
        named = [coding.strip().lower().removeprefix("x-") for coding in encoding.split(",")]
        codings = [coding for coding in named if coding in CODINGS]
        if codings not in ([], ["gzip"], ["deflate"]):
            raise FetchError("packed in another way than gzip or deflate")
        self.encoding = codings[0] if codings else ""
        self.inflater = zlib.decompressobj(31) if self.encoding == "gzip" else None

    def pieces(self, packed: bytes) -> Iterator[bytes]:
        """Yield what ``packed``, the next part of the body, unpacks to, in pieces of STEP bytes at most."""
        if not self.encoding:
            yield packed
            return
        if self.inflater is None and packed:
            # deflate means the zlib format, but some servers send it bare; the first byte tells (RFC 1950).
            self.inflater = zlib.decompressobj(15 if packed[0] & 0x0F == 8 else -15)
        piece = b""
        while self.inflater and (packed or len(piece) == STEP):
            if self.inflater.eof:
                packed = self._next_member(packed)
                if self.inflater.eof:
                    return
            try:
                piece = self.inflater.decompress(packed, STEP)
            except zlib.error:
                raise FetchError(f"damaged: not {self.encoding}") from None
            packed = self.inflater.unconsumed_tail or self.inflater.unused_data
            yield piece

    def _next_member(self, packed: bytes) -> bytes:
        """Begin the next member of a gzip file (RFC 1952, 2.2) if ``packed`` has one; return what is left."""
        # What else follows is padding, or whatever a browser passes over too.
        if self.encoding == "gzip" and packed[:1] == b"\x1f":
            self.inflater = zlib.decompressobj(31)
            return packed
        return b""

    def check_end(self) -> None:
        """Raise FetchError if more should have come."""
        if self.inflater and not self.inflater.eof:
            raise FetchError(f"damaged: {self.encoding} cut off")

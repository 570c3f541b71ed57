"""Interprets the response of an image host: status, opt-outs, body. Nothing in it is trusted."""

from __future__ import annotations

import re
import zlib
from collections.abc import AsyncIterable, AsyncIterator, Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpx

BOT = "ungray"
"""Our name in X-Robots-Tag."""

OPT_OUTS = {"noai", "noimageai", "noml", "noindex", "noimageindex", "none"}
"""The rules by which a host opts out of image collections; ``none`` means noindex and nofollow."""

VALUED = re.compile(r"max-|unavailable_after$")
"""The start of rules of X-Robots-Tag with a value after a colon; before any other colon is a bot's name."""

QUOTES = " \t\"'"
"""What may stand around a word of a header."""

CODINGS = {"aes128gcm", "br", "compress", "dcb", "dcz", "deflate", "exi", "gzip", "pack200-gzip", "zstd"}
"""The content codings listed by IANA, without the prefix x-, that change a body. Other values that hosts send
(none, binary, utf-8, aws-chunked) don't: decoding shows whether the bytes are a photo."""

TEMPORARY = {408, 429, 500, 502, 503, 504}
"""HTTP statuses after which another request may succeed."""

STEP = 65536
"""The largest number of bytes that are unpacked at a time."""


class FetchError(Exception):
    """No photo was fetched from a link; the message says why in a few words, the same ones in every run."""


class TryLaterError(FetchError):
    """A temporary failure: retry after ``wait`` seconds, 0 if the host named no time."""

    def __init__(self, reason: str, *, wait: float = 0.0) -> None:
        super().__init__(reason)
        self.wait = wait


def check_status(response: httpx.Response) -> None:
    """Accept a response that has a body or is a redirect.

    Raises:
        TryLaterError: the host has a temporary failure, or limits the rate of requests.
        FetchError: any other status.
    """
    if response.status_code in TEMPORARY:
        wait = seconds_to_wait(response.headers.get("Retry-After", ""))
        raise TryLaterError(f"HTTP {response.status_code}", wait=wait)
    # 203: the photo, after a proxy has changed it, for example its size.
    if response.status_code not in (200, 203) and not response.has_redirect_location:
        raise FetchError(f"HTTP {response.status_code}")


def seconds_to_wait(retry_after: str) -> float:
    """Parse a Retry-After header, seconds or an HTTP date (RFC 9110, 10.2.3); 0 if it is neither."""
    if re.fullmatch(r"\s*[0-9]+\s*", retry_after):
        return float(retry_after)
    try:
        then = parsedate_to_datetime(retry_after)
        # A date without a time zone is in UTC, as all HTTP dates.
        then = then if then.tzinfo else then.replace(tzinfo=UTC)
        return max(0.0, (then - datetime.now(UTC)).total_seconds())
    except Exception:  # for invalid dates, Python raises errors of several kinds
        return 0.0


def opt_out(headers: httpx.Headers) -> str:
    """Return the header by which the host opts out, such as ``X-Robots-Tag: noai``; empty if there is none.

    Two headers count: X-Robots-Tag with a rule of :data:`OPT_OUTS`, unless it addresses only another bot, as
    ``X-Robots-Tag: somebot: noindex, nofollow`` does, and ``tdm-reservation: 1`` of the TDM Reservation
    Protocol. Quotes around a rule and semicolons, which some hosts write, hide no opt-out.
    """
    for line in headers.get_list("X-Robots-Tag"):
        if rule := _robots_opt_out(line):
            return f"X-Robots-Tag: {rule}"
    reserved = headers.get_list("tdm-reservation", split_commas=True)
    if any(value.partition(";")[0].strip(QUOTES) == "1" for value in reserved):
        return "tdm-reservation: 1"
    return ""


def _robots_opt_out(line: str) -> str:
    """Return the rule in a line of X-Robots-Tag that asks us, or every bot, to leave the photo out."""
    to_us = True
    for part in re.split("[,;]", line.lower()):
        rule = part.strip(QUOTES)
        while ":" in rule:
            name, _, rest = (text.strip(QUOTES) for text in rule.partition(":"))
            # Not a bot's name, but a rule with a value, or the hours of a date after its weekday and comma.
            if VALUED.match(name) or re.match(r"[0-9]", name):
                break
            # The following rules, up to the next name or the end of the line, are for this bot.
            to_us = name.partition("/")[0] in (BOT, "*", "")
            rule = rest
        if to_us and rule in OPT_OUTS:
            return rule
    return ""


async def body(
    response: httpx.Response, parts: AsyncIterable[bytes], *, max_bytes: int
) -> AsyncIterator[bytes]:
    """Yield the body of ``response``, whose ``parts`` are those received, decompressed if necessary.

    Memory does not grow with the length of the body.

    Raises:
        FetchError: it is longer than ``max_bytes``, compressed or not; it is compressed in another way than
            gzip or deflate; or it is damaged.
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
    """Decompresses a body step by step."""

    def __init__(self, encoding: str) -> None:
        """``encoding`` is the header Content-Encoding; raises FetchError if it is not supported."""
        words = [coding.partition(";")[0].strip(QUOTES) for coding in encoding.lower().split(",")]
        named = [word.removeprefix("x-") for word in words]
        codings = [coding for coding in named if coding in CODINGS]
        if codings not in ([], ["gzip"], ["deflate"]):
            raise FetchError("compressed by another method than gzip or deflate")
        self.encoding = codings[0] if codings else ""
        self.inflater = zlib.decompressobj(31) if self.encoding == "gzip" else None

    def pieces(self, packed: bytes) -> Iterator[bytes]:
        """Decompress ``packed``, the next part of the body; yield pieces of at most STEP bytes."""
        if not self.encoding:
            yield packed
            return
        if self.inflater is None and packed:
            # deflate means the zlib format, but some servers omit its header: see the first byte (RFC 1950).
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
        """Start the next member of a gzip file (RFC 1952, 2.2) if ``packed`` has one; return what is left."""
        # Anything else is padding or junk, which browsers ignore too.
        if self.encoding == "gzip" and packed[:1] == b"\x1f":
            self.inflater = zlib.decompressobj(31)
            return packed
        return b""

    def check_end(self) -> None:
        """Raise FetchError if the body was incomplete."""
        if self.inflater and not self.inflater.eof:
            raise FetchError(f"damaged: {self.encoding} cut off")

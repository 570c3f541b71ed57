"""PNG: its chunks are checked before a decoder sees them."""

from __future__ import annotations

import zlib

from ungray.imaging.reading.formats import PhotoError

HEAD = b"\x89PNG\r\n\x1a\n"
END = b"\0\0\0\0IEND\xaeB`\x82"

CRITICAL = (b"IHDR", b"PLTE", b"IDAT", b"tRNS")
"""Chunks on which the pixels depend."""


def mended(content: bytes) -> bytes:
    """Return a PNG without its damaged metadata chunks, and with an end.

    These are the same bytes if nothing is damaged, as nearly always.

    Raises:
        PhotoError: a chunk on which pixels depend is damaged or truncated.
    """
    kept, at = [], len(HEAD)
    while at < len(content):
        length, kind = int.from_bytes(content[at : at + 4], "big"), content[at + 4 : at + 8]
        end = at + 12 + length
        whole = end <= len(content) and zlib.crc32(content[at + 4 : end - 4]) == int.from_bytes(
            content[end - 4 : end], "big"
        )
        if kind == b"IEND":
            break
        if kind in CRITICAL and not whole:
            raise PhotoError(f"damaged: its chunk {kind.decode()} is not whole")
        if whole:
            kept.append((at, end))
        at = end
    if at + 12 <= len(content) and sum(end - start for start, end in kept) == at - len(HEAD):
        return content
    return b"".join([HEAD, *(content[start:end] for start, end in kept), END])

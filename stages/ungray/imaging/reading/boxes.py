"""The boxes that JPEG 2000 and JPEG XL files are made of (ISO/IEC 15444-1, annex I)."""

from __future__ import annotations

from collections.abc import Iterator

XMP = bytes.fromhex("be7acfcb97a942e89c71999491e3afac")
"""What a box of the kind uuid begins with if it contains XMP."""


def boxes(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield kind and content of each box, up to the first damaged one."""
    at = 0
    while at + 8 <= len(content):
        length, kind, head = int.from_bytes(content[at : at + 4], "big"), content[at + 4 : at + 8], 8
        if length == 1:
            length, head = int.from_bytes(content[at + 8 : at + 16], "big"), 16
        end = at + length if length else len(content)  # 0: to the end of the file
        if end < at + head:
            return
        yield kind, content[at + head : end]
        at = end


def jpeg2000_metadata(content: bytes) -> tuple[bytes | None, bytes | None]:
    """Return the ICC profile and the XMP of a JPEG 2000 file; None for what it does not have."""
    profile = xmp = None
    for kind, inside in boxes(content):
        if kind == b"uuid" and inside[:16] == XMP:
            xmp = inside[16:]
        for inner, said in boxes(inside) if kind == b"jp2h" else ():
            if inner == b"colr" and said[:1] == b"\2" and profile is None:
                profile = said[3:]
    return profile, xmp

"""Cheap checks of a photo's structure before any decoder runs: small files can cost gigabytes or minutes.

Only what no camera, scanner or editor writes is rejected. Untrusted files that pass are still decoded within
limits, see :mod:`ungray.imaging.decoding`; these checks are faster, say more, and cover the user's own files.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Iterable, Iterator

MOST_SCANS = 100
"""Largest number in a JPEG, as in libtiff. A progressive one has about ten; each covers all pixels."""

MOST_SEGMENTS = 5_000
"""Largest number in a JPEG besides scans. A color profile has up to 255, long XMP or a depth map hundreds."""

MOST_CHUNKS = 5_000
"""Largest number in a PNG besides those of pixels; those of pixels may be one more per kilobyte of the
file."""

MOST_PROFILES = 10
"""Largest number of color profiles in a PNG, which may have one; each is unpacked."""

SHARED = 16 << 20
"""Bytes by which a directory's values may exceed the file: some share bytes, damaged ones claim any
number."""

MOST_NUMBERS = 1_000_000
"""Largest number of numbers in a directory; each becomes a Python object. A fraction counts as ten."""

MOST_DIRECTORIES = 10_000
"""Largest number in a TIFF, which has one per page."""

MOST_ENTRIES = 500_000
"""Largest number in all directories of a file, which may overlap: few bytes can be many entries."""

MOST_BLOCKS = 100
"""Largest number of blocks of EXIF data in a file, which has one per picture of a burst."""

LARGE_TILE = 1 << 22
"""Pixels that a tile of a TIFF may have even if the photo has fewer."""

MOST_TEXT = 1 << 20
"""Bytes of a PNG's text that are unpacked, as Pillow does."""


TIFF = re.compile(rb"(?:II|MM)(?:\*\0|\0\*|\+\0|\0\+)")
"""What a TIFF begins with, and so does a block of EXIF data; Pillow reads swapped ones too."""

Block = bytes | memoryview

CONTAINER = re.compile(rb"....(ftyp|JXL |jP  )|8BPS", re.DOTALL)
"""What AVIF, HEIF, JPEG XL, JPEG 2000 and PSD begin with, in which EXIF data may be anywhere."""


def objection(content: bytes) -> str:
    """Return what is wrong with the structure of a file; empty if nothing is, or if its kind is unknown.

    A block of EXIF data is a file here, too.
    """
    if content[:2] == b"\xff\xd8":
        return _first(_jpeg(content))
    if content[:8] == b"\x89PNG\r\n\x1a\n":
        return _first(_png(content))
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return _first(_webp_exif(content))
    if TIFF.match(content) or content[:6] == b"Exif\0\0":
        return _first([content])
    if CONTAINER.match(content):
        return _first(memoryview(content)[found.start() :] for found in TIFF.finditer(content))
    if content[:2] == b"BM":
        return _bmp(content)
    return ""


def _first(parts: Iterable[Block | str]) -> str:
    """Return the first objection among those given and those to the blocks of EXIF data in between."""
    entries = MOST_ENTRIES
    for number, part in enumerate(parts, 1):
        if isinstance(part, str):
            return part
        if number > MOST_BLOCKS:
            return f"damaged: more than {MOST_BLOCKS} blocks of EXIF data"
        found, entries = _tiff(part, entries)
        if found:
            return found
    return ""


AFTER_SCAN = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
"""The next marker in compressed pixels: 00 is a stuffed byte, D0 to D7 restart the decoder."""


FILL = re.compile(rb"\xff+")


def _jpeg(content: bytes) -> Iterator[Block | str]:
    segments = scans = 0
    exif, place = b"", 2
    while place + 4 <= len(content):
        if content[place] != 0xFF:
            found = AFTER_SCAN.search(content, place)  # skip to the next marker, as decoders do
            if found is None:
                break
            place = found.start()
        place = FILL.match(content, place).end() - 1  # type: ignore[union-attr]
        marker = content[place + 1] if place + 1 < len(content) else 0xD9
        if marker == 0xD9:
            break
        segments += 1
        if segments - scans > MOST_SEGMENTS:
            yield f"damaged: a JPEG of more than {MOST_SEGMENTS:,} segments"
        if marker in (0x00, 0x01) or 0xD0 <= marker <= 0xD8:
            place += 2
            continue
        start, place = place + 4, place + 2 + int.from_bytes(content[place + 2 : place + 4])
        if marker == 0xE1 and content[start : start + 6] == b"Exif\0\0":
            exif += content[start + 6 : place]
        elif marker == 0xE2 and content[start : start + 4] == b"MPF\0":
            yield content[start + 4 : place]
        elif marker == 0xDA:
            scans += 1
            if scans > MOST_SCANS:
                yield f"damaged: a JPEG of more than {MOST_SCANS} scans"
            found = AFTER_SCAN.search(content, place)
            if found is None:
                break
            place = found.start()
    yield exif


def _png(content: bytes) -> Iterator[Block | str]:
    pixels = others = profiles = 0
    for kind, start, end in _chunks(content, 8, "big"):
        if kind in (b"IDAT", b"fdAT"):
            pixels += 1
            if pixels > MOST_CHUNKS + len(content) // 1024:
                yield "damaged: a PNG of too many chunks for its bytes"
            continue
        others += 1
        if others > MOST_CHUNKS:
            yield f"damaged: a PNG of more than {MOST_CHUNKS:,} chunks"
        if kind == b"iCCP":
            profiles += 1
            if profiles > MOST_PROFILES:
                yield f"damaged: a PNG of more than {MOST_PROFILES} color profiles"
        elif kind == b"eXIf":
            yield content[start:end]
        elif kind[1:] in (b"EXt", b"TXt") and content[start : start + 21] == b"Raw profile type exif":
            yield _raw_profile(kind, content[start:end])
        elif kind == b"IEND":
            break


def _chunks(content: bytes, place: int, order: str) -> Iterator[tuple[bytes, int, int]]:
    """Yield kind, start and end of the contents of the chunks of a PNG (big) or WebP (little)."""
    while place + 8 <= len(content):
        if order == "big":
            size, kind = int.from_bytes(content[place : place + 4]), content[place + 4 : place + 8]
        else:
            kind, size = content[place : place + 4], int.from_bytes(content[place + 4 : place + 8], "little")
        yield kind, place + 8, place + 8 + size
        place += 8 + size + (4 if order == "big" else size % 2)


def _webp_exif(content: bytes) -> Iterator[bytes]:
    for kind, start, end in _chunks(content, 12, "little"):
        if kind == b"EXIF":
            yield content[start:end]


def _raw_profile(kind: bytes, text: bytes) -> bytes:
    """Return the EXIF block that ImageMagick writes as text of hexadecimal digits; b"" if there is none."""
    _, _, value = text.partition(b"\0")
    packed = kind == b"zTXt"
    if kind == b"iTXt":
        packed, value = value[:1] == b"\1", value[2:].partition(b"\0")[2].partition(b"\0")[2]
    elif packed:
        value = value[1:]  # after the compression method
    try:
        if packed:
            value = zlib.decompressobj().decompress(value, MOST_TEXT)
        return bytes.fromhex("".join(value.decode("latin-1").split("\n")[3:]))
    except (ValueError, zlib.error):
        return b""


ORDERS = {b"II": "<", b"MM": ">"}

SIZES = {
    1: 1,
    2: 1,
    3: 2,
    4: 4,
    5: 8,
    6: 1,
    7: 1,
    8: 2,
    9: 4,
    10: 8,
    11: 4,
    12: 8,
    13: 4,
    16: 8,
    17: 8,
    18: 8,
}
"""Bytes of a value by its type in TIFF and EXIF."""

BYTES, FRACTIONS = {1, 2, 7}, {5, 10}
"""Types that become one object whatever their length, and those that become expensive ones."""

DIRECTORIES = {0x014A, 0x8769, 0x8825, 0xA005}
"""Tags that point to further directories: smaller copies, how it was taken, where, and interoperability."""

SIDES = {0x0100: "width", 0x0101: "height", 0x0142: "tile_width", 0x0143: "tile_height"}


def _tiff(content: Block, most: int) -> tuple[str, int]:
    """Return what is wrong with a TIFF, or with an EXIF block, which is built like one.

    The second value is the number of entries that are left of the ``most`` that it may have.
    """
    while content[:6] == b"Exif\0\0":
        content = content[6:]
    order = ORDERS.get(bytes(content[:2]))
    if order is None:
        return "", most
    big = content[2:4] in (b"+\0", b"\0+")
    entry, link = (order + "HHQ8s", order + "Q") if big else (order + "HHI4s", order + "I")
    ahead, seen = [_number(content, 8 if big else 4, link)], set()
    while ahead:
        place = ahead.pop()
        if place in seen or not 0 < place < len(content):
            continue
        seen.add(place)
        if len(seen) > MOST_DIRECTORIES:
            return f"damaged: more than {MOST_DIRECTORIES:,} directories", most
        counted = order + ("Q" if big else "H")
        start = place + struct.calcsize(counted)
        size = struct.calcsize(entry)
        end = start + size * _number(content, place, counted)
        there = max(0, min(end, len(content)) - start) // size
        most -= there
        if most < 0:
            return f"damaged: more than {MOST_ENTRIES:,} entries in its directories", most
        found, further = _directory(
            content, struct.iter_unpack(entry, content[start : start + there * size]), order
        )
        if found:
            return found, most
        ahead += [*further, _number(content, end, link)]
    return "", most


def _directory(
    content: Block, entries: Iterable[tuple[int, int, int, bytes]], order: str
) -> tuple[str, list[int]]:
    """Return what is wrong with a directory, and the positions of those that it points to."""
    values = numbers = 0
    further: list[int] = []
    sides: dict[str, int] = {}
    for tag, kind, count, inside in entries:
        size = SIZES.get(kind, 0)
        place = int.from_bytes(inside, "little" if order == "<" else "big")
        if size * count <= len(inside):
            place, there = -1, count
        else:
            # Nothing beyond the end is read; a damaged entry may claim any number.
            held = max(0, min(size * count, len(content) - place))
            values += held
            there = held // size
        if kind not in BYTES:
            numbers += there * (10 if kind in FRACTIONS else 1)
        if tag in DIRECTORIES or tag in SIDES:
            number = {3: "H", 4: "I", 13: "I", 16: "Q", 18: "Q"}.get(kind)
            if number is None:
                continue
            number = order + number
            found = (
                [_number(inside, n * size, number) for n in range(there)]
                if place < 0
                else [_number(content, place + n * size, number) for n in range(min(there, MOST_DIRECTORIES))]
            )
            if tag in DIRECTORIES:
                further += found
            elif found:
                sides[SIDES[tag]] = found[0]
    if values > len(content) + SHARED:
        return "damaged: its directory claims more bytes than the file has", []
    if numbers > MOST_NUMBERS:
        return f"damaged: its directory has more than {MOST_NUMBERS:,} numbers", []
    tile = sides.get("tile_width", 0) * sides.get("tile_height", 0)
    if tile > max(LARGE_TILE, 2 * sides.get("width", 0) * sides.get("height", 0)):
        return "damaged: a tile far larger than the photo", []
    return "", further


def _number(content: Block, place: int, format: str) -> int:
    """Return the number at ``place``; 0 if the bytes end before."""
    if place < 0 or place + struct.calcsize(format) > len(content):
        return 0
    return int(struct.unpack_from(format, content, place)[0])


RLE8, RLE4 = 1, 2
"""Compressions of BMP that have runs and jumps; a jump may leave 255 rows empty."""


def _bmp(content: bytes) -> str:
    if len(content) < 34 or _number(content, 14, "<I") < 40:
        return ""
    width, height, _, _, compression = struct.unpack_from("<iiHHI", content, 18)
    if compression not in (RLE8, RLE4) or width <= 0:
        return ""
    place, made, most = _number(content, 10, "<I"), 0, width * abs(height)
    while place + 2 <= len(content) and made < most:
        first, second = content[place], content[place + 1]
        place += 2
        if first:
            made += min(first, width - made % width)
        elif second == 0:
            made += -made % width
        elif second == 1:
            break
        elif second == 2:
            right, up = content[place : place + 2].ljust(2, b"\0")
            place += 2
            made += right + up * width
            if made > most + width:
                return "damaged: a BMP whose runs leave the photo"
        else:
            size = second if compression == RLE8 else second // 2
            made += second
            place += size + size % 2
    return ""

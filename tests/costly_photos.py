"""Small files that cost gigabytes or minutes to read, each of a kind that was found in trials."""

import io
import struct
import zlib

import pillow_heif
import pillow_jxl  # noqa: F401 - it makes itself known to Pillow
from PIL import Image

BLOCK = 1_000_000
"""Bytes of the block that the entries of a directory share."""


def directory(entries, *, first=8, **tags):
    """A TIFF, or a block of EXIF data, of so many entries that share one block, and ``tags`` besides.

    ``tags`` are t256=(type, value) and so on; a value that is bytes stands behind the block.
    """
    numbers = {int(name[1:]): value for name, value in tags.items()}
    rows = {0xC000 + n: (7, BLOCK, None) for n in range(entries)}
    rows |= {number: (kind, 1, value) for number, (kind, value) in numbers.items()}
    start = first + 2 + 12 * len(rows) + 4
    packed = struct.pack("<H", len(rows))
    for number, (kind, count, value) in sorted(rows.items()):
        packed += struct.pack("<HHII", number, kind, count, start if value is None else value)
    return b"II*\0" + struct.pack("<I", first) + packed + struct.pack("<I", 0) + bytes(BLOCK + 768)


def encoded(kind, *, size=(16, 16), color=(90, 120, 60), **options):
    written = io.BytesIO()
    Image.new("RGB", size, color).save(written, kind, **options)
    return written.getvalue()


def segment(marker, content):
    return b"\xff" + bytes([marker]) + struct.pack(">H", len(content) + 2) + content


def chunk(name, content):
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def jpeg_with_exif(entries):
    exif, plain = directory(entries), encoded("JPEG")
    parts = [exif[n : n + 65_000] for n in range(0, len(exif), 65_000)]
    return plain[:2] + b"".join(segment(0xE1, b"Exif\0\0" + part) for part in parts) + plain[2:]


def png_with(*chunks):
    plain = encoded("PNG")
    return plain[:33] + b"".join(chunks) + plain[33:]


def png_with_exif_as_text(entries):
    # Of a text a mebibyte is read, so the shared block is smaller here, and zeros pack well.
    exif = b"Exif\0\0" + directory(entries)[: 12 * entries + 300_000]
    shorter = exif.replace(struct.pack("<I", BLOCK), struct.pack("<I", 200_000))
    text = "\nexif\n" + f"{len(shorter):8}\n" + shorter.hex()
    return png_with(chunk(b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(text.encode())))


def webp_with_exif(entries):
    return encoded("WEBP", exif=directory(entries))


def psd_with_exif(entries):
    exif = directory(entries)
    block = struct.pack(">4sHHI", b"8BIM", 1058, 0, len(exif)) + exif
    head = b"8BPS" + struct.pack(">H6xHIIHH", 1, 3, 16, 16, 8, 3) + struct.pack(">II", 0, len(block))
    return head + block + struct.pack(">IH", 0, 0) + bytes(16 * 16 * 3)


def with_exif(kind, entries):
    """A file whose encoder is a plug-in of Pillow's."""
    pillow_heif.register_heif_opener()
    return encoded(kind, exif=(b"" if kind == "JXL" else b"Exif\0\0") + directory(entries))


def exif_of_overlapping_directories(count):
    """A block of EXIF data of so many directories of 65,535 entries each, of which almost all are shared."""
    content = bytearray(12 * count + 12 * 65_535 + 12 * count + 32)
    content[:8] = b"II*\0" + struct.pack("<I", 8)
    for place in range(8, 8 + 12 * count, 12):
        content[place : place + 2] = b"\xff\xff"
        link = place + 2 + 12 * 65_535
        content[link : link + 4] = struct.pack("<I", place + 12)
    return bytes(content)


def tiff_with_entries(entries):
    """A TIFF of 16x16 gray pixels, which lie in the block that the entries share."""
    start = 8 + 2 + 12 * (entries + 9) + 4
    tags = {"t256": (3, 16), "t257": (3, 16), "t258": (3, 8), "t259": (3, 1), "t262": (3, 1)}
    tags |= {"t273": (4, start), "t277": (3, 1), "t278": (3, 16), "t279": (4, 256)}
    return directory(entries, **tags)


def tiff_of_one_tile(side):
    """A TIFF of 16x16 gray pixels in one tile of ``side`` pixels, compressed a thousandfold."""
    pixels = zlib.compress(bytes(side * side), 9)
    tags = {256: (3, 16), 257: (3, 16), 258: (3, 8), 259: (3, 8), 262: (3, 1), 277: (3, 1)}
    tags |= {322: (4, side), 323: (4, side), 324: (4, 200), 325: (4, len(pixels))}
    rows = b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, (kind, value) in sorted(tags.items()))
    head = b"II*\0" + struct.pack("<IH", 8, len(tags)) + rows + struct.pack("<I", 0)
    return head.ljust(200, b"\0") + pixels


def bmp_of_jumps(width, height, *, jumps):
    """A BMP of 8 bits in runs, each of which leaves 255 rows empty."""
    palette, body = bytes(1024), b"\0\2\xff\xff" * jumps + b"\0\1"
    header = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 8, 1, len(body), 0, 0, 256, 0)
    size = 14 + len(header) + len(palette)
    return b"BM" + struct.pack("<IHHI", size + len(body), 0, 0, size) + header + palette + body


def jpeg_of_segments(count):
    plain = encoded("JPEG")
    return plain[:2] + segment(0xE5, b"") * count + plain[2:]


def progressive_jpeg(scans, *, size=(2048, 2048)):
    """A progressive JPEG whose last scan comes so many times: each is short and goes over all pixels."""
    plain = encoded("JPEG", size=size, progressive=True, subsampling=0)
    last = plain.rindex(b"\xff\xda")
    return plain[:last] + plain[last:-2] * scans + plain[-2:]


def png_of_profiles(count):
    profile = zlib.compress(bytes(1_000_000))
    return png_with(chunk(b"iCCP", b"x\0\0" + profile) * count)


FILES = {
    "jpeg, entries that share a block": lambda: jpeg_with_exif(1000),
    "png, entries that share a block": lambda: png_with(chunk(b"eXIf", directory(1000))),
    "png, the same as text": lambda: png_with_exif_as_text(9000),
    "webp, entries that share a block": lambda: webp_with_exif(1000),
    "avif, entries that share a block": lambda: with_exif("AVIF", 1000),
    "heif, entries that share a block": lambda: with_exif("HEIF", 1000),
    "jpeg xl, entries that share a block": lambda: with_exif("JXL", 1000),
    "psd, entries that share a block": lambda: psd_with_exif(1000),
    "tiff, directories that share entries": lambda: exif_of_overlapping_directories(1000),
    "png, directories that share entries": lambda: png_with(
        chunk(b"eXIf", exif_of_overlapping_directories(7)) * 20
    ),
    "png, many blocks as text": lambda: png_with(
        chunk(b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(b"\nexif\n      1\n" + b"0" * 1_000_000))
        * 2000
    ),
    "tiff, entries that share a block": lambda: tiff_with_entries(1000),
    "tiff of one huge tile": lambda: tiff_of_one_tile(8_000),
    "bmp of jumps": lambda: bmp_of_jumps(8_000_000, 1, jumps=1),
    "bmp of jumps, with bytes enough": lambda: bmp_of_jumps(8_000_000, 1, jumps=1) + bytes(10_000),
    "jpeg of empty segments": lambda: jpeg_of_segments(7_000_000),
    "progressive jpeg of many scans": lambda: progressive_jpeg(4000),
    "png of many profiles": lambda: png_of_profiles(2000),
}


def slow_jpeg():
    """A progressive JPEG of 25 megapixels with as many scans as are read: seconds of work in 60 kB."""
    content = progressive_jpeg(90, size=(5000, 5000))
    return content[:2] + segment(0xFE, bytes(50_000)) + content[2:]

"""Run by test_reading.py in processes whose fresh memory holds different bytes.

Reads files of every kind, whole and with some of their data missing; prints what became of each: the digest
of its pixels, or that it was refused. Wherever a decoder leaves memory as it was, the two processes differ.
"""

import hashlib
import io
import struct
import sys
import warnings

import cv2
import imagecodecs
import numpy as np
import pillow_heif
import tifffile
from PIL import Image
from skimage import data

from ungray.imaging import photo_files
from ungray.imaging.photos import PhotoError, read_rgb

SCENE = cv2.resize(data.astronaut()[:384, :512], (160, 120), interpolation=cv2.INTER_AREA)
BILEVEL = SCENE[..., 1] > 120
PARTS = (0.15, 0.4, 0.7, 0.9, 0.97)


def saved(pixels, kind, **options):
    written = io.BytesIO()
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    image.save(written, kind, **options)
    return written.getvalue()


def tiff(pixels, **options):
    written = io.BytesIO()
    tifffile.imwrite(written, pixels, metadata=None, **options)
    return written.getvalue()


def with_tags(content, **tags):
    """A TIFF whose tags, by name, have other values."""
    stream = io.BytesIO(content)
    with tifffile.TiffFile(stream) as file:
        found = {name: file.pages.first.tags[name] for name in tags}
    changed = bytearray(content)
    for name, value in tags.items():
        values = value if isinstance(value, tuple) else (value,)
        code = {3: "H", 4: "I"}[found[name].dtype]
        struct.pack_into(f"<{len(values)}{code}", changed, found[name].valueoffset, *values)
    return bytes(changed)


def with_less_data(content, part):
    """A TIFF whose last strip or tile has only a part of its bytes."""
    with tifffile.TiffFile(io.BytesIO(content)) as file:
        *others, last = file.pages.first.databytecounts
    return with_tags(content, StripByteCounts=(*others, int(last * part)))


def short_jpeg_strip():
    """A TIFF of 384 rows whose only strip is a JPEG of 16."""
    pixels = cv2.resize(SCENE, (512, 16))
    made = tiff(pixels, photometric="rgb", compression="jpeg", rowsperstrip=16)
    return with_tags(made, ImageLength=384, RowsPerStrip=384)


def rle_bitmap():
    """A BMP in RLE8 whose data end after a third of its rows."""
    rows = b"".join(bytes([160, level]) + b"\0\0" for level in range(40)) + b"\0\1"
    header = struct.pack("<IiiHHIIiiII", 40, 160, 120, 1, 8, 1, len(rows), 0, 0, 256, 0)
    palette = bytes(value for level in range(256) for value in (level, level, level, 0))
    start = 14 + 40 + 1024
    return b"BM" + struct.pack("<IHHI", start + len(rows), 0, 0, start) + header + palette + rows


def photoshop(*, packed):
    """A PSD, its rows plain or packed."""
    rows = [np.ascontiguousarray(SCENE[y, :, channel]).tobytes() for channel in range(3) for y in range(120)]
    if packed:
        rows = [imagecodecs.packbits_encode(row) for row in rows]
    lengths = struct.pack(f">{len(rows)}H", *map(len, rows)) if packed else b""
    head = b"8BPS" + struct.pack(">H6xHIIHH", 1, 3, 120, 160, 8, 3) + bytes(12)
    return head + struct.pack(">H", int(packed)) + lengths + b"".join(rows)


def whole_files():
    pillow_heif.register_heif_opener()
    deep = SCENE.astype(np.uint16) * 257
    yield "jpeg", saved(SCENE, "JPEG")
    yield "jpeg progressive", saved(SCENE, "JPEG", progressive=True)
    yield "jpeg gray", saved(SCENE[..., 0], "JPEG")
    yield "jpeg cmyk", saved(Image.fromarray(SCENE).convert("CMYK"), "JPEG")
    yield "png", saved(SCENE, "PNG")
    yield "png palette", saved(Image.fromarray(SCENE).convert("P"), "PNG")
    yield "png 16", cv2.imencode(".png", deep)[1].tobytes()
    yield "webp", saved(SCENE, "WEBP")
    yield "webp lossless", saved(SCENE, "WEBP", lossless=True)
    yield "gif", saved(SCENE, "GIF")
    yield "bmp", saved(SCENE, "BMP")
    yield "bmp rle", rle_bitmap()
    yield "avif", saved(SCENE, "AVIF")
    yield "heic", saved(SCENE, "HEIF")
    yield "jp2", saved(SCENE, "JPEG2000")
    yield "jp2 lossy", saved(SCENE, "JPEG2000", irreversible=True)
    yield "jxl", imagecodecs.jpegxl_encode(SCENE, lossless=True)
    yield "jxl lossy", imagecodecs.jpegxl_encode(SCENE, level=80)
    yield "psd", photoshop(packed=False)
    yield "psd packed", photoshop(packed=True)


def tiff_files():
    for compression in ("group3", "group4", "tiff_ccitt"):
        yield f"tiff {compression}", saved(BILEVEL, "TIFF", compression=compression)
    for compression in ("raw", "packbits", "tiff_lzw", "tiff_adobe_deflate", "jpeg"):
        yield f"tiff {compression}", saved(SCENE, "TIFF", compression=compression)
    for compression in ("webp", "jpeg2000", "jpegxl", "lerc", "zstd", "lzma"):
        yield f"tiff {compression}", tiff(SCENE, photometric="rgb", compression=compression, rowsperstrip=120)


def cases():
    """Name and content of every file."""
    yield "tiff, short jpeg strip", short_jpeg_strip()
    for name, content in whole_files():
        yield f"{name}, whole", content
        for part in PARTS:
            yield f"{name}, {part}", content[: int(len(content) * part)]
            if name.startswith("jpeg"):
                yield f"{name}, {part} and an end", content[: int(len(content) * part)] + b"\xff\xd9"
    for name, content in tiff_files():
        yield f"{name}, whole", content
        for part in PARTS:
            yield f"{name}, {part}", with_less_data(content, part)


def outcome(content):
    said = []
    for read in (read_rgb, lambda content: photo_files.read_photo(content).gray):
        try:
            said.append(hashlib.sha256(np.ascontiguousarray(read(content))).hexdigest()[:8])
        except PhotoError:
            said.append("refused")
    return " ".join(said)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    for name, content in cases():
        print(f"{name}: {outcome(content)}")
    sys.stdout.flush()

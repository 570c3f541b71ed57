"""Run by test_photo_kinds.py in a process of its own, with a limit on memory.

Reads small files that claim to be huge; prints by how many MiB the process grew, and how many were refused.
"""

import io
import resource
import struct
import zlib

from PIL import Image

from ungray.imaging.photos import PhotoError, probe, read_rgb


def chunk(name, content):
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def png(width, height, *extra):
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0))
    body = chunk(b"IDAT", zlib.compress(bytes(100)))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(extra) + body + chunk(b"IEND", b"")


def tiff(width, height, **changes):
    """A TIFF of 64 bytes of pixels, its tags (number: (type, values)) changed by ``changes``, as t259=..."""
    short, long = 3, 4
    tags = {
        256: (long, [width]),
        257: (long, [height]),
        258: (short, [8, 8, 8]),
        259: (short, [1]),
        262: (short, [2]),
        273: (long, [200]),
        277: (short, [3]),
        278: (long, [height]),
        279: (long, [64]),
    }
    tags.update({int(name[1:]): tag for name, tag in changes.items()})
    entries, extra = b"", b""
    first_extra = 8 + 2 + 12 * len(tags) + 4
    for number, (kind, values) in sorted(tags.items()):
        packed = struct.pack(f"<{len(values)}{'HI'[kind - 3]}", *values)
        if len(packed) > 4:
            packed, extra = struct.pack("<I", first_extra + len(extra)), extra + packed
        entries += struct.pack("<HHI", number, kind, len(values)) + packed.ljust(4, b"\0")
    head = b"II*\0" + struct.pack("<IH", 8, len(tags))
    return head + entries + struct.pack("<I", 0) + extra + bytes(64)


def bmp(width, height, bits):
    header = struct.pack("<IiiHHIIiiII", 40, width, height, 1, bits, 0, 0, 0, 0, 0, 0)
    return b"BM" + struct.pack("<IHHI", 118, 0, 0, 54) + header + bytes(64)


def gif(width, height):
    frame = b"," + struct.pack("<HHHHB", 0, 0, width, height, 0) + b"\x02\x02\x4c\x01\x00;"
    return b"GIF89a" + struct.pack("<HHBBB", width, height, 0x80, 0, 0) + bytes(6) + frame


def jpeg(width, height, **options):
    written = io.BytesIO()
    Image.new("RGB", (16, 16)).save(written, "JPEG", **options)
    content = bytearray(written.getvalue())
    at = content.index(b"\xff\xc2" if options.get("progressive") else b"\xff\xc0")
    content[at + 5 : at + 9] = struct.pack(">HH", height, width)
    return bytes(content)


def webp(width, height):
    written = io.BytesIO()
    frames = [Image.new("RGBA", (16, 16), color) for color in ("blue", "red")]
    frames[0].save(written, "WEBP", save_all=True, append_images=frames[1:])
    content = bytearray(written.getvalue())
    at = content.index(b"VP8X") + 12
    content[at : at + 6] = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    return bytes(content)


BOMB = zlib.compress(bytes(200_000_000))
# An EXIF block that points into itself, for ever, and to four gigabytes of comment.
LOOP = struct.pack("<HHIIHHII", 0x8769, 4, 1, 8, 0x9286, 7, 0xFFFFFFF0, 0)
EXIF = b"Exif\0\0II*\0\x08\0\0\0\x02\0" + LOOP + bytes(4)
# An ICC profile that claims four thousand million tags.
ICC = struct.pack(">I4x", 200) + bytes(28) + b"acsp" + bytes(88) + struct.pack(">I", 0xFFFFFFFF) + bytes(68)
DEFLATE = (3, [8])

FILES = {
    "png": png(20000, 20000),
    "png below the cap": png(13000, 13000),
    "png, profile": png(4, 4, chunk(b"iCCP", b"x\0\0" + BOMB)),
    "png, text": png(4, 4, chunk(b"zTXt", b"c\0\0" + BOMB)),
    "png, international text": png(4, 4, chunk(b"iTXt", b"c\0\1\0\0\0" + BOMB)),
    "png, texts": png(4, 4, *[chunk(b"zTXt", b"c\0\0" + zlib.compress(bytes(1_000_000)))] * 200),
    "tiff": tiff(4_000_000_000, 4_000_000_000),
    "tiff below the cap": tiff(13000, 13000),
    "tiff of 16 bits": tiff(13000, 13000, t258=(3, [16, 16, 16])),
    "tiff, tiles": tiff(16, 16, t322=(4, [2**30]), t323=(4, [2**30]), t324=(4, [200]), t325=(4, [64])),
    "tiff, one strip": tiff(16, 16, t278=(4, [2**31]), t259=DEFLATE, t279=(4, [2**31 - 1])),
    "tiff, one raw strip": tiff(16, 16, t278=(4, [2**31]), t279=(4, [2**32 - 1])),
    "tiff, samples": tiff(16, 16, t277=(4, [2**31])),
    "bmp": bmp(2**31 - 1, 2**31 - 1, 24),
    "bmp below the cap": bmp(13000, -13000, 32),
    "bmp of 1 bit": bmp(13000, 13000, 1),
    "gif": gif(65535, 65535),
    "gif below the cap": gif(13000, 13000),
    "jpeg": jpeg(65500, 65500),
    "jpeg below the cap": jpeg(13000, 13000),
    "progressive jpeg": jpeg(13000, 13000, progressive=True),
    "webp": webp(16383, 16383),
    "webp of one row": webp(2**24, 200),
    "jpeg, exif": jpeg(16, 16, exif=EXIF),
    "jpeg, profile": jpeg(16, 16, icc_profile=ICC),
}
HARMLESS = {"jpeg, exif", "jpeg, profile"}


def refusal(read, content):
    try:
        read(content)
    except PhotoError as error:
        return str(error)
    return ""


def main():
    def used():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024

    read_rgb(jpeg(16, 16, icc_profile=ICC[:200]))  # what libraries need once
    with open("/proc/self/statm") as statm:  # noqa: PTH123
        now = int(statm.read().split()[0]) * resource.getpagesize()
    # Space may be asked for and never touched: a decoder's canvas. That much, and no more.
    resource.setrlimit(resource.RLIMIT_AS, (now + 3 * 2**30,) * 2)
    started, refused = used(), 0
    for name, content in FILES.items():
        for read in (probe, read_rgb):
            message = refusal(read, content)
            assert "\n" not in message, name
            assert bool(message) == (name not in HARMLESS) or read is probe, f"{name}: {message}"
            refused += bool(message) and read is read_rgb
    print(used() - started, refused)


if __name__ == "__main__":
    main()

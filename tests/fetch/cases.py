"""The faults that a host can have, and the kinds of photos it can send."""

import gzip
import io
import zlib
from dataclasses import dataclass

import numpy as np
from PIL import Image

from stages.fetch import Limits

LIMITS = Limits(
    connections=32,
    connections_per_host=2,
    delay=0.0,
    attempts=3,
    timeout=1.0,
    deadline=7.0,
    max_bytes=5_000_000,
    max_pixels=50_000_000,
    honour_opt_out=True,
)

ADDRESSES = {"private.test": ["10.0.0.7"], "half-private.test": ["127.0.0.53", "10.0.0.7"], "no-dns.test": []}


@dataclass
class Case:
    """What a host does, the reason we give for refusing it (empty: we take the photo), how often we ask."""

    answer: object
    reason: str = ""
    asked: int = 1
    link: str = "/photo.jpg"
    path: str = ""


def picture(image_format, mode="RGB", size=(64, 48), **options):
    pixels = np.random.default_rng(len(mode)).integers(0, 256, (6, 8, 4), dtype=np.uint8)
    image = Image.fromarray(pixels[..., :3]).resize(size)
    written = io.BytesIO()
    image.convert(mode).save(written, image_format, **options)
    return written.getvalue()


def deep_png():
    written = io.BytesIO()
    Image.fromarray(np.arange(48 * 64, dtype=np.uint16).reshape(48, 64) * 21).save(written, "PNG")
    return written.getvalue()


def animation():
    frames = [Image.new("P", (32, 24), colour) for colour in (1, 2, 3)]
    written = io.BytesIO()
    frames[0].save(written, "GIF", save_all=True, append_images=frames[1:], duration=100)
    return written.getvalue()


def rotated():
    exif = Image.Exif()
    exif[0x0112] = 6
    return picture("JPEG", exif=exif)


def bomb_png(side):
    def chunk(name, data):
        return len(data).to_bytes(4, "big") + name + data + zlib.crc32(name + data).to_bytes(4, "big")

    header = side.to_bytes(4, "big") * 2 + bytes([1, 0, 0, 0, 0])  # 1 bit of gray
    rows = zlib.compress(bytes((side // 8 + 1) * side))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def gzip_bomb(megabytes=1000):
    """So many megabytes of zeros as gzip, a thousandth of that in length."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    head = packer.compress(bytes(1_000_000)) + packer.flush(zlib.Z_FULL_FLUSH)
    # After a full flush a block stands by itself and can be repeated; the end is never reached.
    block = packer.compress(bytes(1_000_000)) + packer.flush(zlib.Z_FULL_FLUSH)
    return head + block * (megabytes - 1)


def sends(content, **headers):
    return lambda handler: handler.send(content, **headers)


def moves(location):
    return lambda handler: handler.send(status=302, Location=location)


def to_another_host(handler):
    handler.send(status=301, Location=f"//elsewhere.test:{handler.server.server_port}/good/404.jpg")


def later(handler):
    if handler.times < 3:
        handler.send(b"busy", status=503)
    else:
        handler.send(JPEG)


def too_often(handler):
    if handler.times < 2:
        handler.send(b"not so fast", status=429, Retry_After="1")
    else:
        handler.send(JPEG)


def silent(handler):
    handler.server.over.wait(30)


def drips(first, drop):
    def answer(handler):
        handler.wfile.write(first)
        while not handler.server.over.wait(0.2):
            handler.wfile.write(drop)

    return answer


def breaks_off(handler):
    handler.head(Content_Length=len(JPEG))
    handler.wfile.write(JPEG[:-50])
    handler.reset()


def endless(handler):
    handler.head(Connection="close")
    while not handler.server.over.is_set():
        handler.wfile.write(bytes(65536))


def endless_nothing(handler):
    handler.head(Content_Encoding="gzip", Connection="close")
    packer = zlib.compressobj(0, zlib.DEFLATED, 31)
    while not handler.server.over.is_set():
        handler.wfile.write(packer.flush(zlib.Z_FULL_FLUSH) + bytes([0, 0, 0, 255, 255]) * 4096)


JPEG = picture("JPEG", size=(640, 480), quality=90)
UNKNOWN = "not an image of a known format (JPEG, PNG, WebP, TIFF, BMP, GIF, AVIF,"
SVG = b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><rect width="9" height="9"/></svg>'
NOTHING_CAME = "timed out: nothing came for 1 s"
NOT_DONE = "timed out: not done in 7 s"
PACKED = "packed in another way than gzip or deflate"
TOO_LONG = "larger than 5 MB"

CASES = {
    "404": Case(lambda h: h.send(JPEG, status=404), "HTTP 404"),
    "410": Case(lambda h: h.send(JPEG, status=410), "HTTP 410"),
    "403": Case(lambda h: h.send(JPEG, status=403), "HTTP 403"),
    "304": Case(lambda h: h.send(status=304), "HTTP 304"),
    "206": Case(lambda h: h.send(JPEG, status=206), "HTTP 206"),
    "429-then-fine": Case(too_often, asked=2),
    "429-for-an-hour": Case(lambda h: h.send(status=429, Retry_After="3600"), "HTTP 429"),
    "500": Case(lambda h: h.send(status=500), "HTTP 500", asked=3),
    "503-twice-then-fine": Case(later, asked=3),
    "reset": Case(lambda h: h.reset(), "connection broken off", asked=3),
    "reset-in-the-body": Case(breaks_off, "connection broken off", asked=3),
    "cut-off": Case(lambda h: h.send(JPEG[:-50], Content_Length=len(JPEG)), "connection broken off", asked=3),
    "not-http": Case(
        lambda h: h.wfile.write(b"SSH-2.0-OpenSSH_9.2\r\n\r\n"), "connection broken off", asked=3
    ),
    "hang": Case(silent, NOTHING_CAME, asked=3),
    "header-drip": Case(drips(b"HTTP/1.1 200 OK\r\nX-Slow: ", b"x"), NOT_DONE),
    "status-drip": Case(drips(b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 100 Continue\r\n\r\n"), NOT_DONE),
    "body-drip": Case(drips(b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n", b"x"), NOT_DONE),
    "redirect-loop": Case(moves("/redirect-loop/photo.jpg"), "redirected more than 5 times", asked=6),
    "redirect-to-metadata": Case(
        moves("http://169.254.169.254/a.jpg"), "not a public address: 169.254.169.254"
    ),
    "redirect-to-localhost": Case(moves("http://localhost/a.jpg"), "not a public address: localhost"),
    "redirect-to-file": Case(moves("file:///etc/passwd"), "not a web address (file)"),
    "redirect-to-nonsense": Case(moves("http://[a]/"), "not a web address"),
    "redirect-to-private-name": Case(
        moves("http://private.test/a.jpg"), "not a public address: private.test"
    ),
    "redirect-without-target": Case(lambda h: h.send(status=302), "HTTP 302"),
    "redirect-to-a-photo": Case(to_another_host),
    "private": Case(sends(JPEG), "not a public address: private.test", asked=0),
    "half-private": Case(sends(JPEG), "not a public address: half-private.test", asked=0),
    "no-dns": Case(sends(JPEG), "unknown host", asked=0),
    "html": Case(sends(b"<html>hotlinking is not allowed</html>", Content_Type="image/jpeg"), UNKNOWN),
    "svg": Case(sends(SVG, Content_Type="image/svg+xml"), UNKNOWN),
    "empty": Case(sends(b"", Content_Type="image/jpeg"), "empty body"),
    "three-bytes": Case(sends(b"\xff\xd8\xff"), UNKNOWN),
    "truncated-jpeg": Case(sends(JPEG[:-2000]), "damaged: "),
    "truncated-png": Case(sends(picture("PNG")[:-60]), "damaged: "),
    "long-and-says-so": Case(lambda h: h.head(Content_Length=5_000_001), TOO_LONG),
    "long-and-silent": Case(endless, TOO_LONG),
    "gzip": Case(sends(gzip.compress(JPEG), Content_Encoding="gzip")),
    "deflate": Case(sends(zlib.compress(JPEG), Content_Encoding="deflate")),
    "bare-deflate": Case(sends(zlib.compress(JPEG)[2:-4], Content_Encoding="deflate")),
    "gzip-bomb": Case(sends(gzip_bomb(), Content_Encoding="gzip"), TOO_LONG),
    "nested-gzip-bomb": Case(sends(gzip.compress(gzip_bomb()), Content_Encoding="gzip, gzip"), PACKED),
    "gzip-in-gzip": Case(sends(gzip.compress(gzip_bomb()), Content_Encoding="gzip"), UNKNOWN),
    "gzip-of-nothing": Case(endless_nothing, TOO_LONG),
    "gzip-cut-off": Case(sends(gzip.compress(JPEG)[:-900], Content_Encoding="gzip"), "damaged: gzip cut off"),
    "no-gzip": Case(sends(JPEG, Content_Encoding="gzip"), "damaged: not gzip"),
    "brotli": Case(sends(JPEG, Content_Encoding="br"), PACKED),
    "png-bomb": Case(sends(bomb_png(20_000)), "more than 178 megapixels"),
    "large-png": Case(sends(bomb_png(7_072)), "more than 50 megapixels"),
    "16-bit-png": Case(sends(deep_png())),
    "cmyk": Case(sends(picture("JPEG", "CMYK"))),
    "gray": Case(sends(picture("JPEG", "L"))),
    "two-pictures-in-one": Case(sends(picture("MPO"))),
    "exif-rotated": Case(sends(rotated())),
    "progressive": Case(sends(picture("JPEG", progressive=True, size=(6000, 4000)))),
    "animation": Case(sends(animation())),
    "webp-named-jpg": Case(sends(picture("WEBP"))),
    "png-named-jpg": Case(sends(picture("PNG"))),
    "same-bytes": Case(sends(JPEG)),
    "same-bytes-again": Case(sends(JPEG)),
    "blank-in-link": Case(sends(JPEG), link="/a b.jpg?c=d e", path="/a%20b.jpg?c=d%20e"),
    "quoted-link": Case(sends(JPEG), link="/a%20b%2Fc.jpg?c=%26", path="/a%20b%2Fc.jpg?c=%26"),
    "letters-in-link": Case(sends(JPEG), link="/été/日.jpg#here", path="/%C3%A9t%C3%A9/%E6%97%A5.jpg"),
    "noai": Case(sends(JPEG, X_Robots_Tag="noai"), "its host opts out (X-Robots-Tag: noai)"),
}

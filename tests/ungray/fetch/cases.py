"""The faults that a host can have, and the kinds of photos it can send."""

import gzip
import io
import zlib
from dataclasses import dataclass

import numpy as np
from PIL import Image

from ungray.fetch import Limits

LIMITS = Limits(
    connections=32,
    connections_per_host=2,
    delay=0.0,
    attempts=3,
    timeout=2.0,
    deadline=12.0,
    max_bytes=5_000_000,
    max_pixels=50_000_000,
    honor_opt_out=True,
)

ADDRESSES = {"private.test": ["10.0.0.7"], "half-private.test": ["127.0.0.53", "10.0.0.7"], "no-dns.test": []}


@dataclass
class Case:
    """What a host does, the reason we give for refusing it (empty: we take the photo), how often we ask.

    ``kept`` is the photo that we take where it is not what the host sends as it stands.
    """

    answer: object
    reason: str = ""
    asked: int = 1
    link: str = "/photo.jpg"
    path: str = ""
    kept: bytes = b""


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
    frames = [Image.new("P", (32, 24), color) for color in (1, 2, 3)]
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


def writes(*parts):
    """Write these bytes, status line and all, and hang up."""
    return lambda handler: handler.wfile.write(b"".join(parts))


def photo_with(*lines, status=b"HTTP/1.1 200 OK"):
    """A case whose photo comes under this status line and these header lines."""
    return Case(writes(b"\r\n".join([status, *lines, b"", b""]), JPEG), kept=JPEG)


def garbled(*lines, status=b"HTTP/1.1 200 OK", reason="connection broken off"):
    """A case whose answer under this status line and these header lines is no HTTP."""
    return Case(writes(b"\r\n".join([status, *lines, b"", b""]), JPEG), reason)


def chunks(content, size, extension=b""):
    """Return ``content`` as HTTP cuts it into chunks, without the last one."""
    parts = [content[start : start + size] for start in range(0, len(content), size)]
    return b"".join(b"%x%s\r\n%s\r\n" % (len(part), extension, part) for part in parts)


def photo_with_chunks(body, header=b""):
    """A case whose photo comes in chunks."""
    return Case(
        writes(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n", header, b"\r\n", body), kept=JPEG
    )


def garbled_chunks(body):
    """A case whose chunks are none."""
    return Case(
        writes(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", body), "connection broken off"
    )


def encoded(encoding, content=None):
    """A case whose photo comes with this Content-Encoding."""
    return Case(sends(JPEG if content is None else content, Content_Encoding=encoding), kept=JPEG)


def moved(location, reason):
    """A case that leads on to these bytes."""
    return Case(writes(b"HTTP/1.1 302 Found\r\nLocation: ", location, b"\r\n\r\n"), reason)


def moves_on(location):
    """A case that leads to a photo of another path at the same host, by an address of this form."""

    def answer(handler):
        if handler.path.endswith("/photo.jpg"):
            host = f"{handler.headers['Host']}".encode()
            handler.wfile.write(b"HTTP/1.1 302 Found\r\nLocation: " + location(host) + b"\r\n\r\n")
        else:
            handler.send(JPEG)

    return Case(answer, kept=JPEG)


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
UNKNOWN = "not an image of a known format "
SVG = b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><rect width="9" height="9"/></svg>'
NOTHING_CAME = "timed out: nothing came for 2 s"
NOT_DONE = "timed out: not done in 12 s"
PACKED = "compressed by another method than gzip or deflate"
TOO_LONG = "larger than 5 MB"

CASES = {
    "404": Case(lambda h: h.send(JPEG, status=404), "HTTP 404"),
    "410": Case(lambda h: h.send(JPEG, status=410), "HTTP 410"),
    "403": Case(lambda h: h.send(JPEG, status=403), "HTTP 403"),
    "304": Case(lambda h: h.send(status=304), "HTTP 304"),
    "206": Case(lambda h: h.send(JPEG, status=206), "HTTP 206"),
    "429-then-fine": Case(too_often, asked=2, kept=JPEG),
    "429-for-an-hour": Case(lambda h: h.send(status=429, Retry_After="3600"), "HTTP 429"),
    "500": Case(lambda h: h.send(status=500), "HTTP 500", asked=3),
    "503-twice-then-fine": Case(later, asked=3, kept=JPEG),
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
    "gzip": encoded("gzip", gzip.compress(JPEG)),
    "deflate": encoded("deflate", zlib.compress(JPEG)),
    "bare-deflate": encoded("deflate", zlib.compress(JPEG)[2:-4]),
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
"""Every one in a run of its own host, with all attempts that a photo may have."""

ODD = {
    "noml": Case(sends(JPEG, X_Robots_Tag="noml"), "its host opts out (X-Robots-Tag: noml)"),
    "reserved": Case(sends(JPEG, tdm_reservation=1), "its host opts out (tdm-reservation: 1)"),
    "not-reserved": Case(sends(JPEG, tdm_reservation=0), kept=JPEG),
    "no-preview": Case(sends(JPEG, X_Robots_Tag="max-image-preview: none"), kept=JPEG),
    "other-bots": Case(sends(JPEG, X_Robots_Tag="googlebot: max-snippet: 5, noindex, noai"), kept=JPEG),
    "203": Case(lambda h: h.send(JPEG, status=203), kept=JPEG),
    # Content-Encoding
    "encoding-utf-8": encoded("utf-8"),
    "encoding-none": encoded("none"),
    "encoding-binary": encoded("binary"),
    "encoding-aws-chunked": encoded("aws-chunked"),
    "encoding-image": encoded("image/jpeg"),
    "encoding-empty": encoded(""),
    "encoding-commas": encoded(" , ,"),
    "encoding-gzip-identity": encoded("gzip, identity", gzip.compress(JPEG)),
    "encoding-gzip-with-parameter": encoded("gzip;q=1", gzip.compress(JPEG)),
    "encoding-aws-chunked-gzip": encoded("aws-chunked,GZIP", gzip.compress(JPEG)),
    "encoding-x-gzip": encoded("x-gzip", gzip.compress(JPEG)),
    "gzip-members": encoded("gzip", b"".join(gzip.compress(part) for part in (JPEG[:9], b"", JPEG[9:]))),
    "gzip-padding": encoded("gzip", gzip.compress(JPEG) + bytes(1000)),
    "gzip-member-cut-off": Case(
        sends(gzip.compress(JPEG) + gzip.compress(JPEG)[:-9], Content_Encoding="gzip"),
        "damaged: gzip cut off",
    ),
    "gzip-members-bomb": Case(sends(gzip.compress(bytes(1_000_000)) * 6, Content_Encoding="gzip"), TOO_LONG),
    "gzip-empty-members": Case(sends(gzip.compress(b"") * 100_000, Content_Encoding="gzip"), "empty body"),
    "zstd": Case(sends(JPEG, Content_Encoding="zstd"), PACKED),
    "encoding-twice": Case(sends(JPEG, Content_Encoding=["gzip", "br"]), PACKED),
    # status lines and headers
    "line-feeds-only": Case(writes(b"HTTP/1.1 200 OK\nContent-Type: image/jpeg\n\n", JPEG), kept=JPEG),
    "no-phrase": photo_with(status=b"HTTP/1.1 200"),
    "odd-phrase": photo_with(status=b"HTTP/1.1 200 \xe9\xff \xf0\x9f\x98\x80"),
    "http-1.0": photo_with(status=b"HTTP/1.0 200 OK"),
    "http-0.9": Case(writes(JPEG), "connection broken off"),
    "http-2": Case(writes(bytes(3), b"\x12\x04", bytes(22)), "connection broken off"),
    "http-9.9": photo_with(status=b"HTTP/9.9 200 OK"),
    "icy": garbled(status=b"ICY 200 OK"),
    "status-0": garbled(status=b"HTTP/1.1 000 OK"),
    "status-999": garbled(status=b"HTTP/1.1 999 Request denied", reason="HTTP 999"),
    "status-1000": garbled(status=b"HTTP/1.1 1000 OK"),
    "status-word": garbled(status=b"HTTP/1.1 OK 200"),
    "phrase-without-end": Case(
        writes(b"HTTP/1.1 200 ", b"O" * 200_000, b"\r\n\r\n", JPEG),
        "connection broken off",
    ),
    "101": Case(
        writes(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", JPEG),
        "connection broken off",
    ),
    "103-first": photo_with(status=b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\nHTTP/1.1 200 OK"),
    "103-only": Case(writes(b"HTTP/1.1 103 Early Hints\r\n\r\n"), "connection broken off"),
    "204": Case(writes(b"HTTP/1.1 204 No Content\r\n\r\n"), "HTTP 204"),
    "401": Case(lambda h: h.send(status=401, WWW_Authenticate="Basic realm=\xe9"), "HTTP 401"),
    "407": Case(lambda h: h.send(status=407, Proxy_Authenticate="Basic"), "HTTP 407"),
    "folded-header": photo_with(b"X-Long: a", b" b", b"\tc"),
    "header-in-latin-1": photo_with(b"X-Title: \xe9t\xe9"),
    "header-without-colon": garbled(b"what is this"),
    "header-without-name": garbled(b": none"),
    "header-with-nul": garbled(b"X-Nul: a\0b"),
    "header-with-bare-return": garbled(b"X-Return: a\rb"),
    "header-of-a-megabyte": garbled(b"X-Long: " + b"x" * 1_000_000),
    "headers-without-number": garbled(*[b"X-%d: x" % number for number in range(20_000)]),
    "set-cookie-odd": photo_with(b"Set-Cookie: =;;;=\xff; Domain=.; Max-Age=" + b"9" * 5000),
    "length-twice": photo_with(b"Content-Length: %d" % len(JPEG), b"Content-Length: %d" % len(JPEG)),
    "length-listed": photo_with(b"Content-Length: %d, %d" % (len(JPEG), len(JPEG))),
    "lengths-differ": garbled(b"Content-Length: 7", b"Content-Length: 8"),
    "length-negative": garbled(b"Content-Length: -1"),
    "length-of-words": garbled(b"Content-Length: all of it"),
    "length-of-5000-digits": Case(
        writes(b"HTTP/1.1 200 OK\r\nContent-Length: ", b"9" * 5000, b"\r\n\r\n", JPEG),
        "connection broken off",
    ),
    "length-of-20-digits": Case(lambda h: h.head(Content_Length="9" * 20), TOO_LONG),
    "length-0": Case(writes(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", JPEG), "empty body"),
    "longer-than-it-says": Case(
        writes(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(JPEG), JPEG, b"and more" * 999),
        kept=JPEG,
    ),
    "reset-behind-the-headers": Case(
        lambda h: (h.head(Content_Length=len(JPEG)), h.reset()),
        "connection broken off",
    ),
    # chunks
    "chunks": photo_with_chunks(chunks(JPEG, 1000) + b"0\r\n\r\n"),
    "chunks-of-a-byte": photo_with_chunks(chunks(JPEG, 1) + b"0\r\n\r\n"),
    "chunks-extended": photo_with_chunks(chunks(JPEG, 1000, b';a="b;c"') + b"0\r\n\r\n"),
    "chunks-and-trailers": photo_with_chunks(chunks(JPEG, 1000) + b"0\r\nX-Robots-Tag: noai\r\n\r\n"),
    "chunks-and-length": photo_with_chunks(chunks(JPEG, 1000) + b"0\r\n\r\n", b"Content-Length: 5\r\n"),
    "chunks-without-end": garbled_chunks(chunks(JPEG, 1000)),
    "chunks-without-size": garbled_chunks(b"\r\n" + JPEG),
    "chunks-of-negative-size": garbled_chunks(b"-5\r\n" + JPEG),
    "chunks-of-20-digits": garbled_chunks(b"f" * 20 + b"\r\n" + JPEG),
    "chunks-of-5000-digits": garbled_chunks(b"f" * 5000 + b"\r\n" + JPEG),
    "chunks-that-lie": garbled_chunks(b"5\r\n" + JPEG),
    "chunk-size-without-end": garbled_chunks(b"1;" + b"x" * 200_000),
    "transfer-gzip": garbled(b"Transfer-Encoding: gzip"),
    "transfer-chunked-twice": garbled(b"Transfer-Encoding: chunked, chunked"),
    # redirects
    "moved-by-path": moves_on(lambda host: b"/moved-by-path/a.jpg"),
    "moved-by-name": moves_on(lambda host: b"a.jpg#there"),
    "moved-by-query": moves_on(lambda host: b"?a=b c|d^e"),
    "moved-by-host": moves_on(lambda host: b"//" + host + b"/moved-by-host/a.jpg"),
    "moved-with-password": moves_on(lambda host: b"http://a:b@" + host + b"/moved-with-password/a.jpg"),
    "moved-in-utf-8": moves_on(lambda host: b"\xc3\xa9t\xc3\xa9.jpg"),
    "moved-in-latin-1": moves_on(lambda host: b"\xe9t\xe9.jpg"),
    "moved-twice-the-same": moves_on(lambda host: b"a.jpg\r\nLocation: a.jpg"),
    "moved-by-dots": moves_on(lambda host: b"../" * 1000 + b"moved-by-dots/a.jpg"),
    "moved-nowhere": moved(b"", "redirected more than 5 times"),
    "moved-to-scheme": moved(b"http:", "redirected more than 5 times"),
    "moved-to-no-host": moved(b"http:///a.jpg", "HTTP 404"),
    "moved-to-port-99999": moved(b"http://a.test:99999/", "not a web address (no host, or no such port)"),
    "moved-to-port-word": moved(b"http://a.test:port/", "not a web address"),
    "moved-to-data": moved(b"data:image/gif;base64,R0lG", "not a web address (data)"),
    "moved-to-script": moved(b"javascript:alert(1)", "not a web address (javascript)"),
    "moved-to-number": moved(b"http://2130706433/a.jpg", "not a public address: 2130706433"),
    "moved-to-ipv6": moved(b"http://[::1]/a.jpg", "not a public address: ::1"),
    "moved-to-zone": moved(b"http://[fe80::1%25eth0]/a.jpg", "unknown host"),
    "moved-to-mapped": moved(b"http://[::ffff:7f00:1]/", "not a public address: ::ffff:7f00:1"),
    "moved-far": moved(b"http://a.test/" + b"a" * 70_000, "not a web address"),
    "moved-to-many-letters": moved(b"http://" + b"a" * 5000 + b".nowhere.invalid/", "unknown host"),
    "moved-to-dots": moved(b"http://../a.jpg", "unknown host"),
    # times to wait
    "wait-for-a-year-of-20-digits": Case(
        lambda h: h.send(status=503, Retry_After="Wed, 21 Oct 20150000000000000000 07:28:00 GMT"),
        "HTTP 503",
    ),
    "wait-of-5000-digits": Case(lambda h: h.send(status=429, Retry_After="9" * 5000), "HTTP 429"),
    "wait-below-zero": Case(
        lambda h: h.send(status=429, Retry_After="-1"),
        "HTTP 429",
    ),
    "wait-of-odd-zone": Case(
        lambda h: h.send(status=503, Retry_After="Wed, 21 Oct 2015 07:28:00 +99999999"),
        "HTTP 503",
    ),
}
"""What else hosts answer, each asked once: wishes, encodings, status lines, headers, chunks, redirects."""

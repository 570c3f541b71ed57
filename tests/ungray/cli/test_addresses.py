"""Photos of the web, from a real server on this machine that is taken for a public one."""

import functools
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from PIL import Image

from tests import costly_photos
from ungray import fetch
from ungray.fetch import addresses
from ungray.imaging import decoding, photo_files
from ungray.imaging.photos import read_rgb
from ungray.imaging.reading.formats import NAMES

PUBLIC = "127.0.0.53"


class Handler(BaseHTTPRequestHandler):
    def log_message(self, *about):
        pass

    def do_GET(self):
        self.server.asked.append(self.path)
        status, headers, body = self.server.answers.get(self.path, (404, {}, b"no such page"))
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture
def web(monkeypatch, cats):
    """A server that has photos and other things, at the one address here that may be asked."""
    server = ThreadingHTTPServer((PUBLIC, 0), Handler)
    server.asked = []
    server.address = f"http://{PUBLIC}:{server.server_port}"
    png = (cats / "cat.png").read_bytes()
    server.answers = {
        "/photos/old%20cat.jpg?size=large": (200, {}, (cats / "cat.jpg").read_bytes()),
        "/photo/17": (200, {"Content-Type": "image/jpeg"}, png),
        "/": (200, {}, png),
        "/page.jpg": (200, {"Content-Type": "image/jpeg"}, b"<html>a page about a photo</html>"),
        "/inside.jpg": (302, {"Location": "http://169.254.169.254/latest.jpg"}, b""),
        "/noai.png": (200, {"X-Robots-Tag": "noai"}, png),
    }
    allowed = functools.partial(
        fetch.fetch_all, is_public=lambda address: address == PUBLIC or addresses.is_public(address)
    )
    monkeypatch.setattr(fetch, "fetch_all", allowed)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def test_a_photo_of_the_web_is_written_here_under_its_name(colorize, web, tmp_path, monkeypatch, files_below):
    monkeypatch.chdir(tmp_path)
    code, _, err = colorize(f"{web.address}/photos/old%20cat.jpg?size=large")
    assert (code, err) == (0, "colored 1 photo: old cat-colored.jpg\n")
    assert files_below(tmp_path) == ["old cat-colored.jpg"]
    assert read_rgb(tmp_path / "old cat-colored.jpg").shape == (60, 90, 3)


def test_its_content_says_what_it_is_and_the_host_names_it_where_the_address_does_not(
    colorize, web, tmp_path, files_below
):
    links = [f"{web.address}/photo/17", f"{web.address}/", f"{web.address}/noai.png"]
    assert colorize(*links, "-o", tmp_path / "out")[0] == 0
    assert files_below(tmp_path / "out") == [f"{PUBLIC}.png", "17.png", "noai.png"]
    asked = len(web.asked)
    code, _, err = colorize(*links, "-o", tmp_path / "out")
    assert (code, err.split(",")[0]) == (0, "skipped 3 photos")
    assert len(web.asked) == asked


def test_addresses_and_files_go_together(colorize, web, cats, tmp_path, files_below):
    assert colorize(f"{web.address}/photo/17", cats / "cat.jpg", "-o", tmp_path, "--format", "png")[0] == 0
    assert files_below(tmp_path) == ["17.png", "cat.png"]


def test_photos_of_one_name_never_overwrite_one_another(colorize, web, cats, tmp_path):
    web.answers["/again/17"] = web.answers["/photo/17"]
    Image.open(cats / "cat.jpg").save(tmp_path / "17.png")
    links = [f"{web.address}/photo/17", f"{web.address}/again/17"]
    code, _, err = colorize(*links, tmp_path / "17.png", "-o", tmp_path / "out")
    assert code == 1
    assert err.startswith(f"colored 1 photo: {tmp_path}/out/17.png; 2 failed:\n")
    assert err.count("would be written to") == 2


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("/page.jpg", f"not an image of a known format ({NAMES})"),
        ("/inside.jpg", "not a public address: 169.254.169.254"),
        ("/gone.jpg", "HTTP 404"),
    ],
)
def test_what_gives_no_photo_is_refused_in_one_sentence(
    colorize, web, tmp_path, monkeypatch, files_below, path, reason
):
    monkeypatch.chdir(tmp_path)
    assert colorize(web.address + path) == (1, "", f"error: {web.address}{path}: {reason}")
    assert files_below(tmp_path) == []


@pytest.mark.parametrize(
    ("link", "reason"),
    [
        ("http://127.0.0.1/a.jpg", "not a public address: 127.0.0.1"),
        ("http://[::1]/a.jpg", "not a public address: ::1"),
        ("http://192.168.1.1/", "not a public address: 192.168.1.1"),
        ("file:///etc/passwd", "only http and https addresses are fetched; name a file by its path"),
        ("ftp://example.org/a.jpg", "not a web address (ftp)"),
        ("http://[a]/a.jpg", "not a web address"),
    ],
)
def test_private_and_other_addresses_are_not_asked(colorize, tmp_path, monkeypatch, link, reason):
    monkeypatch.chdir(tmp_path)
    code, out, err = colorize(link)
    assert (code, out) == (1, "")
    assert err == f"error: {link}: {reason}"
    assert list(tmp_path.iterdir()) == []


def test_a_dry_run_asks_nobody(colorize, web, tmp_path):
    code, out, _ = colorize(f"{web.address}/photo/17", "-o", f"{tmp_path}/out/", "--dry-run")
    assert (code, out) == (0, f"{web.address}/photo/17 -> {tmp_path}/out/17.(its own format)\n")
    assert web.asked == []


def test_a_photo_of_the_web_is_decoded_within_limits_and_one_of_ones_own_right_here(
    colorize, web, cats, tmp_path, monkeypatch
):
    asked = []

    def limited(work, content, **about):
        asked.append((work, content))
        return work(content)

    monkeypatch.setattr(decoding, "limited", limited)
    assert colorize(f"{web.address}/photo/17", "-o", str(tmp_path / "a.png"))[0] == 0
    assert asked == [(photo_files.read_photo, (cats / "cat.png").read_bytes())]
    assert colorize(str(cats / "cat.png"), "-o", str(tmp_path / "b.png"))[0] == 0
    assert len(asked) == 1
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


@pytest.mark.parametrize("name", costly_photos.FILES)
def test_a_small_photo_of_the_web_that_costs_much_is_refused_in_a_sentence(colorize, web, tmp_path, name):
    web.answers["/costly"] = (200, {}, costly_photos.FILES[name]())
    code, _, err = colorize(f"{web.address}/costly", "-o", str(tmp_path / "a.png"))
    assert code == 1
    assert err.startswith(f"error: {web.address}/costly: damaged: ")
    assert not (tmp_path / "a.png").exists()

"""A stand-in for Bing and for the hosts of its photos, and the shipped params of the section scrape."""

import functools
import gzip
import html
import http.client
import io
import json
import os
import re
import socket
import struct
import subprocess
import sys
import threading
import time
import urllib.parse
import urllib.request
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from ruamel.yaml import YAML

from stages.params import load_all
from stages.scrape import downloads

ROOT = Path(__file__).parents[2]

QUICK = {"delay": 0, "timeout": 2, "deadline": 5.0, "connections_per_host": 8, "min_side": 0}
"""For a stand-in that needs no politeness, and whose photos are tiny."""

STAGE = """
import functools, runpy, sys, urllib.request
here = runpy.run_path(sys.argv.pop(1))
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), here["ToPort"](int(sys.argv.pop(1))))
urllib.request.install_opener(opener)
from stages.scrape import downloads
downloads.fetch_all = functools.partial(downloads.fetch_all, is_public=here["only_here"])
runpy.run_module("stages.scrape", run_name="__main__", alter_sys=True)
"""
"""`python -m stages.scrape`, sent to the stand-in at a port."""

PAGE = 35
"""Links on a results page, as at Bing."""


def photo(number, width=24, height=16):
    """A small JPEG, another one for every number."""
    pixels = np.random.default_rng(number).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    written = io.BytesIO()
    Image.fromarray(pixels).resize((width, height), Image.Resampling.NEAREST).save(written, "JPEG")
    return written.getvalue()


class StandIn(ThreadingHTTPServer):
    """Answers /images/async as Bing does, and the addresses of photos, good ones and hostile ones.

    ``links`` holds what a search for a query finds, ``trouble`` what goes wrong with it and from which offset
    on, ``asked`` the searches that came in, ``fetched`` how often each photo was asked for, ``connections``
    how many there were. ``gone`` are photos that are no longer there, ``changed`` those that are others now;
    ``pause`` is how many seconds a photo takes; ``escaped`` says that links stand in pages as JSON has them;
    ``own`` are photos of a test's own, by path; ``answers`` are functions that answer a search otherwise,
    given the request's handler.
    """

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.links, self.trouble, self.asked, self.connections = {}, {}, [], 0
        self.fetched, self.gone, self.changed, self.pause = Counter(), set(), set(), 0
        self.escaped, self.own, self.answers = False, {}, {}
        self.done = threading.Event()

    def verify_request(self, request, client_address):
        self.connections += 1
        return True

    def handle_error(self, request, client_address):
        pass  # a client that hangs up on an endless body

    def url(self, path):
        return f"http://127.0.0.1:{self.server_port}{path}"

    def finds(self, query, *paths):
        self.links[query] = [self.url(path) if path.startswith("/") else path for path in paths]

    def photo(self, number):
        return photo(number)


class Handler(BaseHTTPRequestHandler):
    def log_message(self, *about):
        pass

    def answer(self, body=b"", *, status=200, kind="image/jpeg", **headers):
        self.send_response(status)
        for name, value in {"Content-Type": kind, "Content-Length": len(body), **headers}.items():
            self.send_header(name, str(value))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        path, _, query = self.path.partition("?")
        if path == "/images/async":
            return self.results(dict(urllib.parse.parse_qsl(query)))
        self.server.fetched[path] += 1
        if path in self.server.own:
            return self.answer(self.server.own[path])
        if number := re.fullmatch(r"/photo/(\d+)\.jpg", path):
            time.sleep(self.server.pause)
            number = int(number[1])
            if number in self.server.gone:
                self.answer(status=404)
            else:
                self.answer(photo(number + 5000 if number in self.server.changed else number))
        elif path == "/photo/%C3%A9t%C3%A9.jpg":
            self.answer(photo(1001))
        elif path == "/html.jpg":
            self.answer(b"<html>hotlinking is not allowed</html>")
        elif path == "/short.jpg":
            self.answer(b"\xff\xd8\xff")
        elif path == "/truncated.jpg":
            self.answer(photo(1002)[:-60])
        elif path == "/cut.jpg":
            self.answer(photo(1003)[:-60], **{"Content-Length": len(photo(1003))})
        elif path == "/large.jpg":
            self.answer(photo(1005, width=960, height=640))
        elif path == "/big.jpg":
            self.answer(photo(1004) + bytes(1_000_000))
        elif path == "/endless.jpg":
            self.send_response(200)
            self.end_headers()
            while not self.server.done.is_set():
                self.wfile.write(bytes(65536))
        elif path == "/silent.jpg":
            self.server.done.wait(5)
        elif path == "/circle":
            self.answer(status=302, Location="/circle")
        elif target := urllib.parse.parse_qs(query).get("to"):
            self.answer(status=302, Location=target[0])
        else:
            self.answer(status=404)

    def results(self, asked):
        self.server.asked.append(asked | {"host": self.headers["Host"]})
        if answer := self.server.answers.get(asked["q"]):
            return answer(self)
        first = int(asked["first"])
        trouble, since = self.server.trouble.get(asked["q"], ("", 0))
        links = self.server.links.get(asked["q"], [])[first : first + PAGE]
        results = [about(link, self.server.escaped) for link in links]
        page = "<div>caf\xe9</div>" + "".join(f'<a class="iusc" m="{result}"></a>' for result in results)
        utf8 = {"kind": "text/html; charset=utf-8"}
        if not trouble or first < since:
            return self.answer(page.encode(), **utf8)
        if trouble == "503 on every other page":
            self.server.trouble[asked["q"]] = "fine on every other page", since
            return self.answer(b"busy", status=503, **{"Retry-After": 0})
        if trouble == "fine on every other page":
            self.server.trouble[asked["q"]] = "503 on every other page", since
            return self.answer(page.encode(), **utf8)
        if trouble == "reset":
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            return self.connection.close()
        if trouble == "drip":
            self.send_response(200)
            self.end_headers()
            while not self.server.done.wait(0.05):
                self.wfile.write(b" ")
            return None
        if trouble in ("header drip", "status drip"):
            self.wfile.write(
                b"HTTP/1.1 100 Continue\r\n\r\n" if trouble == "status drip" else b"HTTP/1.1 200 OK\r\n"
            )
            drop = b"HTTP/1.1 100 Continue\r\n\r\n" if trouble == "status drip" else b"X-Drop: x\r\n"
            while not self.server.done.wait(0.2):
                self.wfile.write(drop)
            return None
        if trouble == "hang":
            return self.server.done.wait(5)
        if trouble == "the same page again":
            page = "".join(f'<a m="{about(link)}"></a>' for link in self.server.links[asked["q"]][:PAGE])
        answer = {
            "503": {"body": b"busy", "status": 503},
            "404": {"body": b"no", "status": 404},
            "429": {"body": b"slow down", "status": 429, "Retry-After": "0"},
            "not UTF-8": {"body": page.encode() + b"\xe9\xff"},
            "Latin-1": {"body": page.encode("latin-1"), "kind": "text/html; charset=iso-8859-1"},
            "no such charset": {"body": page.encode(), "kind": "text/html; charset=klingon"},
            "gzip": {"body": gzip.compress(page.encode()), "Content-Encoding": "gzip"},
            "gzip cut off": {"body": gzip.compress(page.encode())[:-20], "Content-Encoding": "gzip"},
            "cut off": {"body": page.encode()[:-20], "Content-Length": len(page.encode())},
            "gzip bomb": {"body": bomb() if trouble == "gzip bomb" else b"", "Content-Encoding": "gzip"},
            "endless": {"body": b"x" * 9_000_000},
            "captcha": {"body": b"<html>Are you a robot?</html>"},
            "nothing found": {"body": b"<div>There are no results for this</div>"},
            "empty": {"body": b""},
            "the same page again": {"body": page.encode()},
        }[trouble]
        self.answer(**{"kind": "text/html", **answer})


@functools.cache
def bomb():
    """Many megabytes in a few kilobytes."""
    return gzip.compress(bytes(200_000_000), 1)


def about(link, escaped=False):
    """What Bing writes into its page about a photo; the link is ``escaped`` for JSON already, or not."""
    shown_by = "https://shown.example/" + link.rsplit("/", 1)[-1]
    written = link if escaped else json.dumps(link, ensure_ascii=False)[1:-1]
    return html.escape(f'{{"purl":{json.dumps(shown_by)},"murl":"{written}","t":"x"}}')


class ToPort(urllib.request.HTTPSHandler):
    """Sends every https host to a port of this machine, in plain HTTP, with the Host it would have got."""

    def __init__(self, port):
        super().__init__()
        self.port = port

    def https_open(self, req):
        port = self.port

        class Plain(http.client.HTTPConnection):
            def connect(self):
                asked, self.host, self.port = (self.host, self.port), "127.0.0.1", port
                super().connect()
                self.host, self.port = asked

        return self.do_open(Plain, req)


@pytest.fixture
def send_bing_to(monkeypatch):
    """A function that sends searches to a port of this machine for the rest of the test."""

    def send(port):
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), ToPort(port))
        monkeypatch.setattr(urllib.request, "_opener", opener)

    return send


@pytest.fixture
def stand_in(send_bing_to, monkeypatch):
    """The stand-in, running; searches go there, its photos are refused because their address is private."""
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    server = StandIn()
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    send_bing_to(server.server_port)
    yield server
    server.done.set()
    server.shutdown()
    server.server_close()


def only_here(address):
    """Say that the stand-in's address is public, and no other."""
    return str(address) == "127.0.0.1"


@pytest.fixture
def bing(stand_in, monkeypatch):
    """The stand-in, its photos allowed, every other address refused."""
    fetch_all = functools.partial(downloads.fetch_all, is_public=only_here)
    monkeypatch.setattr(downloads, "fetch_all", fetch_all)
    return stand_in


@pytest.fixture
def scrape_params():
    """A function that returns the shipped section scrape with some values changed."""
    shipped = load_all(ROOT / "params.yaml")["scrape"]
    return lambda **changes: shipped.model_copy(update=QUICK | changes)


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """Every test runs in a folder of its own, so that the working cache is its own too."""
    monkeypatch.chdir(tmp_path)


class Stage:
    """Starts `python -m stages.scrape` in a folder with params of its own, against the stand-in."""

    environment = os.environ | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "DVC_NO_ANALYTICS": "1",
        "GIT_AUTHOR_NAME": "Test",
        "GIT_AUTHOR_EMAIL": "test@example.org",
        "GIT_COMMITTER_NAME": "Test",
        "GIT_COMMITTER_EMAIL": "test@example.org",
    }

    def __init__(self, port, tmp_path):
        self.port, self.tmp_path = port, tmp_path

    def arguments(self):
        return [STAGE, __file__, str(self.port)]

    def set(self, top, **changes):
        yaml = YAML()
        content = yaml.load(ROOT / "params.yaml")
        content["scrape"].update(QUICK | {"source": "bing", "queries": ["cats"]} | changes)
        yaml.dump(content, top / "params.yaml")

    def __call__(self, place="checkout", *, blocked=(), **changes):
        """``blocked`` is what data/blocked.csv holds: checksums, other text, or None for no such file."""
        top = self.tmp_path / place
        (top / "data").mkdir(parents=True, exist_ok=True)
        text = blocked if isinstance(blocked, str) else "".join(f"{name},\n" for name in blocked or ())
        (top / "data/blocked.csv").write_text(text if blocked == "" else f"sha256,phash\n{text}")
        if blocked is None:
            (top / "data/blocked.csv").unlink()
        self.set(top, **changes)
        return subprocess.Popen(
            [sys.executable, "-c", *self.arguments()],
            cwd=top,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )


@pytest.fixture
def stage(stand_in, tmp_path):
    """See Stage."""
    return Stage(stand_in.server_port, tmp_path)


@pytest.fixture
def raw(tmp_path):
    """An empty folder to gather into."""
    folder = tmp_path / "raw"
    folder.mkdir()
    return folder


@pytest.fixture
def contents():
    """A function that returns what is in a folder: path below it -> bytes."""
    return lambda top: {p.relative_to(top).as_posix(): p.read_bytes() for p in top.rglob("*") if p.is_file()}


@pytest.fixture
def shipped():
    """The repository's top folder."""
    return ROOT

"""A stand-in for the image hosts of the world: real HTTP, real faults, on one loopback address."""

import functools
import io
import socket
import struct
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from ungray.fetch import Limits, addresses, fetch_all

PUBLIC = "127.0.0.53"
"""Where the stand-in lives. Tests take it for public; every other address is judged by the real rule."""

LIMITS = Limits(
    connections=16,
    connections_per_host=4,
    delay=0.0,
    attempts=3,
    timeout=5.0,
    deadline=20.0,
    max_bytes=5_000_000,
    max_pixels=50_000_000,
    honor_opt_out=True,
)


class ImageHosts(ThreadingHTTPServer):
    """Answers for every host name ``*.test``.

    ``answers`` maps a path to a function that is given the request's handler; ``asked`` lists the requests
    that came: host, path, time, headers; ``most_open`` holds the largest number of requests at a time, by
    host and in all (""); ``connections`` counts what was dialled.
    """

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, address=PUBLIC, port=0):
        super().__init__((address, port), Handler)
        self.answers, self.asked, self.connections = {}, [], 0
        self.open, self.most_open, self.lock = {}, {}, threading.Lock()
        self.over = threading.Event()

    def verify_request(self, request, client_address):
        self.connections += 1
        return True

    def handle_error(self, request, client_address):
        pass  # a client that hangs up

    def link(self, host, path):
        return f"http://{host}:{self.server_port}{path}"

    def serves(self, path, content=None, **headers):
        """Answer at ``path`` with a photo, and return its bytes."""
        content = photo(len(self.answers)) if content is None else content
        self.answers[path] = lambda handler: handler.send(content, **headers)
        return content

    def count(self, key, change):
        with self.lock:
            self.open[key] = self.open.get(key, 0) + change
            self.most_open[key] = max(self.most_open.get(key, 0), self.open[key])


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *about):
        pass

    def do_GET(self):
        server, host = self.server, self.headers["Host"].split(":")[0]
        server.asked.append(
            SimpleNamespace(host=host, path=self.path, time=time.monotonic(), headers=self.headers)
        )
        server.count(host, 1)
        server.count("", 1)
        try:
            # Where a case leads to another path below its own, it answers there too.
            answer = server.answers.get(self.path) or server.answers.get(
                f"/{self.path.split('/')[1]}/photo.jpg"
            )
            answer(self) if answer else self.send(b"no such page", status=404)
        finally:
            server.count(host, -1)
            server.count("", -1)

    @property
    def times(self):
        """How often this path was asked for, this time included."""
        return sum(request.path == self.path for request in self.server.asked)

    def head(self, status=200, **headers):
        self.send_response(status)
        for name, values in headers.items():
            for value in values if isinstance(values, list) else [values]:
                self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()

    def send(self, content=b"", *, status=200, **headers):
        self.head(status, **{"Content_Length": len(content), **headers})
        self.wfile.write(content)

    def reset(self):
        """Hang up the hard way."""
        self.wfile.flush()
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()


def photo(number, size=(24, 16)):
    """A small JPEG, another one for every number."""
    pixels = np.random.default_rng(number).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    written = io.BytesIO()
    Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC).save(written, "JPEG")
    return written.getvalue()


def resolve(host):
    return [PUBLIC] if host.endswith(".test") else addresses.look_up(host)


def is_public(address):
    return address == PUBLIC or addresses.is_public(address)


@pytest.fixture(scope="module")
def start():
    """A function that starts a stand-in and stops it at the end."""
    servers = []

    def run(**about):
        server = ImageHosts(**about)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        servers.append(server)
        return server

    yield run
    for server in servers:
        server.over.set()
        server.shutdown()
        server.server_close()


@pytest.fixture
def hosts(start):
    """A stand-in that nobody has asked yet."""
    return start()


@pytest.fixture
def store(tmp_path):
    return tmp_path / "store"


@pytest.fixture(scope="session")
def fetch_into():
    """A function that fetches links into a folder and returns link -> outcome; see ``fetched``."""

    def run(store, *links, resolve=resolve, is_public=is_public, **limits):
        limits = Limits(**{**vars(LIMITS), **limits})
        outcomes = list(fetch_all(links, limits=limits, store=store, resolve=resolve, is_public=is_public))
        assert sorted(outcome.url for outcome in outcomes) == sorted(links)
        return {outcome.url: outcome for outcome in outcomes}

    return run


@pytest.fixture
def fetched(fetch_into, store):
    """A function that fetches links and returns link -> outcome; limits and the resolver can be changed."""
    return functools.partial(fetch_into, store)

"""Photos that take long to decode: the deadline is theirs too, and nobody waits for them."""

import json
import signal
import subprocess
import sys
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from tests.costly_photos import slow_jpeg
from ungray.fetch import fetch_all

from .conftest import LIMITS, is_public, resolve
from .test_stopping import RUN, names


@pytest.fixture(scope="module")
def slow():
    return slow_jpeg()


def test_the_deadline_covers_decoding_and_the_next_photo_comes(hosts, store, slow):
    hosts.serves("/slow.jpg", slow)
    hosts.serves("/quick.jpg")
    links = [hosts.link("a.test", path) for path in ("/slow.jpg", "/quick.jpg")]
    limits = replace(LIMITS, deadline=2.0, connections=1)
    start = time.monotonic()
    found = {
        o.url: o for o in fetch_all(links, limits=limits, store=store, resolve=resolve, is_public=is_public)
    }
    assert time.monotonic() - start < 60  # starting two processes takes half of it on a busy machine
    assert found[links[0]].reason == "takes too long to decode"
    assert found[links[1]].sha256
    assert names(store) == [found[links[1]].sha256]


def test_closing_does_not_wait_for_the_photo_that_is_decoded(hosts, store, slow):
    hosts.serves("/quick.jpg")
    hosts.serves("/slow.jpg", slow)
    links = [hosts.link("a.test", path) for path in ("/quick.jpg", "/slow.jpg")]
    limits = replace(LIMITS, connections_per_host=1)
    with closing(
        fetch_all(links, limits=limits, store=store, resolve=resolve, is_public=is_public)
    ) as fetching:
        quick = next(fetching)
        time.sleep(1)
        start = time.monotonic()
    assert time.monotonic() - start < 2
    assert names(store) == [quick.sha256]


def test_ctrl_c_ends_within_two_seconds_while_a_photo_is_decoded(hosts, store, slow):
    hosts.serves("/quick.jpg")
    hosts.serves("/slow.jpg", slow)
    links = [hosts.link("a.test", path) for path in ("/quick.jpg", "/slow.jpg")]
    limits = replace(LIMITS, connections_per_host=1)
    process = subprocess.Popen(
        [sys.executable, "-c", RUN, json.dumps([links, vars(limits), str(store)])],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[3],
    )
    assert process.stdout.readline() == "started\n"
    process.stdout.readline()
    time.sleep(1)
    process.send_signal(signal.SIGINT)
    start = time.monotonic()
    process.communicate(timeout=60)
    assert time.monotonic() - start < 2
    assert process.returncode == 0

"""Stopped in the middle, by the caller, by Ctrl-C or for good: nothing goes on, nothing half-done is left."""

import json
import signal
import subprocess
import sys
import threading
import time
from contextlib import closing
from pathlib import Path

import pytest

from ungray.fetch import blob_path, fetch_all

from .conftest import LIMITS, is_public, photo, resolve

RUN = """
import json, sys, threading
from pathlib import Path
from ungray import fetch

links, limits, store = json.loads(sys.argv[1])
print("started", flush=True)
try:
    for outcome in fetch.fetch_all(links, limits=fetch.Limits(**limits), store=Path(store),
                                   resolve=lambda host: ["127.0.0.53"], is_public=lambda address: True):
        print(outcome.sha256, flush=True)
except KeyboardInterrupt:
    print("interrupted", threading.active_count(), flush=True)
"""


def half(handler):
    """Send half of a photo and then nothing more."""
    handler.head(Content_Length=len(photo(1)))
    handler.wfile.write(photo(1)[:300])
    handler.server.over.wait(30)


@pytest.fixture
def links(hosts):
    """One photo that comes, and many that come halfway."""
    hosts.serves("/good.jpg")
    hosts.answers["/half.jpg"] = half
    halves = [hosts.link(f"{n}.test", "/half.jpg") for n in range(10)]
    return [*halves, hosts.link("good.test", "/good.jpg")]


def names(folder):
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def wait_until(condition):
    end = time.monotonic() + 60
    while not condition() and time.monotonic() < end:
        time.sleep(0.02)
    assert condition()


def nobody_connected(hosts):
    return hosts.open.get("", 0) == 0


def test_closing_the_iterator_stops_everything_at_once_and_keeps_what_was_yielded(hosts, links, store):
    fetching = fetch_all(links, limits=LIMITS, store=store, resolve=resolve, is_public=is_public)
    with closing(fetching):
        outcome = next(fetching)
        wait_until(lambda: hosts.open[""] == 10)
        began = time.monotonic()
    assert time.monotonic() - began < 4  # the hosts hang for 30 seconds, and are given up after 5
    assert names(store) == [outcome.sha256]
    assert not {thread.name.split("_")[0] for thread in threading.enumerate()} & {
        "fetch",
        "decode",
        "resolve",
    }
    hosts.over.set()
    assert list(fetching) == []


def test_an_error_of_the_caller_stops_everything_and_comes_through(hosts, links, store):
    def caller():
        for outcome in fetch_all(links, limits=LIMITS, store=store, resolve=resolve, is_public=is_public):
            raise ZeroDivisionError(outcome)

    with pytest.raises(ZeroDivisionError):
        caller()
    assert not any(thread.name == "fetch" for thread in threading.enumerate())


def test_a_caller_that_is_slow_costs_no_photo(hosts, store):
    for n in range(3):
        hosts.serves(f"/{n}.jpg")
    links = [hosts.link("a.test", f"/{n}.jpg") for n in range(3)]
    limits = type(LIMITS)(
        **{**vars(LIMITS), "timeout": 1.5, "attempts": 1, "connections": 1, "deadline": 2.0}
    )
    outcomes = []
    for outcome in fetch_all(links, limits=limits, store=store, resolve=resolve, is_public=is_public):
        time.sleep(0.9)
        outcomes.append(outcome)
    assert [bool(outcome.sha256) for outcome in outcomes] == [True] * 3


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGKILL])
def test_ctrl_c_and_kill_leave_whole_photos_and_nothing_else(hosts, links, store, sent):
    process = subprocess.Popen(
        [sys.executable, "-c", RUN, json.dumps([links, vars(LIMITS), str(store)])],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[3],
    )
    assert process.stdout.readline() == "started\n"
    fetched = process.stdout.readline().strip()
    wait_until(lambda: hosts.open[""] == 10)
    process.send_signal(sent)
    began = time.monotonic()
    told, trouble = process.communicate(timeout=60)
    assert time.monotonic() - began < 4.5  # the hosts hang for 30 seconds, and are given up after 5
    if sent == signal.SIGINT:
        assert told == "interrupted 1\n"
        assert trouble == ""
        assert process.returncode == 0
    assert names(store) == [fetched]
    assert blob_path(store, fetched).is_file()


def test_a_store_that_cannot_be_written_is_an_error_and_not_a_refusal(hosts, links, tmp_path):
    (tmp_path / "store").write_text("a file where the folder should be")
    with pytest.raises(OSError, match="store"):
        list(fetch_all(links, limits=LIMITS, store=tmp_path / "store", resolve=resolve, is_public=is_public))


def test_a_disk_that_is_full_stops_everything_with_its_error(hosts, links, store, monkeypatch):
    def full(self, content):
        raise OSError(28, "No space left on device", str(self))

    monkeypatch.setattr(Path, "write_bytes", full)
    began = time.monotonic()
    with pytest.raises(OSError, match="No space left"):
        list(fetch_all(links, limits=LIMITS, store=store, resolve=resolve, is_public=is_public))
    assert time.monotonic() - began < 4.5
    assert names(store) == []


def test_nothing_to_fetch_is_nothing_and_a_second_run_writes_nothing_anew(hosts, fetched, store):
    assert fetched() == {}
    hosts.serves("/a.jpg")
    link = hosts.link("a.test", "/a.jpg")
    outcome = fetched(link)[link]
    path = blob_path(store, outcome.sha256)
    assert path == store / outcome.sha256[:2] / outcome.sha256
    before = path.stat().st_mtime_ns
    assert fetched(link)[link].sha256 == outcome.sha256
    assert path.stat().st_mtime_ns == before
    assert outcome.fetched_at.endswith("Z")
    assert len(outcome.fetched_at) == len("2026-11-21T07:00:00Z")

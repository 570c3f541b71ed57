"""What no host should answer: a good photo comes through, all else is a refusal in a few words."""

import gzip
import itertools
from random import Random

import pytest

from ungray.fetch import blob_path

from .cases import ODD, chunks, writes
from .conftest import photo

GARBLED = 200
PHOTO = photo(1)


@pytest.fixture(scope="module")
def run(start, tmp_path_factory, fetch_into):
    """All of them at once: the store, and outcomes by name, of the odd one and of a good photo."""
    server, store = start(), tmp_path_factory.mktemp("store")
    links = {}
    for name, case in ODD.items():
        server.answers[f"/{name}/photo.jpg"] = case.answer
        server.serves(f"/good/{name}.jpg")
        links[name] = [
            server.link(f"{name}.test", path) for path in (f"/{name}/photo.jpg", f"/good/{name}.jpg")
        ]
    outcomes = fetch_into(
        store,
        *itertools.chain(*links.values()),
        attempts=1,
        timeout=20.0,
        deadline=60.0,
        connections_per_host=1,
    )
    return store, {name: [outcomes[link] for link in pair] for name, pair in links.items()}


@pytest.mark.parametrize("name", ODD)
def test_a_good_photo_is_kept_and_all_else_is_refused_in_a_few_words(run, name):
    store, outcomes = run
    case, (odd, good) = ODD[name], outcomes[name]
    assert good.reason == ""
    assert odd.reason == case.reason
    if not case.reason:
        assert blob_path(store, odd.sha256).read_bytes() == case.kept


ANSWERS = [
    b"HTTP/1.1 200 OK\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n%s" % (len(PHOTO), PHOTO),
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX-Robots-Tag: googlebot: noai\r\n\r\n"
    + chunks(PHOTO, 100)
    + b"0\r\n\r\n",
    b"HTTP/1.0 200 OK\r\nContent-Encoding: gzip\r\n\r\n" + gzip.compress(PHOTO),
    b"HTTP/1.1 302 Found\r\nLocation: http://a.test/a.jpg?b=c#d\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 429 Slow Down\r\nRetry-After: Wed, 21 Oct 2035 07:28:00 GMT\r\n\r\n",
]


def garble(answer, random):
    """Return ``answer`` with a few bytes of its first hundreds changed, doubled, taken out or put in."""
    answer = bytearray(answer)
    for _ in range(random.randint(1, 4)):
        place, length = random.randrange(min(len(answer), 150)), random.randint(1, 9)
        odd = random.choice(
            [random.randbytes(length), b"\r\n", b":", b"\0", b"9" * 30, answer[place : place + length]]
        )
        answer[place : place + random.choice([0, length])] = odd
    return bytes(answer)


def test_answers_with_garbled_bytes_are_photos_or_refusals(hosts, fetch_into, tmp_path):
    random = Random(16)
    links = []
    for number in range(GARBLED):
        answer = garble(ANSWERS[number % len(ANSWERS)], random)
        hosts.answers[f"/{number}.jpg"] = writes(answer)
        links.append(hosts.link(f"{number}.test", f"/{number}.jpg"))
    outcomes = fetch_into(tmp_path / "store", *links, attempts=1, timeout=10.0, deadline=60.0)
    for link in links:
        outcome = outcomes[link]
        assert bool(outcome.sha256) != bool(outcome.reason)
        assert outcome.reason.isprintable()
        assert not outcome.reason.startswith("its answer cannot be read"), "a fault that has no name yet"
    assert any(outcome.sha256 for outcome in outcomes.values())

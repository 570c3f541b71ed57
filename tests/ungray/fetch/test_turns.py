"""How politely hosts are asked, and that a slow one holds up nobody else."""

import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from itertools import pairwise

import pytest

from ungray.fetch import fetch_all
from ungray.fetch.hosts import PATIENCE

from .conftest import LIMITS, is_public, resolve


def starts(hosts, host):
    return [request.time for request in hosts.asked if request.host == host]


def apart(times):
    return [later - earlier for earlier, later in pairwise(times)]


def assert_delay(times, *, delay, since):
    """The requests came at least ``delay`` apart, counted from before the first: a slow machine only adds."""
    for number, time_of_request in enumerate(times):
        assert time_of_request - since > number * delay - 0.01


def sleeps(seconds):
    def answer(handler):
        handler.server.over.wait(seconds)
        handler.send(b"no photo")

    return answer


def waits_until(condition, seconds=0.3):
    """Answer so many seconds after ``condition(server)`` holds, or after four in any case."""

    def answer(handler):
        end = time.monotonic() + 4
        while not condition(handler.server) and time.monotonic() < end:
            handler.server.over.wait(0.01)
        handler.server.over.wait(seconds)
        handler.send(b"no photo")

    return answer


def test_requests_to_one_host_start_a_delay_apart_and_other_hosts_are_not_held_up(hosts, fetched):
    for number in range(4):
        hosts.serves(f"/{number}.jpg")
    links = [hosts.link(host, f"/{n}.jpg") for host in ("a.test", "b.test", "c.test") for n in range(4)]
    began = time.monotonic()
    outcomes = fetched(*links, delay=0.4)
    assert all(outcome.sha256 for outcome in outcomes.values())
    asked = [starts(hosts, host) for host in ("a.test", "b.test", "c.test")]
    for times in asked:
        assert len(times) == 4
        assert_delay(times, delay=0.4, since=began)
    # Every host was first asked before any was last asked.
    assert max(times[0] for times in asked) < min(times[-1] for times in asked)


def test_redirects_and_further_attempts_keep_the_delay_too(hosts, fetched):
    hosts.answers["/moved.jpg"] = lambda handler: handler.send(status=302, Location="/busy.jpg")
    hosts.answers["/busy.jpg"] = lambda handler: handler.send(status=503)
    link = hosts.link("a.test", "/moved.jpg")
    began = time.monotonic()
    assert fetched(link, delay=0.6, attempts=2)[link].reason == "HTTP 503"
    assert [request.path for request in hosts.asked] == ["/moved.jpg", "/busy.jpg"] * 2
    assert_delay(starts(hosts, "a.test"), delay=0.6, since=began)


def test_no_more_connections_are_open_than_allowed_at_a_host_and_in_all(hosts, fetched):
    # As many as may be are open before the first is answered; more would be seen a moment later.
    full = waits_until(lambda server: server.most_open.get("", 0) >= 5)
    links = [
        hosts.link(host, "/slow.jpg") + "?" * n for host in ("a.test", "b.test", "c.test") for n in range(4)
    ]
    for n in range(4):
        hosts.answers["/slow.jpg" + "?" * n] = full
    fetched(*links, connections=5, connections_per_host=2)
    assert len(hosts.asked) == len(links)
    assert {hosts.most_open[host] for host in ("a.test", "b.test", "c.test")} == {2}
    assert hosts.most_open[""] == 5


def test_a_slow_host_takes_no_connection_from_others_while_its_photos_wait(hosts, store):
    quick_asked = waits_until(lambda server: len(starts(server, "quick.test")) == 6, 0.5)
    for n in range(6):
        hosts.answers[f"/slow/{n}.jpg"] = quick_asked
        hosts.serves(f"/{n}.jpg")
    links = [hosts.link("slow.test", f"/slow/{n}.jpg") for n in range(6)]
    links += [hosts.link("quick.test", f"/{n}.jpg") for n in range(6)]
    limits = type(LIMITS)(**{**vars(LIMITS), "connections": 2, "connections_per_host": 1})
    order = [
        outcome.url
        for outcome in fetch_all(links, limits=limits, store=store, resolve=resolve, is_public=is_public)
    ]
    assert sum("slow.test" in url for url in order[:7]) <= 1


def test_a_delay_holds_also_where_photos_had_to_wait_for_a_connection(hosts, fetched):
    hosts.answers["/slow.jpg"] = sleeps(0.5)
    for n in range(3):
        hosts.serves(f"/{n}.jpg")
    links = [hosts.link("a.test", f"/{n}.jpg") for n in range(3)]
    slow = [hosts.link(f"slow-{n}.test", "/slow.jpg") for n in range(3)]
    began = time.monotonic()
    fetched(*links, *slow, connections=1, delay=0.4)
    assert_delay(starts(hosts, "a.test"), delay=0.4, since=began)


def test_waiting_for_ones_turn_is_not_counted_against_a_photo(hosts, fetched):
    hosts.answers["/slow.jpg"] = sleeps(0.4)
    links = [hosts.link(f"{n}.test", "/slow.jpg") for n in range(8)]
    outcomes = fetched(*links, connections=1, deadline=2.5)
    assert {outcome.reason.split(" of ")[0] for outcome in outcomes.values()} == {"not an image"}


def test_waiting_for_the_decoder_is_not_counted_either(hosts, fetched, monkeypatch):
    monkeypatch.setattr("ungray.fetch.check_photo", lambda *about, **limits: time.sleep(0.6))
    links = []
    for n in range(4):
        hosts.serves(f"/{n}.jpg")
        links.append(hosts.link("a.test", f"/{n}.jpg"))
    outcomes = fetched(*links, deadline=2)
    assert all(outcome.sha256 for outcome in outcomes.values())


@pytest.mark.parametrize("form", ["seconds", "date"])
def test_a_host_that_names_a_time_is_left_alone_until_then(hosts, fetched, form):
    def busy(handler):
        if handler.times > 1:
            return handler.send(content)
        date = format_datetime(datetime.now(UTC) + timedelta(seconds=3), usegmt=True)
        return handler.send(status=429, Retry_After="2" if form == "seconds" else date)

    content = hosts.serves("/good.jpg")
    hosts.answers["/busy.jpg"] = busy
    hosts.answers["/slow.jpg"] = sleeps(1.0)
    links = [hosts.link("a.test", path) for path in ("/busy.jpg", "/slow.jpg", "/good.jpg")]
    outcomes = fetched(*links, connections_per_host=2)
    assert [bool(outcomes[link].sha256) for link in links] == [True, False, True]
    assert [request.path for request in hosts.asked][2:] in (
        ["/good.jpg", "/busy.jpg"],
        ["/busy.jpg", "/good.jpg"],
    )
    assert starts(hosts, "a.test")[2] - starts(hosts, "a.test")[0] > 1.9


def test_a_host_that_names_a_time_beyond_the_deadline_loses_that_photo_at_once_and_only_that_one(
    hosts, fetched
):
    hosts.answers["/busy.jpg"] = lambda handler: handler.send(
        status=503, Retry_After="999999999999999999999999"
    )
    hosts.serves("/a.jpg")
    links = [hosts.link("a.test", path) for path in ("/busy.jpg", "/a.jpg")]
    began = time.monotonic()
    outcomes = fetched(*links, connections_per_host=1)
    assert [outcomes[link].reason for link in links] == ["HTTP 503", ""]
    assert time.monotonic() - began < LIMITS.deadline


def test_attempts_go_further_and_further_apart_and_end_at_the_deadline(hosts, fetched):
    hosts.answers["/a.jpg"] = lambda handler: handler.send(status=500)
    link = hosts.link("a.test", "/a.jpg")
    began = time.monotonic()
    assert fetched(link, attempts=100, deadline=3.5)[link].reason == "HTTP 500"
    assert time.monotonic() - began < 15  # a hundred attempts would take minutes
    pauses = apart(starts(hosts, "a.test"))
    assert 2 <= len(pauses) <= 3
    assert pauses[0] >= 0.45
    assert pauses[1] >= 0.95


def test_opting_out_is_honored_if_params_say_so_also_where_a_redirect_tells(hosts, fetched):
    hosts.serves("/a.jpg", X_Robots_Tag=["nofollow", "noimageai"])
    hosts.serves("/b.jpg")
    hosts.answers["/moved.jpg"] = lambda handler: handler.send(
        status=302, Location="/b.jpg", X_Robots_Tag="noindex"
    )
    links = [hosts.link("a.test", "/a.jpg"), hosts.link("a.test", "/moved.jpg")]
    reasons = [fetched(*links)[link].reason for link in links]
    assert reasons == [f"its host opts out (X-Robots-Tag: {tag})" for tag in ("noimageai", "noindex")]
    outcomes = fetched(*links, honor_opt_out=False)
    assert all(outcome.sha256 for outcome in outcomes.values())


def links_of(hosts, host, path, count):
    for number in range(count):
        hosts.answers[f"{path}?{number}"] = hosts.answers[path]
    return [hosts.link(host, f"{path}?{number}") for number in range(count)]


@pytest.mark.parametrize("status", [429, 503])
def test_a_host_that_always_wants_rest_is_given_up_and_its_other_links_do_not_wait(hosts, fetched, status):
    hosts.answers["/busy.jpg"] = lambda handler: handler.send(status=status, Retry_After="30")
    hosts.serves("/a.jpg")
    busy, good = links_of(hosts, "busy.test", "/busy.jpg", 40), hosts.link("good.test", "/a.jpg")
    began = time.monotonic()
    outcomes = fetched(*busy, good, deadline=5.0, connections_per_host=1, delay=0.01)
    assert time.monotonic() - began < 20
    reasons = [outcomes[link].reason for link in busy]
    assert reasons == [f"HTTP {status}"] * PATIENCE + [f"HTTP {status}; its host was given up"] * (
        40 - PATIENCE
    )
    assert len(starts(hosts, "busy.test")) == PATIENCE
    assert outcomes[good].sha256


def test_a_host_that_names_a_short_time_over_and_over_is_not_waited_for_by_every_link(hosts, fetched):
    hosts.answers["/busy.jpg"] = lambda handler: handler.send(status=429, Retry_After="1")
    links = links_of(hosts, "busy.test", "/busy.jpg", 60)
    began = time.monotonic()
    outcomes = fetched(*links, connections_per_host=2, attempts=2)
    assert time.monotonic() - began < 50  # each link would wait a second: a minute at least
    assert {outcome.reason.partition(";")[0] for outcome in outcomes.values()} == {"HTTP 429"}
    assert len(starts(hosts, "busy.test")) <= PATIENCE + 2


def test_a_dead_host_is_not_waited_for_by_every_link(hosts, fetched):
    hosts.answers["/dead.jpg"] = sleeps(30)
    links = links_of(hosts, "dead.test", "/dead.jpg", 60)
    outcomes = fetched(*links, connections_per_host=4, timeout=0.3, attempts=1)
    assert {outcome.reason.partition(";")[0] for outcome in outcomes.values()} == {
        "timed out: nothing came for 0.3 s"
    }
    assert PATIENCE <= len(starts(hosts, "dead.test")) <= PATIENCE + 4


def test_a_host_that_answers_now_and_then_is_not_given_up(hosts, fetched):
    hosts.answers["/busy.jpg"] = lambda handler: handler.send(status=429, Retry_After="999")
    hosts.answers["/none.jpg"] = lambda handler: handler.send(status=404)
    busy, none = (links_of(hosts, "a.test", path, 30) for path in ("/busy.jpg", "/none.jpg"))
    outcomes = fetched(
        *(link for pair in zip(busy, none, strict=True) for link in pair), connections_per_host=1
    )
    assert {outcomes[link].reason for link in busy} == {"HTTP 429"}
    assert {outcomes[link].reason for link in none} == {"HTTP 404"}


def test_photos_that_their_host_fails_to_make_do_not_cost_its_others(hosts, fetched):
    hosts.answers["/broken.jpg"] = lambda handler: handler.send(status=500)
    hosts.serves("/a.jpg")
    broken, good = links_of(hosts, "a.test", "/broken.jpg", 20), hosts.link("a.test", "/a.jpg")
    outcomes = fetched(*broken, good, connections_per_host=1, attempts=1)
    assert {outcomes[link].reason for link in broken} == {"HTTP 500"}
    assert outcomes[good].sha256

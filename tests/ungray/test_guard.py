import socket
from contextlib import asynccontextmanager

import httpx
import pytest
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from ungray.guard import HEADERS, Guard

HERE = "http://127.0.0.1:8420"


def page(done=None, **options):
    """A client of a guarded page that keeps in ``done`` what it was asked to do."""

    def act(request):
        done.append(request.method)
        return JSONResponse("done")

    def picture(request):
        return JSONResponse("picture", headers={"Cache-Control": "private, max-age=9"})

    app = Starlette(routes=[Route("/", act, methods=["GET", "POST", "DELETE"]), Route("/picture", picture)])
    app.add_middleware(Guard, **options)
    return TestClient(app, base_url=HERE)


def asked(method, **headers):
    """The answer to a request with these headers (``_`` for ``-``), and whether the page itself saw it."""
    done = []
    answer = page(done).request(method, "/", headers={n.replace("_", "-"): v for n, v in headers.items()})
    return answer, bool(done)


@pytest.mark.parametrize(
    "host",
    ["localhost:8420", "LOCALHOST", "127.0.0.1:9000", "[::1]:8420", "192.168.0.7:80", socket.gethostname()],
)
def test_addresses_and_names_of_this_machine_are_answered_at_any_port(host):
    answer, reached = asked("GET", Host=host)
    assert (answer.status_code, reached) == (200, True)
    answer, reached = asked("POST", Host=host, Origin=f"http://{host}")
    assert (answer.status_code, reached) == (200, True)


@pytest.mark.parametrize(
    "host",
    [
        "evil.example", "evil.example:8420", "", "127.0.0.1.evil.example", "localhost.evil.example",
        "x@evil.example", "[::1", "127.0.0.1:8420, evil.example", "2130706433", "0x7f.1",
    ],
)  # fmt: skip
def test_another_name_gets_nothing_though_it_may_resolve_to_this_machine(host):
    for method in ("GET", "POST"):
        answer, reached = asked(method, Host=host, Origin=f"http://{host}")
        assert (answer.status_code, reached) == (403, False)
        assert "its machine" in answer.json()["error"]


def test_the_name_that_the_page_listens_at_is_answered_and_no_other_when_it_listens_everywhere():
    assert page([], host="Studio.example").get("/", headers={"Host": "studio.example:80"}).status_code == 200
    for host in ("0.0.0.0", "127.0.0.1"):
        assert page([], host=host).get("/", headers={"Host": "studio.example"}).status_code == 403


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example", "null", "http://127.0.0.1:9999", "http://localhost:8420",
        "https://127.0.0.1:8420", "",
    ],
)  # fmt: skip
def test_another_site_does_nothing_and_reads_nothing(origin):
    for method in ("GET", "POST", "DELETE", "OPTIONS"):
        answer, reached = asked(method, Origin=origin)
        assert (answer.status_code, reached) == (403, False)
        assert "other sites" in answer.json()["error"]
        assert not [name for name in answer.headers if name.startswith("access-control")]


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_a_request_without_origin_that_another_site_caused_may_only_read(site):
    for method, status in (("GET", 200), ("POST", 403), ("DELETE", 403)):
        answer, reached = asked(method, Sec_Fetch_Site=site)
        assert (answer.status_code, reached) == (status, status == 200)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Origin": HERE},
        {"Origin": HERE.upper()},
        {"Sec_Fetch_Site": "same-origin"},
        {"Sec_Fetch_Site": "none"},
    ],
)
def test_the_page_itself_and_programs_may(headers):
    answer, reached = asked("POST", **headers)
    assert (answer.status_code, reached) == (200, True)


def test_every_answer_says_what_may_use_it():
    client = page([])
    for answer in (
        client.get("/"),
        client.get("/none"),
        client.put("/"),
        client.get("/", headers={"Host": "evil"}),
    ):
        assert httpx.Headers(HEADERS).items() <= answer.headers.items()
        assert answer.headers["Cache-Control"] == "no-store"
    policy = client.get("/").headers["Content-Security-Policy"].split("; ")
    assert {"default-src 'none'", "script-src 'self'", "frame-ancestors 'none'"} <= set(policy)
    assert client.get("/picture").headers["Cache-Control"] == "private, max-age=9"


@pytest.mark.parametrize(("devices", "allowed"), [([], []), (["camera"], ["camera=(self)"])])
def test_a_page_gets_the_devices_that_it_needs_and_no_other(devices, allowed):
    policy = page([], devices=devices).get("/").headers["Permissions-Policy"].split(", ")
    assert "microphone=()" in policy
    assert [entry for entry in policy if not entry.endswith("=()")] == allowed


def test_start_and_end_of_the_application_pass_through():
    events = []

    @asynccontextmanager
    async def lifespan(app):
        events.append("start")
        yield
        events.append("end")

    app = Starlette(lifespan=lifespan)
    app.add_middleware(Guard)
    with TestClient(app):
        assert events == ["start"]
    assert events == ["start", "end"]

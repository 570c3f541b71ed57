"""Nobody gets in and nothing stays: other sites, hostile clients, dying workers, full disks, and the end."""

import asyncio
import contextlib
import io
import os
import signal
import time

import httpx
import numpy as np
import psutil
import pytest
from PIL import Image

from ungray.guard import HEADERS

from .conftest import MAX_BYTES, encoded, pixels
from .test_page import refusal, visiting
from .visitor import Busy, Refused, Server, Visitor


@pytest.fixture
def serve(models, tmp_path):
    """A function that starts a page of its own with the first model; it is killed at the end."""
    servers = []

    def start(*options, top=tmp_path, **more):
        servers.append(Server(top, "--model", models[0], *options, **more))
        return servers[-1]

    yield start
    for server in servers:
        for process in [*server.workers(), server.process] if server.process.poll() is None else []:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()


async def until(true, seconds=60.0):
    """Wait until ``true()``; return whether it became so in time."""
    end = time.monotonic() + seconds
    while not true():
        if time.monotonic() > end:
            return False
        await asyncio.sleep(0.02)
    return True


@visiting
async def test_other_sites_can_do_nothing(visitor, page):
    for headers in (
        {"Origin": "http://127.0.0.1:1"},  # another server of this machine
        {"Origin": "http://evil.example", "Host": "evil.example"},  # a name that resolves to this machine
        {"Host": ""},
    ):
        for asked in ("POST /api/sessions", "POST /api/photos", "POST /api/leave", "GET /api/photos"):
            method, path = asked.split()
            answer = await visitor.client.request(method, path, headers=headers)
            assert answer.status_code in (400, 403), (headers, path)
            assert not [name for name in answer.headers if name.startswith("access-control")]
    async with httpx.AsyncClient(base_url=page.address) as other:
        answer = await other.post("/api/sessions", headers={"Sec-Fetch-Site": "cross-site"})
        assert answer.status_code == 403
        assert (
            await other.options("/api/photos", headers={"Origin": "http://evil.example"})
        ).status_code == 403
        assert (await other.get("/", headers={"Host": "evil.example"})).status_code == 403
        assert (await other.get("/", headers={"Sec-Fetch-Site": "cross-site"})).status_code == 200  # a link


def test_names_of_other_machines_are_refused_whatever_host_it_listens_at(serve):
    address = serve("--host", "0.0.0.0").address
    for host, status in (("evil.example", 403), ("192.168.0.7:80", 200)):
        assert httpx.get(address, headers={"Host": host}).status_code == status, host


def test_every_answer_forbids_scripts_frames_guesses_and_all_devices_but_the_camera(page):
    for path in ("/", "/page.js", "/api/about", "/none", "/api/photos", "/examples/cat.jpg", "/downloads/x"):
        headers = httpx.get(f"{page.address}{path}").headers
        assert httpx.Headers(HEADERS).items() <= headers.items(), path
        allowed = headers["permissions-policy"].split(", ")
        assert [one for one in allowed if not one.endswith("=()")] == ["camera=(self)"], path
        assert headers["cache-control"] == "no-store", path
    for path in ("/page.py", "/../setup.py", "/%2e%2e/page.py", "/examples/..%2f..%2flock", "/docs"):
        assert httpx.get(f"{page.address}{path}").status_code in (404, 410), path


@visiting
async def test_a_session_is_its_visitors_alone(visitor, page, cat):
    photo = await visitor.open("cat.png", cat)
    async with Visitor(page.address) as other:
        assert await other.photos() == []
        assert "no longer here" in await refusal(other.preview(photo), 422)
        other.client.headers["Session"] = "guessed"
        assert "has ended" in await refusal(other.photos(), 410)
        del other.client.headers["Session"]


@pytest.mark.skipif(os.name != "posix", reason="permissions of POSIX")
@visiting
async def test_photos_can_be_read_by_this_user_only(visitor, page, cat):
    photo = await visitor.open("cat.png", cat)
    await visitor.whole(photo)
    (top,) = page.top.glob("colorize-serve-*")
    for path in [top, *top.rglob("*")]:
        assert path.stat().st_mode & 0o077 == 0, path
    assert len(page.files()) >= 3


def test_nothing_stays_when_a_visitor_leaves_and_the_session_stays_ended(page, cat):
    async def visit():
        async with Visitor(page.address) as visitor:
            before = set(page.files())
            photo = await visitor.open("cat.png", cat)
            await visitor.whole(photo)
            mine = set(page.files()) - before
            assert len(mine) == 3
            await visitor.leave()  # a reload
            assert await visitor.photos()
            await asyncio.sleep(2)
            assert all(path.exists() for path in mine)
            await visitor.leave()
            assert await until(lambda: not any(path.exists() for path in mine), 10)
            assert "has ended" in await refusal(visitor.preview(photo), 410)
            assert "has ended" in await refusal(visitor.open("cat.png", cat), 410)

    asyncio.run(visit())


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_a_photo_that_is_worked_on_when_the_server_ends_is_gone_with_it_at_once(serve, tmp_path, cat, how):
    server = serve()

    async def visit():
        async with Visitor(server.address) as visitor:
            photo = await visitor.open("cat.png", cat)
            workers = server.workers()
            for worker in workers:
                worker.suspend()
            asked = asyncio.create_task(visitor.whole(photo))
            sending = asyncio.create_task(visitor.open("slow.png", slowly(cat)))
            await asyncio.sleep(1)
            start = time.monotonic()
            code = await asyncio.to_thread(server.stop, how)
            took = time.monotonic() - start
            await asyncio.gather(asked, sending, return_exceptions=True)
            return code, took, workers

    async def slowly(content):
        for number in range(0, len(content), 1000):
            yield content[number : number + 1000]
            await asyncio.sleep(1)

    code, took, workers = asyncio.run(visit())
    assert code == 0
    print(f"ended in {took:.2f} s")
    assert took < 5  # on a machine with much other work; else 0.5
    assert not any(worker.is_running() for worker in workers)
    assert not list(tmp_path.glob("colorize-*"))
    assert "no photo is left" in (tmp_path / "log.txt").read_text()


def test_what_a_killed_server_left_is_deleted_at_the_next_start(serve, tmp_path, cat):
    server = serve()

    async def visit():
        async with Visitor(server.address) as visitor:
            await visitor.open("cat.png", cat)
            return server.workers()

    workers = asyncio.run(visit())
    server.stop(signal.SIGKILL)
    (left,) = tmp_path.glob("colorize-serve-*")
    other = serve()
    third = serve()  # which leaves the folder of the second alone
    assert not left.exists()
    assert len(list(tmp_path.glob("colorize-serve-*"))) == 2
    assert asyncio.run(until(lambda: not any(worker.is_running() for worker in workers), 10))
    for server in (other, third):
        assert server.stop() == 0
    assert not list(tmp_path.glob("colorize-serve-*"))


@visiting
async def test_a_worker_that_is_killed_costs_one_answer(visitor, page, cat):
    photo = await visitor.open("cat.png", cat)
    await visitor.preview(photo)
    workers = page.workers()
    for worker in workers:
        worker.suspend()
    asked = asyncio.create_task(visitor.preview(photo, saturation=0.5))
    await asyncio.sleep(0.5)
    for worker in workers:
        worker.kill()
    await asyncio.gather(asked, return_exceptions=True)
    assert Image.open(io.BytesIO(await visitor.preview(photo, saturation=0.5))).size == (451, 300)


@visiting
async def test_headers_that_do_not_come_end_the_connection(visitor, page):
    reader, writer = await asyncio.open_connection(*page.address.removeprefix("http://").split(":"))
    begun = time.monotonic()
    writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\n")

    async def drip():
        with contextlib.suppress(ConnectionError):
            while True:
                writer.write(b"X-More: 1\r\n")
                await writer.drain()
                await asyncio.sleep(0.5)

    dripping = asyncio.create_task(drip())
    assert await asyncio.wait_for(reader.read(), 30) == b""
    dripping.cancel()
    assert 9 < time.monotonic() - begun < 25


@visiting
async def test_a_request_with_two_lengths_is_refused_and_what_follows_is_not_read(visitor, page):
    reader, writer = await asyncio.open_connection(*page.address.removeprefix("http://").split(":"))
    writer.write(
        b"POST /api/sessions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /api/about HTTP/1.1\r\nHost: localhost\r\n\r\n"
    )
    answer = await asyncio.wait_for(reader.read(), 30)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert answer.count(b"HTTP/1.1 ") == 1
    assert b"either a Content-Length or a Transfer-Encoding" in answer


def test_bodies_that_come_too_slowly_end_the_request_and_leave_nothing(serve):
    """One stops after its first part, one goes on with a few bytes at a time."""
    server = serve(before="import ungray.page.application as page; page.BODY_SECONDS = 2")

    async def send(visitor, *, every):
        reader, writer = await asyncio.open_connection(*server.address.removeprefix("http://").split(":"))
        session = visitor.client.headers["session"]
        writer.write(
            f"POST /api/photos?name=slow.jpg HTTP/1.1\r\nHost: localhost\r\nSession: {session}\r\n"
            "Content-Length: 100000\r\n\r\n".encode()
            + bytes(1000)
        )
        begun = time.monotonic()

        async def drip():
            with contextlib.suppress(ConnectionError):
                while every:
                    await asyncio.sleep(every)
                    writer.write(bytes(10))
                    await writer.drain()

        dripping = asyncio.create_task(drip())
        answer = b""
        with contextlib.suppress(ConnectionError):  # what drips on after the end is answered with a reset
            async with asyncio.timeout(30):
                while part := await reader.read(1000):
                    answer += part
        dripping.cancel()
        assert answer.startswith(b"HTTP/1.1 408 ")
        assert b"the request took too long to arrive" in answer
        assert 1.9 < time.monotonic() - begun < 20

    async def visit():
        async with Visitor(server.address) as visitor:
            await visitor.photos()
            await asyncio.gather(send(visitor, every=0), send(visitor, every=0.3))
            assert await until(lambda: not server.files(), 10)

    asyncio.run(visit())


@visiting
async def test_many_uploads_at_once_do_not_pass_the_bound(visitor, page):
    """Each sends nearly all of its photo and waits: so all of them are on the way at the same time."""
    await visitor.photos()
    before = set(page.files())  # those of visitors who have just left may be gone meanwhile
    release = asyncio.Event()

    async def waiting():
        yield bytes(MAX_BYTES - 1000)
        await release.wait()
        yield bytes(10)

    tasks = [asyncio.create_task(visitor.open(f"{n}.jpg", waiting())) for n in range(60)]
    await until(lambda: sum(task.done() for task in tasks) >= 30, 20)
    arrived = sum(path.stat().st_size for path in set(page.files()) - before)
    release.set()
    failures = await asyncio.gather(*tasks, return_exceptions=True)
    assert 0 < arrived <= 16 * MAX_BYTES
    assert all(isinstance(failure, Busy | Refused) for failure in failures)
    assert sum(isinstance(failure, Busy) for failure in failures) >= 30
    assert set(page.files()) <= before


def test_a_full_disk_is_a_sentence_and_space_that_is_free_again_is_used(serve, small_disk, cat):
    disk = small_disk(1024)
    server = serve(top=disk)

    async def visit():
        async with Visitor(server.address) as visitor:
            photo = await visitor.open("cat.png", cat)
            noise = np.random.default_rng(0).integers(0, 256, (700, 700, 3), np.uint8)
            sentence = await refusal(visitor.open("noise.png", encoded(noise)), 507)
            assert sentence.startswith("the disk of the machine that serves this page is full")
            assert [one["name"] for one in await visitor.photos()] == ["cat.png"]
            assert pixels(await visitor.preview(photo)).shape == (300, 451, 3)

    asyncio.run(visit())
    assert "Traceback" not in server.said()
    assert server.stop() == 0
    assert not list(disk.glob("colorize-*"))


def test_a_small_file_of_100_megapixels_of_16_bits_costs_no_gigabytes(serve):
    content = io.BytesIO()
    Image.fromarray(np.full((10_000, 10_000), 30_000, np.uint16)).save(content, "PNG", compress_level=1)
    server = serve("--max-pixels", 100_000_000)
    most = 0.0

    async def visit():
        nonlocal most
        async with Visitor(server.address) as visitor:
            opening = asyncio.create_task(visitor.open("large.png", content.getvalue()))
            while not opening.done():
                most = max(most, server.memory())
                await asyncio.sleep(0.05)
            with contextlib.suppress(Refused):
                await opening

    asyncio.run(visit())
    assert most < 2500  # MiB, of all its processes

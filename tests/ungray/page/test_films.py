"""A short film on the page: it is taken, colored while the page says how far it is, and downloaded."""

import asyncio
import contextlib
import io
import signal
import struct
import time

import av
import numpy as np
import psutil
import pytest

from tests.ungray.film.conftest import pictures, write_film
from ungray.page import film_coloring, films

from .test_ends import until
from .test_page import refusal, visiting
from .visitor import Server, Visitor


@pytest.fixture
def film(tmp_path):
    """The bytes of a gray film with sound."""
    write_film(tmp_path / "street.mp4", pictures(30))
    return (tmp_path / "street.mp4").read_bytes()


async def upload(visitor, content, name="street.mp4"):
    """Bring a film; return what the page says of it."""
    answer = await visitor.ask("POST", "/api/films", params={"name": name}, content=content)
    return answer.json()


async def facts_of(visitor, film):
    return (await visitor.ask("GET", f"/api/films/{film['id']}")).json()


async def color(visitor, film, **settings):
    return (await visitor.ask("POST", f"/api/films/{film['id']}/color", json=settings)).json()


async def colored(visitor, film, **settings):
    """Color a film; return what the page says of it in the end."""
    facts = await color(visitor, film, **settings)
    while facts["state"] in ("waiting", "coloring"):
        await asyncio.sleep(0.1)
        facts = await facts_of(visitor, film)
    return facts


def decoded(content):
    """The frames of a film, RGB, and the types of its streams."""
    with av.open(io.BytesIO(content)) as container:
        types = [stream.type for stream in container.streams]
        return [frame.to_ndarray(format="rgb24").astype(int) for frame in container.decode(video=0)], types


@visiting
async def test_a_film_is_colored_and_downloaded_with_its_sound(visitor, page, film):
    opened = await upload(visitor, film)
    assert (opened["width"], opened["height"], opened["total"]) == (96, 64, 30)
    assert (opened["seconds"], opened["in_color"], opened["state"]) == (1.2, False, "open")
    facts = await colored(visitor, opened)
    assert (facts["state"], facts["frames"], facts["error"]) == ("done", 30, "")
    answer = await visitor.ask("GET", f"/downloads/{facts['key']}")
    assert 'filename="street-colored.mp4"' in answer.headers["content-disposition"]
    frames, types = decoded(answer.content)
    assert (len(frames), types) == (30, ["video", "audio"])
    assert np.ptp(frames[9], axis=-1).mean() > 10
    part = await visitor.ask("GET", f"/downloads/{facts['key']}", headers={"Range": "bytes=100-199"})
    assert (part.status_code, part.content) == (206, answer.content[100:200])  # a player jumps

    again = await colored(visitor, opened, saturation=0)
    gray, _ = decoded((await visitor.ask("GET", f"/downloads/{again['key']}")).content)
    assert np.ptp(gray[9], axis=-1).max() < 5
    assert "no longer here" in await refusal(visitor.ask("GET", f"/downloads/{facts['key']}"), 404)
    assert [one["id"] for one in (await visitor.ask("GET", "/api/films")).json()["films"]] == [opened["id"]]


@visiting
async def test_a_film_in_color_is_said_to_be(visitor, page, tmp_path):
    write_film(tmp_path / "color.mp4", pictures(3, gray=False))
    assert (await upload(visitor, (tmp_path / "color.mp4").read_bytes()))["in_color"]


def huge_frame(content):
    """The film with a size of 30,000x30,000 in its header and its stream's."""
    for old in (struct.pack(">HH", 96, 64), struct.pack(">II", 96 << 16, 64 << 16)):
        new = struct.pack(">HH" if len(old) == 4 else ">II", *[30_000 << (0 if len(old) == 4 else 16)] * 2)
        content = content.replace(old, new)
    return content


def many_frames(path):
    """A film of few bytes with more frames than are allowed, each a millisecond long."""
    frames = film_coloring.MAX_FRAMES + 5
    write_film(path, [np.full((32, 32, 3), 90, np.uint8)] * frames, sound=False, times=range(frames))
    return path.read_bytes()


def long_film(path):
    write_film(path, pictures(3), sound=False, times=[0, 40, 31_000])
    return path.read_bytes()


def large_frames(path):
    write_film(path, [np.full((1200, 1920, 3), 90, np.uint8)], sound=False)
    return path.read_bytes()


PLAYLIST = b"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n"
CONCAT = b"ffconcat version 1.0\nfile /etc/passwd\n"


@visiting
async def test_hostile_and_other_films_are_refused_in_a_sentence(visitor, page, film, tmp_path):
    before = page.files()
    for content, sentence in (
        (b"", "not a film that can be read"),
        (b"no film " * 999, "not a film that can be read"),
        (PLAYLIST, "not a film that can be read"),
        (CONCAT, "not a film that can be read"),
        (film[: len(film) // 8], "not a film that can be read"),
        (many_frames(tmp_path / "many.mp4"), "more than 1,250 frames"),
        (long_film(tmp_path / "long.mp4"), "lasts 31 seconds, and this page takes 20"),
        (large_frames(tmp_path / "large.mp4"), "1920x1200 are too large; they may have 2.1 megapixels"),
    ):
        said = await refusal(upload(visitor, content), 422)
        assert sentence in said, said
        assert "/" not in said, said  # no path of this machine
    with contextlib.suppress(Exception):
        await upload(visitor, huge_frame(film))  # taken as what its frames are, or refused
    assert (await upload(visitor, film, "../../x.mkv"))["name"] == "x.mkv"
    assert len(page.files()) <= len(before) + 2


@visiting
async def test_a_film_larger_than_the_limit_is_refused(visitor, page):
    before = page.files()
    said = await refusal(upload(visitor, bytes(films.MAX_BYTES + 1)), 422)
    assert said.startswith("too large; the limit is 50 MB per film")
    assert set(page.files()) <= set(before)


@visiting
async def test_settings_must_be_right(visitor, page, film):
    opened = await upload(visitor, film)
    assert "model is one of" in await refusal(color(visitor, opened, model="other"), 400)
    assert "saturation" in await refusal(color(visitor, opened, saturation="much"), 400)
    assert "no longer here" in await refusal(color(visitor, {"id": "guessed"}), 422)


@visiting
async def test_a_hint_at_a_time_holds_from_its_frame_on(visitor, page, tmp_path):
    write_film(tmp_path / "still.mp4", pictures(30, still=True), sound=False)
    opened = await upload(visitor, (tmp_path / "still.mp4").read_bytes())
    found = []
    hint = {"x": 48, "y": 32, "color": "#cc2020", "weight": 1.0, "time": 0.4}
    for hints in ([], [hint]):
        facts = await colored(visitor, opened, model="hinted", hints=hints)
        assert facts["error"] == ""
        found.append(decoded((await visitor.ask("GET", f"/downloads/{facts['key']}")).content)[0])
    change = [np.abs(one - other)[24:40, 40:56].mean() for one, other in zip(*found, strict=True)]
    assert max(change[:10]) < 2
    assert min(change[10:]) > 10
    said = await refusal(color(visitor, opened, model="hinted", hints=[hint | {"time": -1}]), 422)
    assert "hint 1: its time is -1" in said
    assert "beside the photo" in await refusal(color(visitor, opened, hints=[hint | {"x": 500}]), 422)
    facts = await colored(visitor, opened, model="first", hints=[hint])
    assert (facts["state"], "takes no hints" in facts["error"]) == ("failed", True)


def endless(path):
    """A film that takes long to color."""
    write_film(path, (np.roll(rgb, 3 * n) for n, rgb in enumerate(pictures(450, 190, 128, still=True))))
    return path.read_bytes()


@visiting
async def test_removed_while_it_is_colored_nothing_of_it_stays(visitor, page, tmp_path):
    before = page.files()
    opened = await upload(visitor, endless(tmp_path / "long.mp4"))
    await color(visitor, opened)
    while (await facts_of(visitor, opened))["frames"] == 0:
        await asyncio.sleep(0.05)
    assert "being colored" in await refusal(color(visitor, opened), 422)
    await visitor.ask("DELETE", f"/api/films/{opened['id']}")
    assert await until(lambda: set(page.files()) <= set(before), 10)  # others may have left meanwhile
    assert "no longer here" in await refusal(facts_of(visitor, opened), 422)


def test_ended_while_a_film_is_colored_nothing_stays(models, tmp_path):
    server = Server(tmp_path / "server", "--model", models[0])

    async def visit():
        async with Visitor(server.address) as visitor:
            opened = await upload(visitor, endless(tmp_path / "long.mp4"))
            await color(visitor, opened)
            while (await facts_of(visitor, opened))["frames"] == 0:
                await asyncio.sleep(0.05)
            workers = server.workers()
            start = time.monotonic()
            code = await asyncio.to_thread(server.stop, signal.SIGTERM)
            return code, time.monotonic() - start, workers

    try:
        code, took, workers = asyncio.run(visit())
    finally:
        with contextlib.suppress(psutil.NoSuchProcess):
            server.process.kill()
    assert code == 0
    assert took < 10  # on a machine with much other work
    assert not any(worker.is_running() for worker in workers)
    assert not list((tmp_path / "server").glob("colorize-*"))
    assert "Traceback" not in (tmp_path / "server/log.txt").read_text()

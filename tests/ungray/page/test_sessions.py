"""Sessions and worker processes by themselves: their bounds, and how they end."""

import asyncio
import tempfile
import threading
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest

from ungray.errors import UngrayError
from ungray.imaging.photos import PhotoError
from ungray.page import coloring, sessions
from ungray.page.application import Page
from ungray.page.sessions import EndedError, Sessions, StoredPhoto
from ungray.page.workers import Affinity, BusyError, GoneError, Workers

from ..imaging import decoding_works as works


@pytest.fixture
def forgotten():
    """The ids of the photos that the workers are to forget."""
    return []


@pytest.fixture
def make(tmp_path, forgotten):
    """A function that makes sessions whose photos have at most 1000 bytes."""
    return partial(Sessions, tmp_path / "sessions", max_bytes=1000, forget=forgotten.extend)


@pytest.fixture
def some(make):
    return make()


def test_what_an_ended_session_would_write_is_refused_and_its_folder_does_not_come_back(some):
    key = some.new()
    session = some.of(key)
    with pytest.raises(EndedError), session.file() as file:  # noqa: PT012 (what is written before and after)
        file.write(b"before")
        session.end()
        file.write(b"after")
    with pytest.raises(EndedError):
        session.write(b"later")
    assert not list(some.folder.iterdir())
    some.close()
    with pytest.raises(EndedError):
        some.new()
    with pytest.raises(EndedError):
        some.of(key)


def test_all_sessions_together_are_bounded_while_they_write(some):
    visitors = [some.of(some.new()) for _ in range(100)]
    refused = []

    def write(session):
        try:
            session.write(bytes(1000))
        except BusyError as error:
            refused.append(str(error))

    threads = [threading.Thread(target=write, args=[session]) for session in visitors]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    written = sum(path.stat().st_size for path in some.folder.glob("*/*"))
    assert (written, len(refused)) == (sessions.STORED_PHOTOS * 1000, 100 - sessions.STORED_PHOTOS)
    for session in visitors:
        session.end()
    some.of(some.new()).write(bytes(1000))  # there is room again


def test_one_session_takes_half_of_the_room_at_most(some):
    session = some.of(some.new())
    for _ in range(sessions.STORED_PHOTOS // 2):
        last = session.write(bytes(1000))
    with pytest.raises(UngrayError, match="remove some"):
        session.write(bytes(1000))
    session.delete(last)
    session.write(bytes(1000))


def test_idle_sessions_end_and_used_ones_do_not_end_for_new_ones(make, monkeypatch):
    some = make(idle=100, max_sessions=2)
    now = 0.0
    monkeypatch.setattr(sessions.time, "monotonic", lambda: now)
    first, second = some.new(), some.new()
    some.of(first).write(b"photo")
    with pytest.raises(BusyError, match="too many visitors"):
        some.new()
    now = 99
    some.of(second)
    some.sweep()
    assert len(some) == 2
    now = 150
    some.sweep()
    assert len(some) == 1
    with pytest.raises(EndedError):
        some.of(first)
    now = 150 + sessions.RECENT
    some.idle = 10_000
    third, fourth = some.new(), some.new()  # for which the second ends
    assert third != fourth
    with pytest.raises(EndedError):
        some.of(second)


def test_a_session_that_was_left_waits_for_a_reload_of_its_own_machine(make, monkeypatch):
    some = make()
    now = 0.0
    monkeypatch.setattr(sessions.time, "monotonic", lambda: now)
    keys = [some.new(client) for client in ("10.0.0.1", "10.0.0.2")]
    some.load("10.0.0.1")
    for key in keys:
        some.leave(key)
    now = 2
    some.sweep()
    some.of(keys[0])
    with pytest.raises(EndedError):
        some.of(keys[1])
    some.of(keys[0], page="new")
    some.leave(keys[0], page="old")  # which was on its way for long
    now = 1000
    some.sweep()
    assert len(some) == 1


def test_whatever_ends_a_photo_it_is_to_be_forgotten(make, forgotten):
    some = make(max_sessions=2, idle=100)

    def kept(session, photo_id):
        session.add(StoredPhoto(id=photo_id, name=photo_id, path=session.write(b"photo")))

    first = some.of(some.new())
    for photo_id in ("removed", "ended"):
        kept(first, photo_id)
    first.remove("removed")
    first.remove("removed")
    assert forgotten == ["removed"]
    assert len(list(first.folder.iterdir())) == 1
    first.used -= 101
    some.sweep()
    assert forgotten == ["removed", "ended"]
    with pytest.raises(EndedError):
        first.add(StoredPhoto(id="late", name="late", path=first.folder / "late"))
    first, second = (some.of(some.new()) for _ in range(2))
    kept(first, "of the oldest")
    kept(second, "at the end")
    first.used -= sessions.RECENT + 1
    some.new()
    some.close()
    assert forgotten[2:] == ["of the oldest", "at the end"]


def test_when_a_photo_is_to_be_forgotten_no_file_is_left_from_which_it_could_be_read_again(make):
    left = []
    some = make(forget=lambda ids: left.extend(path for path in paths if path.stem in ids and path.exists()))
    session = some.of(some.new())
    paths = [session.write(b"photo") for _ in range(2)]
    for path in paths:
        session.add(StoredPhoto(id=path.stem, name="photo", path=path))
    session.remove(paths[0].stem)
    some.close()
    assert not left
    assert not any(path.exists() for path in paths)


def test_a_worker_forgets_a_photo_and_no_other(cat):
    class Model:
        path, takes_hints = "model", False

        def predict(self, photo, *, hints, memory):
            return photo

    for photo_id in ("removed", "kept"):
        coloring.open_photo(photo_id, 10**6, cat)
        coloring._predicted(Model(), photo_id, (), b"", coloring.Answer())

    def held(photo_id):
        kept = coloring._predictions, coloring._memories
        return photo_id in coloring._copies, *(any(key[0] == photo_id for key in keys) for keys in kept)

    assert held("removed") == held("kept") == (True, True, True)
    coloring.forget(("removed", "unknown"), b"")
    assert (held("removed"), held("kept")) == ((False,) * 3, (True,) * 3)
    coloring.forget(("kept",), b"")


def test_a_photo_that_is_removed_while_it_is_asked_for_does_not_end_its_session(some):
    session = some.of(some.new())
    photo = StoredPhoto(id="one", name="one", path=session.write(b"photo"))
    assert session.read(photo) == b"photo"
    session.demand(photo)
    session.abandon(photo)
    for ask in (session.read, session.demand):
        with pytest.raises(UngrayError, match="no longer here") as removed:
            ask(photo)
        assert not isinstance(removed.value, EndedError)
    session.end()
    for ask in (session.read, session.demand):
        with pytest.raises(EndedError):
            ask(photo)


@pytest.mark.parametrize("method", ["_run", "_with_copy"])
@pytest.mark.parametrize("ended", [False, True])
def test_what_waits_for_a_worker_says_that_its_photo_or_session_is_gone(some, method, ended):
    """It is removed while the request waits: before its turn, or between the answer and the file."""

    def gone():
        session.end() if ended else session.abandon(photo)

    async def turn(*_, wanted, **__):
        gone()
        await wanted()

    async def no_copy(*_, **__):
        gone()

    page = SimpleNamespace(workers=SimpleNamespace(run=turn), _run=no_copy)
    session = some.of(some.new())
    photo = StoredPhoto(id="one", name="one", path=session.write(b"photo"))
    more = {"seconds": 1.0} if method == "_run" else {}
    with pytest.raises(
        EndedError if ended else UngrayError, match="has ended" if ended else "no longer here"
    ):
        asyncio.run(getattr(Page, method)(page, None, session, photo, partial(works.size), **more))


def working(test):
    """Run a test that is a coroutine with two worker processes."""

    def run():
        async def work():
            workers = Workers(2, queue=1)
            await workers.start(partial(works.size))
            try:
                await test(workers)
            finally:
                workers.close()

        asyncio.run(work())

    return run


async def yes():
    return True


def ask(workers, work, content=b"photo", seconds=60.0, **more):
    more = {"affinity": Affinity(), "wanted": yes} | more
    return workers.run(partial(work), content, seconds=seconds, **more)


@working
async def test_a_photo_returns_to_the_worker_that_knows_it(workers):
    affinity = Affinity()
    first, _ = await ask(workers, works.size, b"", affinity=affinity)
    others = [await ask(workers, works.size, b"", affinity=affinity) for _ in range(3)]
    assert {process for process, _ in others} == {first}


@working
async def test_work_that_takes_too_long_or_crashes_costs_one_answer(workers):
    with pytest.raises(PhotoError, match=r"not decoded in 0\.5 s"):
        await ask(workers, works.slow, b"", seconds=0.5)
    with pytest.raises(PhotoError, match="SIGSEGV"):
        await ask(workers, works.crash, b"")
    with pytest.raises(PhotoError, match="more memory"):
        await ask(workers, partial(works.greedy, megabytes=5000), b"")
    with pytest.raises(UngrayError, match="this one is refused"):
        await ask(workers, works.refusing, b"")
    assert await ask(workers, works.noisy, b"") == "done"


@working
async def test_more_than_the_queue_holds_are_busy_and_who_left_is_not_served(workers):
    async def no():
        return False

    with pytest.raises(GoneError):
        await ask(workers, works.size, b"", wanted=no)
    working = [asyncio.create_task(ask(workers, works.slow, b"")) for _ in range(2)]
    await asyncio.sleep(0.1)
    waiting = asyncio.create_task(ask(workers, works.size, b""))
    await asyncio.sleep(0.1)
    with pytest.raises(BusyError):
        await ask(workers, works.size, b"")
    workers.stop()
    for task in [*working, waiting]:
        with pytest.raises(UngrayError):
            await task


@working
async def test_an_errand_is_done_by_every_worker_also_by_one_that_was_busy(workers):
    with tempfile.TemporaryDirectory() as folder:
        begun, noted = Path(folder, "begun"), Path(folder, "noted")
        busy = asyncio.create_task(ask(workers, partial(works.slow, begun=begun, seconds=1), b""))
        while not begun.exists():
            await asyncio.sleep(0.01)
        await asyncio.to_thread(workers.everywhere, partial(works.note, file=noted))
        await busy
        async with asyncio.timeout(60):  # neither is asked for anything
            while not noted.exists() or len(set(noted.read_text().split())) < 2:
                await asyncio.sleep(0.01)
    workers.stop()
    workers.everywhere(partial(works.note, file=noted))  # does nothing


@working
async def test_large_photos_are_worked_on_one_at_a_time(workers):
    first = asyncio.create_task(ask(workers, works.slow, b"", pixels=20_000_000))
    await asyncio.sleep(0.1)
    second = asyncio.create_task(ask(workers, works.size, b"", pixels=20_000_000))
    assert await ask(workers, works.size, b"", pixels=1000)
    assert not second.done()
    workers.stop()
    for task in (first, second):
        with pytest.raises(UngrayError):
            await task

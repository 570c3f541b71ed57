"""Films on the page: a short film is uploaded, colored in a process of its own, and played beside its gray.

One film is colored at a time, in another process than photos are, which therefore need not wait for it.
"""

from __future__ import annotations

import asyncio
import secrets
import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from importlib.util import find_spec
from pathlib import Path, PurePath
from typing import Any, Protocol
from weakref import WeakKeyDictionary

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from ungray.errors import UngrayError
from ungray.film.formats import FILMS, MISSING
from ungray.imaging.decoding import TooLongError
from ungray.page import film_coloring
from ungray.page.coloring import Settings
from ungray.page.film_coloring import MAX_PIXELS, MAX_SECONDS
from ungray.page.sessions import EndedError, Session
from ungray.page.workers import Affinity, BusyError, Workers

MAX_BYTES = 50_000_000
"""The size limit of a film's file."""

MAX_FILMS = 8
"""The number of films of a session."""

QUEUE = 4
"""The number of films that may wait, of all visitors."""

OPEN_SECONDS = 30.0
COLOR_SECONDS = 900.0
"""Seconds that coloring a film may take; the largest ones take a tenth of it on two cores."""

WATCH = 0.25
"""Seconds between two looks at how far a film is, and whether it is still wanted."""

PART = 1 << 20


@dataclass(eq=False, kw_only=True)
class StoredFilm:
    """A visitor's film: its ``path``, and what the page displays of it."""

    id: str
    name: str
    path: Path
    about: film_coloring.OpenedFilm
    state: str = "open"
    """open, waiting, coloring, done or failed."""
    frames: int = 0
    """The number of frames that are colored."""
    error: str = ""
    key: str = ""
    """Of the download."""
    result: Path | None = None
    removed: bool = False
    task: asyncio.Task[None] | None = field(default=None, repr=False)

    def facts(self) -> dict[str, Any]:
        """Return what the page displays, JSON."""
        names = ("id", "name", "state", "frames", "error", "key")
        facts = {name: getattr(self, name) for name in names}
        about = self.about
        return facts | {
            "width": about.width,
            "height": about.height,
            "seconds": round(about.seconds, 2),
            "total": about.frames,
            "in_color": about.in_color,
            "download": colored_name(self.name),
        }


class Host(Protocol):
    """What films need of the page; see :class:`ungray.page.application.Page`."""

    def session(self, request: Request) -> Session:
        """Return the session that a request names."""

    async def receive(self, request: Request, session: Session, *, limit: int, too_large: str) -> Path:
        """Return the path of a new file of the session that has the body."""

    async def film_settings(
        self, request: Request, *, width: int, height: int
    ) -> tuple[Any, Settings, tuple[float, ...]]:
        """Return the model and the settings for a film, and the times from which its hints hold."""

    def file_name(self, request: Request, *, otherwise: str) -> str:
        """Return the parameter ``name``, made harmless."""

    def fault_sentence(self, error: Exception) -> str:
        """Print the traceback of a bug, and return the sentence for the visitor."""


class Films:
    """The handlers for films; ``page`` has the models and the sessions."""

    def __init__(self, page: Host) -> None:
        self._page = page
        self._films: WeakKeyDictionary[Session, dict[str, StoredFilm]] = WeakKeyDictionary()
        self._workers: Workers | None = None  # most visitors bring no film: it starts with the first
        self._stopped = False

    def routes(self, route: Callable[..., Route]) -> list[Route]:
        """Return the routes."""
        return [
            route("/api/films", self.list_films),
            route("/api/films", self.upload, "POST"),
            route("/api/films/{id:str}", self.film),
            route("/api/films/{id:str}", self.remove, "DELETE"),
            route("/api/films/{id:str}/color", self.color, "POST"),
        ]

    def about(self) -> dict[str, Any]:
        """Return the limits of films, and why none is taken, if so; JSON."""
        return {
            "missing": "" if find_spec("av") else MISSING,
            "max_bytes": MAX_BYTES,
            "max_seconds": MAX_SECONDS,
            "max_pixels": MAX_PIXELS,
            "extensions": list(FILMS),
        }

    def stop(self) -> None:
        """Kill the process. Any thread may call it."""
        self._stopped = True
        if self._workers:
            self._workers.stop()

    def close(self) -> None:
        """Stop, and wait until the process is gone."""
        self.stop()
        if self._workers:
            self._workers.close()

    async def list_films(self, request: Request) -> Response:
        """Return all films of the session, the oldest first."""
        return JSONResponse({"films": [film.facts() for film in self._of(self._session(request)).values()]})

    async def upload(self, request: Request) -> Response:
        """Take a film: the body is its file, the parameter ``name`` its name."""
        session = self._session(request)
        if not find_spec("av"):
            raise UngrayError(MISSING)
        if len(self._of(session)) >= MAX_FILMS:
            raise UngrayError(f"{MAX_FILMS} films are the most at a time; remove some first")
        too_large = f"too large; the limit is {MAX_BYTES / 1e6:g} MB per film: cut it, or use `colorize`"
        path = await self._page.receive(request, session, limit=MAX_BYTES, too_large=too_large)
        name = self._page.file_name(request, otherwise="film")
        try:
            about = await self._run(
                partial(film_coloring.open_film, str(path)), seconds=OPEN_SECONDS, request=request
            )
        except BaseException:
            session.delete(path)
            raise
        film = StoredFilm(id=secrets.token_urlsafe(12), name=name, path=path, about=about)
        if session.ended:
            raise EndedError
        self._of(session)[film.id] = film
        return JSONResponse(film.facts())

    async def film(self, request: Request) -> Response:
        """Return how far a film is."""
        return JSONResponse(self._film(request)[1].facts())

    async def remove(self, request: Request) -> Response:
        """Delete a film and all that was made from it; coloring ends."""
        session, film = self._film(request)
        del self._of(session)[film.id]
        film.removed = True
        if film.task:
            film.task.cancel()
            with suppress(asyncio.CancelledError):
                await film.task
        await run_in_threadpool(session.delete, film.path, *filter(None, [film.result]))
        return Response(status_code=204)

    async def color(self, request: Request) -> Response:
        """Begin to color a film; the body is JSON: model, saturation, vivid, hints and their times."""
        session, film = self._film(request)
        size = {"width": film.about.width, "height": film.about.height}
        model, settings, times = await self._page.film_settings(request, **size)
        if film.task and not film.task.done():
            raise UngrayError("this film is being colored")
        if film.result:
            session.delete(film.result)
        film.state, film.frames, film.error, film.key, film.result = "waiting", 0, "", "", None
        work = partial(
            film_coloring.color,
            model,
            str(film.path),
            saturation=settings.saturation,
            vivid=settings.vivid,
            hints=tuple(zip(times, settings.hints, strict=True)),
        )
        film.task = asyncio.create_task(self._color(session, film, work))
        return JSONResponse(film.facts(), 202)

    async def _color(self, session: Session, film: StoredFilm, work: partial[Any]) -> None:
        """Color a film, and note how far it is; given up when nobody wants it any more."""
        folder = session.folder / secrets.token_urlsafe(12)
        doing: asyncio.Task[Any] | None = None
        try:
            await run_in_threadpool(folder.mkdir, 0o700)
            doing = asyncio.create_task(
                self._run(partial(work, str(folder)), seconds=COLOR_SECONDS, session=session)
            )
            while not doing.done():
                await asyncio.wait({doing}, timeout=WATCH)
                if session.ended:
                    raise EndedError
                frames = await run_in_threadpool(film_coloring.progress, folder)
                if frames is not None:
                    film.state, film.frames = "coloring", frames
            film.frames = doing.result()
            film.result = await run_in_threadpool(_kept, session, folder / film_coloring.OUTPUT)
            film.key = session.offer(film.result, colored_name(film.name))
            film.state = "done"
        except TooLongError:
            film.state = "failed"
            film.error = f"it took more than {COLOR_SECONDS / 60:g} minutes; `colorize` has no such limit"
        except UngrayError as error:
            film.state, film.error = "failed", str(error)
        except OSError as error:
            film.state, film.error = "failed", error.strerror or str(error)
        except Exception as error:
            film.state = "failed"
            film.error = self._page.fault_sentence(error)
        finally:
            if doing:
                doing.cancel()  # which kills the process
                await asyncio.wait({doing})
                if not doing.cancelled():
                    doing.exception()  # looked at, or asyncio would print it
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)

    async def _run(
        self,
        work: partial[Any],
        *,
        seconds: float,
        request: Request | None = None,
        session: Session | None = None,
    ) -> Any:
        async def wanted() -> bool:
            if request is not None:
                return not await request.is_disconnected()
            return session is None or not session.ended

        if self._stopped:
            raise EndedError
        if self._workers is None:
            self._workers = Workers(1, queue=QUEUE)
            self._workers.start(partial(film_coloring.warm_up))
        try:
            return await self._workers.run(work, seconds=seconds, affinity=Affinity(), wanted=wanted)
        except BusyError:
            raise BusyError("the page is busy with other films; try again in a minute") from None

    def _session(self, request: Request) -> Session:
        return self._page.session(request)

    def _of(self, session: Session) -> dict[str, StoredFilm]:
        return self._films.setdefault(session, {})

    def _film(self, request: Request) -> tuple[Session, StoredFilm]:
        session = self._session(request)
        film = self._of(session).get(request.path_params["id"])
        if film is None:
            raise UngrayError("this film is no longer here; drop it again")
        return session, film


def colored_name(name: str) -> str:
    """Return the file name of a colored film, such as ``street-colored.mp4``."""
    return f"{PurePath(name).stem or 'film'}-colored.mp4"


def _kept(session: Session, path: Path) -> Path:
    """Return the path of a new file of the session with what is at ``path``, which is counted."""
    with session.file() as made, path.open("rb") as colored:
        while part := colored.read(PART):
            made.write(part)
    return made.path

"""The web application: the page, and what its script asks for."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import re
import secrets
import shutil
import threading
import zipfile
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict, dataclass, replace
from functools import partial
from importlib.resources import files
from pathlib import Path, PurePosixPath
from typing import IO, Any, TypeVar, cast

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from ungray import fetch
from ungray.errors import ArgumentError, UngrayError, is_number
from ungray.guard import Guard
from ungray.hints import Hint, hint_times, hints_json, parse_hints
from ungray.page import coloring
from ungray.page.coloring import FORMATS, ModelFile, Settings
from ungray.page.examples import write_examples
from ungray.page.films import Films
from ungray.page.models import Models
from ungray.page.sessions import MAX_PHOTOS, EndedError, NewFile, Session, Sessions, StoredPhoto
from ungray.page.workers import BusyError, GoneError, Workers
from ungray.system.terminal import FULL, say_fault

R = TypeVar("R")

OPEN_SECONDS = 20.0
"""Seconds in which a photo must be decoded; the largest ones take a tenth of it."""

PREVIEW_SECONDS = 20.0
WHOLE_SECONDS = 60.0
FETCH_SECONDS = 30.0
"""Seconds for a photo of the web, with all attempts."""

BODY_SECONDS, SLOWEST = 20.0, 10_000.0
"""Seconds that a request's body may take to arrive, and bytes per second of what it may take beyond them."""

UPLOADS = 16
"""The number of uploads at a time."""

PART = 1 << 20
"""Bytes of an upload that are written at once."""

MAX_JSON = 500_000
"""The size limit in bytes of requests that only contain settings."""

MAX_SATURATION = 10.0

SWEEP = 0.25
"""Seconds between two cleanups of sessions that were left."""

STATIC = {
    **dict.fromkeys(("page.css", "films.css"), "text/css"),
    **dict.fromkeys(
        ("page.js", "server.js", "hints.js", "color.js", "films.js", "camera.js"), "text/javascript"
    ),
}

Handler = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True, kw_only=True)
class Limits:
    """A photo may have at most ``max_bytes`` and ``max_pixels``; at most ``queue`` requests may wait."""

    max_bytes: int
    max_pixels: int
    queue: int


class Page:
    """The handlers, with the models, sessions and worker processes that they use."""

    def __init__(self, models: Models, *, folder: Path, limits: Limits, host: str) -> None:
        """Start the worker processes.

        Args:
            models: the models that the page offers; the first is loaded.
            folder: for all files.
            limits: see :class:`Limits`.
            host: the address to listen at; see :class:`ungray.guard.Guard`.
        """
        self.models = models
        self.limits = limits
        self.host = host
        self.folder = folder
        self.workers = Workers(max(2, min(4, os.cpu_count() or 1)), queue=limits.queue)
        self.sessions = Sessions(folder / "sessions", max_bytes=limits.max_bytes, forget=self._forget)
        self._uploads = 0
        self._films = Films(self)
        (folder / "examples").mkdir()
        self.examples = {path.name: path for path in write_examples(folder / "examples")}

    def application(self) -> Starlette:
        """Return the application."""

        @asynccontextmanager
        async def lifespan(_: Starlette) -> AsyncIterator[None]:
            self.workers.start(partial(coloring.warm_up, self._model(self.models.names[0])))
            sweeping = asyncio.create_task(self._sweep())
            yield
            sweeping.cancel()
            with suppress(asyncio.CancelledError):
                await sweeping

        def route(path: str, handler: Handler, *methods: str) -> Route:
            return Route(path, _answered(handler), methods=list(methods) or ["GET"])

        app = Starlette(
            lifespan=lifespan,
            routes=[
                route("/", self.page),
                route("/{name:str}", self.static),
                route("/examples/{name:str}", self.example),
                route("/downloads/{key:str}", self.download),
                route("/api/about", self.about),
                route("/api/cards/{number:int}", self.card),
                route("/api/sessions", self.start, "POST"),
                route("/api/leave", self.leave, "POST"),
                route("/api/photos", self.list_photos),
                route("/api/photos", self.upload, "POST"),
                route("/api/addresses", self.open_address, "POST"),
                route("/api/photos/{id:str}", self.remove, "DELETE"),
                route("/api/photos/{id:str}/gray", self.gray),
                route("/api/photos/{id:str}/preview", self.preview, "POST"),
                route("/api/photos/{id:str}/whole", self.whole, "POST"),
                route("/api/photos/{id:str}/likely", self.likely, "POST"),
                route("/api/photos/{id:str}/others", self.others, "POST"),
                route("/api/photos/{id:str}/reference", self.reference, "POST"),
                route("/api/photos/{id:str}/load-hints", self.load_hints, "POST"),
                route("/api/photos/{id:str}/save-hints", self.save_hints, "POST"),
                route("/api/archive", self.archive, "POST"),
                *self._films.routes(route),
            ],
        )
        app.add_middleware(Guard, host=self.host, devices=["camera"])
        return app

    def stop(self) -> None:
        """End all sessions and all work, at once. Any thread may call it."""
        self.workers.stop()
        self._films.stop()
        self.sessions.close()

    def close(self) -> None:
        """Stop, and wait until the worker processes are gone."""
        self.stop()
        self.workers.close()
        self._films.close()

    async def page(self, request: Request) -> Response:
        """Return the page."""
        self.sessions.load(_client(request))
        return HTMLResponse(files("ungray.page").joinpath("page.html").read_bytes())

    async def static(self, request: Request) -> Response:
        """Return a file of the page."""
        name = request.path_params["name"]
        if name not in STATIC:
            return _error("not found", 404)
        return Response(files("ungray.page").joinpath(name).read_bytes(), media_type=STATIC[name])

    async def example(self, request: Request) -> Response:
        """Return a photo to try."""
        path = self.examples.get(request.path_params["name"])
        return FileResponse(path) if path else _error("not found", 404)

    async def about(self, request: Request) -> Response:
        """Return what the page shows before there is a photo."""
        return JSONResponse(await run_in_threadpool(self._about))

    def _about(self) -> dict[str, Any]:
        return {
            "models": [self.models.summary(name) for name in self.models.names],
            "examples": list(self.examples),
            "formats": list(FORMATS),
            "max_bytes": self.limits.max_bytes,
            "max_pixels": self.limits.max_pixels,
            "max_photos": MAX_PHOTOS,
            "film": self._films.about(),
            "is_local": self.host in LOOPBACK,
        }

    async def card(self, request: Request) -> Response:
        """Return a model's card as HTML."""
        number = request.path_params["number"]
        if number >= len(self.models.names):
            return _error("not found", 404)
        return HTMLResponse(await run_in_threadpool(self.models.card, self.models.names[number]))

    async def start(self, request: Request) -> Response:
        """Begin a session; return its key, which the header Session of all further requests has."""
        return JSONResponse({"session": self.sessions.new(_client(request))})

    async def leave(self, request: Request) -> Response:
        """End a session soon: its page was closed, or is being reloaded. The body names session and page."""
        key, _, page = (await _body(request, 200)).decode("ascii", "replace").partition(" ")
        self.sessions.leave(key, page)
        return Response(status_code=204)

    async def list_photos(self, request: Request) -> Response:
        """Return all photos of the session, the oldest first."""
        return JSONResponse({"photos": [photo.facts() for photo in self.session(request).photos.values()]})

    async def upload(self, request: Request) -> Response:
        """Take a photo: the body is its file, the parameter ``name`` its name."""
        session, name = self.session(request), self.file_name(request, otherwise="photo")
        return await self._open(request, session, await self._received(request, session), name)

    async def receive(self, request: Request, session: Session, *, limit: int, too_large: str) -> Path:
        """Return the path of a new file of the session that has the body.

        Raises:
            UngrayError: it has more than ``limit`` bytes; the message is ``too_large``.
            BusyError: there are too many uploads.
        """
        if self._uploads >= UPLOADS:
            raise BusyError
        self._uploads += 1
        try:
            with session.file() as file:
                await self._write_body(request, file, limit, too_large)
        finally:
            self._uploads -= 1
        return file.path

    async def _received(self, request: Request, session: Session) -> Path:
        """Return the path of a new file of the session that has the body, a photo."""
        limit = self.limits.max_bytes
        return await self.receive(request, session, limit=limit, too_large=self._too_large())

    async def _write_body(self, request: Request, file: NewFile, limit: int, too_large: str) -> None:
        """Write the body to ``file``.

        After an error the rest of it is received and forgotten, as far as it is not much too large: a browser
        shows an answer only when it has sent all.
        """
        announced = request.headers.get("content-length", "0")
        received, part = 0, bytearray()
        failure: Exception | None = None
        if not announced.isdigit() or int(announced) > limit:
            failure = UngrayError(too_large)
        async for some in _parts(request):
            received += len(some)
            if received > 2 * limit:
                break
            if failure is None and received > limit:
                failure = UngrayError(too_large)
            part += some
            if failure is None and len(part) >= PART:
                try:
                    await run_in_threadpool(file.write, bytes(part))
                except (BusyError, OSError) as error:
                    failure = error
            if failure or len(part) >= PART:
                part.clear()
        if failure:
            raise failure
        await run_in_threadpool(file.write, bytes(part))

    async def open_address(self, request: Request) -> Response:
        """Take a photo from a public address."""
        session, asked = self.session(request), await _json(request)
        url = str(asked.get("url", "")).strip()
        if not url:
            raise ArgumentError("type the address of a photo first, such as https://…/photo.jpg")
        limits = replace(
            fetch.ONE_PHOTO,
            max_bytes=self.limits.max_bytes,
            max_pixels=self.limits.max_pixels,
            deadline=FETCH_SECONDS,
        )
        if self._uploads >= UPLOADS:
            raise BusyError
        self._uploads += 1
        try:
            content = await _in_daemon(partial(self._fetch, url, limits))
        finally:
            self._uploads -= 1
        path = await run_in_threadpool(session.write, content)
        name = safe_name(url.partition("?")[0].partition("#")[0])
        return await self._open(request, session, path, name)

    def _fetch(self, url: str, limits: fetch.Limits) -> bytes:
        received: list[bytes] = []

        def take(content: bytes, _: object) -> str:
            received.append(content)
            return "taken"  # so that it is not stored

        (outcome,) = fetch.fetch_all([url], limits=limits, store=self.folder / "fetched", unwanted=take)
        if outcome.reason:
            raise UngrayError(outcome.reason)
        return received[0]

    async def remove(self, request: Request) -> Response:
        """Delete a photo and all that was made from it."""
        await run_in_threadpool(self.session(request).remove, request.path_params["id"])
        return Response(status_code=204)

    async def gray(self, request: Request) -> Response:
        """Return the gray picture of a photo."""
        return FileResponse(self._photo(request)[1].gray, media_type="image/jpeg")

    async def preview(self, request: Request) -> Response:
        """Color a photo at the size that is displayed; the body is a JSON object of settings."""
        session, photo = self._photo(request)
        model, settings, asked = await self._settings(request, photo)
        work = partial(coloring.preview, self._model(model), photo.id, settings)
        answer = await self._with_copy(request, session, photo, work)
        photo.settings = asked
        steps = ", ".join(f"{name};dur={spent:.1f}" for name, spent in answer.steps.items())
        return Response(answer.picture, media_type="image/jpeg", headers={"Server-Timing": steps})

    async def whole(self, request: Request) -> Response:
        """Color a photo at full size; return the key of its download."""
        session, photo = self._photo(request)
        model, settings, asked = await self._settings(request, photo)
        format = asked.get("format", coloring.AS_IT_CAME)
        if not isinstance(format, str) or format not in FORMATS:
            raise ArgumentError(f"the format is one of {', '.join(FORMATS)}")
        encoded, extension = await self._run(
            request,
            session,
            photo,
            partial(coloring.color_whole, self._model(model), format, settings),
            await run_in_threadpool(session.read, photo),
            seconds=WHOLE_SECONDS,
            pixels=photo.width * photo.height,
        )
        path = await run_in_threadpool(session.write, encoded)
        # More than one: a browser may still be downloading the one before.
        session.delete(*photo.results[:-1])
        photo.results[:-1] = []
        photo.results.append(path)
        name = coloring.colored_name(photo.name, extension)
        return JSONResponse({"key": session.offer(path, name), "name": name})

    async def likely(self, request: Request) -> Response:
        """Return colors that are likely at a place, x and y in the body."""
        session, photo = self._photo(request)
        model, settings, asked = await self._settings(request, photo)
        x, y = asked.get("x"), asked.get("y")
        if not (is_number(x) and is_number(y) and 0 <= x < photo.width and 0 <= y < photo.height):
            raise ArgumentError(f"x and y are a place of the photo of {photo.width}x{photo.height} pixels")
        work = partial(coloring.likely, self._model(model), photo.id, (float(x), float(y)), settings.hints)
        return JSONResponse({"colors": await self._with_copy(request, session, photo, work)})

    async def others(self, request: Request) -> Response:
        """Return other colorings: the hints of each, and a picture as a data address."""
        session, photo = self._photo(request)
        model, settings, _ = await self._settings(request, photo)
        work = partial(coloring.others, self._model(model), photo.id, settings)
        found = await self._with_copy(request, session, photo, work)
        return JSONResponse(
            {
                "others": [
                    {
                        "hints": [asdict(hint) for hint in hints],
                        "picture": f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode()}",
                    }
                    for hints, jpeg in found
                ]
            }
        )

    async def reference(self, request: Request) -> Response:
        """Return hints and a palette from a photo in color, the body; the parameter ``model`` names a model.

        The photo is not kept.
        """
        session, photo = self._photo(request)
        model = request.query_params.get("model", self.models.names[0])
        if model not in self.models.names:
            raise ArgumentError(f"the model is one of {', '.join(self.models.names)}")
        path = await self._received(request, session)
        try:
            content = await run_in_threadpool(path.read_bytes)
        finally:
            session.delete(path)
        look = partial(coloring.check, max_pixels=self.limits.max_pixels)
        _, width, height = await self._run(request, session, photo, look, content, seconds=OPEN_SECONDS)
        work = partial(coloring.colors_of, self._model(model), photo.id, self.limits.max_pixels)
        for _ in range(3):  # another worker may have taken it, or forgotten the photo
            seen = partial(coloring.preview, self._model(model), photo.id, Settings())
            await self._with_copy(request, session, photo, seen)
            pixels = width * height
            found = await self._run(
                request, session, photo, work, content, seconds=OPEN_SECONDS, pixels=pixels
            )
            if found:
                hints, colors, reason = found
                given = [asdict(hint) for hint in hints]
                return JSONResponse({"hints": given, "palette": colors, "reason": reason})
        raise BusyError

    async def load_hints(self, request: Request) -> Response:
        """Return the hints in a hints file, the body, scaled to the photo."""
        _, photo = self._photo(request)
        content = await _body(request, MAX_JSON)
        hints = parse_hints(content, name="the file", width=photo.width, height=photo.height)
        return JSONResponse({"hints": [asdict(hint) for hint in hints]})

    async def save_hints(self, request: Request) -> Response:
        """Return a hints file of the hints in the body, as :func:`ungray.hints.write_hints` writes it."""
        _, photo = self._photo(request)
        hints = _hints((await _json(request)).get("hints"), photo)
        return Response(
            hints_json(hints, width=photo.width, height=photo.height), media_type="application/json"
        )

    async def archive(self, request: Request) -> Response:
        """Pack colored photos, which are deleted, into a ZIP file; return the key of its download."""
        session, asked = self.session(request), await _json(request)
        keys = asked.get("keys")
        if not (isinstance(keys, list) and keys and all(isinstance(key, str) for key in keys)):
            raise ArgumentError("keys is a list of downloads, at least one")
        path = await run_in_threadpool(self._pack, session, keys[:MAX_PHOTOS])
        return JSONResponse({"key": session.offer(path, "colored.zip"), "name": "colored.zip"})

    def _pack(self, session: Session, keys: list[str]) -> Path:
        names: set[str] = set()
        with (
            session.file() as file,
            zipfile.ZipFile(cast(IO[bytes], file), "w", zipfile.ZIP_STORED) as archive,
        ):
            for key in keys:
                if key not in session.results:
                    raise UngrayError("a colored photo is no longer here; color them again")
                path, name = session.results[key]
                with path.open("rb") as colored, archive.open(_unique(name, names), "w") as packed:
                    shutil.copyfileobj(colored, packed, PART)
                session.delete(path)
        return file.path

    async def download(self, request: Request) -> Response:
        """Return what was made for download; its key cannot be guessed."""
        found = self.sessions.result(request.path_params["key"])
        if found is None or not found[0].exists():
            return _error("this download is no longer here; make it again", 404)
        path, name = found
        return FileResponse(path, filename=name, headers={"Cache-Control": "no-store"})

    async def _open(self, request: Request, session: Session, path: Path, name: str) -> Response:
        photo = StoredPhoto(id=secrets.token_urlsafe(12), name=name, path=path)
        try:
            if len(session.photos) >= MAX_PHOTOS:
                raise UngrayError(f"{MAX_PHOTOS} photos are the most at a time; remove some first")
            content = await run_in_threadpool(path.read_bytes)
            look = partial(coloring.check, max_pixels=self.limits.max_pixels)
            _, width, height = await self._run(request, session, photo, look, content, seconds=OPEN_SECONDS)
            work = partial(coloring.open_photo, photo.id, self.limits.max_pixels)
            opened = await self._run(
                request, session, photo, work, content, seconds=OPEN_SECONDS, pixels=width * height
            )
            photo.kind, photo.width, photo.height = opened.kind, opened.width, opened.height
            photo.gray = await run_in_threadpool(session.write, opened.gray)
            session.add(photo)
        except BaseException:
            session.abandon(photo)
            raise
        return JSONResponse(photo.facts())

    def _forget(self, photo_ids: Collection[str]) -> None:
        if photo_ids:
            self.workers.everywhere(partial(coloring.forget, tuple(photo_ids)))

    async def _with_copy(
        self, request: Request, session: Session, photo: StoredPhoto, work: partial[R | None]
    ) -> R:
        """Return what ``work`` does with the photo's small copy; a worker without it reads the file again."""
        answer = await self._run(request, session, photo, work, seconds=PREVIEW_SECONDS)
        if answer is None:
            content = await run_in_threadpool(session.read, photo)
            pixels = photo.width * photo.height
            answer = await self._run(
                request, session, photo, work, content, seconds=OPEN_SECONDS, pixels=pixels
            )
        assert answer is not None
        return answer

    async def _run(
        self,
        request: Request,
        session: Session,
        photo: StoredPhoto,
        work: partial[R],
        content: bytes = b"",
        *,
        seconds: float,
        pixels: int = 0,
    ) -> R:
        async def wanted() -> bool:
            session.demand(photo)
            return not await request.is_disconnected()

        return await self.workers.run(
            work, content, seconds=seconds, pixels=pixels, affinity=photo.affinity, wanted=wanted
        )

    async def _settings(self, request: Request, photo: StoredPhoto) -> tuple[str, Settings, dict[str, Any]]:
        """Return the model, the settings and the request itself.

        The photo may have ``waiting_hints``, which the model does not take.

        Raises:
            ArgumentError: a value has another type or is out of range.
        """
        asked = await _json(request)
        model, settings = self._common_settings(asked)
        hints = tuple(_hints(asked.get("hints", []), photo))
        _hints(asked.get("waiting_hints", []), photo)
        return model, replace(settings, hints=hints), asked

    @staticmethod
    def file_name(request: Request, *, otherwise: str) -> str:
        """Return the parameter ``name``, made harmless."""
        return safe_name(request.query_params.get("name", ""), otherwise)

    @staticmethod
    def fault_sentence(error: Exception) -> str:
        """Print the traceback of a bug on the terminal, and return the sentence for the visitor."""
        say_fault(error)
        return f"a bug of this page, see its terminal ({type(error).__name__}); try another photo or film"

    async def film_settings(
        self, request: Request, *, width: int, height: int
    ) -> tuple[Any, Settings, tuple[float, ...]]:
        """Return the model and the settings for a film of that size, and the times from which its hints hold.

        Raises:
            UngrayError: an object is no hint, lies outside the film, or has no such time.
            ArgumentError: another value has another type or is out of range.
        """
        asked = await _json(request)
        model, settings = self._common_settings(asked)
        given = json.dumps({"width": width, "height": height, "hints": asked.get("hints", [])})
        settings = replace(settings, hints=tuple(parse_hints(given)))
        return self._model(model), settings, tuple(hint_times(given))

    def _common_settings(self, asked: dict[str, Any]) -> tuple[str, Settings]:
        model = asked.get("model", self.models.names[0])
        saturation, vivid = asked.get("saturation", 1.0), asked.get("vivid", False)
        if model not in self.models.names:
            raise ArgumentError(f"the model is one of {', '.join(self.models.names)}")
        if isinstance(saturation, bool) or not is_number(saturation) or not 0 <= saturation <= MAX_SATURATION:
            raise ArgumentError(f"the saturation is a number from 0 to {MAX_SATURATION:g}")
        if not isinstance(vivid, bool):
            raise ArgumentError("vivid is true or false")
        return model, Settings(saturation=float(saturation), vivid=vivid)

    def _model(self, name: str) -> Any:
        return ModelFile(self.models.paths[name])  # in the worker it is the model itself

    def session(self, request: Request) -> Session:
        """Return the session that a request names.

        Raises:
            EndedError: it has ended.
        """
        return self.sessions.of(request.headers.get("session", ""), request.headers.get("page", ""))

    def _photo(self, request: Request) -> tuple[Session, StoredPhoto]:
        session = self.session(request)
        return session, session.photo(request.path_params["id"])

    def _too_large(self) -> str:
        return f"too large; the limit is {self.limits.max_bytes / 1e6:g} MB per photo: save it smaller"

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(SWEEP)
            await asyncio.to_thread(self.sessions.sweep)


LOOPBACK = ("127.0.0.1", "localhost", "::1")


def _client(request: Request) -> str:
    return request.client.host if request.client else ""


def safe_name(name: str, otherwise: str = "photo") -> str:
    """Return a short file name without folder and special characters; ``otherwise`` if nothing is left."""
    plain = PurePosixPath(name.replace("\\", "/")).name
    plain = re.sub(r"[^\w. ()\-]+", "_", plain).strip(". ")
    stem, dot, extension = plain.rpartition(".")
    return f"{(stem or plain)[:80]}{dot and '.' + extension[:10]}".strip(". ") or otherwise


def _answered(handler: Handler) -> Handler:
    """Answer every error with one sentence, JSON; the traceback of a bug is printed on the terminal."""

    async def answer(request: Request) -> Response:
        try:
            return await handler(request)
        except (ClientDisconnect, GoneError):
            return Response(status_code=499)  # nobody reads it
        except BusyError as error:
            return _error(str(error), 503)
        except EndedError as error:
            return _error(str(error), 410)
        except ArgumentError as error:
            return _error(str(error), 400)
        except UngrayError as error:
            return _error(str(error), 422)
        except TimeoutError:
            return _error("the request took too long to arrive", 408, closing=True)
        except MemoryError:
            return _error("not enough memory; use a smaller photo", 507)
        except OSError as error:
            if error.errno in FULL:
                return _error("the disk of the machine that serves this page is full; free some space", 507)
            if isinstance(error, FileNotFoundError):
                return _error(str(EndedError()), 410)
            return _fault(error)
        except Exception as error:
            return _fault(error)

    return answer


def _fault(error: Exception) -> Response:
    return _error(Page.fault_sentence(error), 500)


def _error(sentence: str, status: int, *, closing: bool = False) -> Response:
    headers = {"Connection": "close"} if closing else None
    return JSONResponse({"error": sentence}, status, headers=headers)


async def _parts(request: Request) -> AsyncIterator[bytes]:
    """Yield the parts of the body as they arrive.

    Raises:
        TimeoutError: they arrive too slowly.
        ClientDisconnect: the client is gone.
    """
    stream = request.stream()
    begun, received = asyncio.get_running_loop().time(), 0
    while True:
        async with asyncio.timeout_at(begun + BODY_SECONDS + received / SLOWEST):
            try:
                part = await anext(stream)
            except StopAsyncIteration:
                return
        received += len(part)
        yield part


async def _body(request: Request, limit: int) -> bytes:
    content = bytearray()
    async for part in _parts(request):
        content += part
        if len(content) > limit:
            raise ArgumentError(f"the request has more than {limit} bytes")
    return bytes(content)


async def _json(request: Request) -> dict[str, Any]:
    """Return the JSON object in the body.

    Raises:
        ArgumentError: it is none.
    """
    # Another site cannot send this type without asking first, which is always refused.
    if request.headers.get("content-type", "").split(";")[0].strip().lower() != "application/json":
        raise ArgumentError("send JSON: Content-Type is application/json")
    try:
        asked = json.loads(await _body(request, MAX_JSON))
    except (ValueError, RecursionError):
        asked = None
    if not isinstance(asked, dict):
        raise ArgumentError("send a JSON object")
    return asked


def _hints(given: Any, photo: StoredPhoto) -> list[Hint]:
    """Return the hints that were sent for ``photo``, a list of objects.

    Raises:
        UngrayError: an object is no hint, or lies outside the photo.
    """
    size = {"width": photo.width, "height": photo.height}
    return parse_hints(json.dumps(size | {"hints": given}))


def _unique(name: str, names: set[str]) -> str:
    """Return ``name``, with a number if ``names`` already contains it, and add it to them."""
    stem, _, extension = name.rpartition(".")
    number, unique = 2, name
    while unique.lower() in names:
        number, unique = number + 1, f"{stem}-{number}.{extension}"
    names.add(unique.lower())
    return unique


async def _in_daemon(work: Callable[[], R]) -> R:
    """Return ``work()``, done in a thread for which the end of the process does not wait."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[R] = loop.create_future()

    def settle(set_value: Callable[[Any], None], value: Any) -> None:
        def unless_done() -> None:
            if not done.done():
                set_value(value)

        with suppress(RuntimeError):  # the loop is closed: the server has ended
            loop.call_soon_threadsafe(unless_done)

    def run() -> None:
        try:
            settle(done.set_result, work())
        except BaseException as error:
            settle(done.set_exception, error)

    threading.Thread(target=run, daemon=True).start()
    return await done

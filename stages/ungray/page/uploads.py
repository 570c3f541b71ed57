"""Our own upload, which replaces gradio's, and a guard in front of all gradio's routes.

Gradio's upload limits each file but not the request, and stores equal files of two visitors at one path, so
the end of one session would delete the photo of another. Here, each request is limited and each file has its
own path.
"""

from __future__ import annotations

import re
import secrets
import shutil
import time
from contextlib import suppress
from pathlib import Path, PurePosixPath

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ungray.errors import UngrayError

MAX_FILES = 50
"""The number of photos per request."""

REQUEST_PHOTOS = 4
"""The size limit of a request, as a multiple of that of a photo."""

WAITING_PHOTOS = 16
"""The limit of all uploads that are not yet colored, as a multiple of that of a photo."""

STALE = 600.0
"""Seconds after which an upload that is not yet colored is deleted."""

MAX_MESSAGE = 1_000_000
"""The size limit in bytes of all other requests, which only contain the values of controls."""

API = "/gradio_api/"
USED = {
    "queue",
    "heartbeat",
    "file=",
    "upload",
    "upload_progress",
    "startup-events",
    "cancel",
    "reset",
    "info",
}
"""The routes of gradio that are allowed; the others would proxy, record, or store data."""


class Uploads:
    """Uploaded files that wait to be colored, each in its own folder below ``folder``."""

    def __init__(self, folder: Path, *, max_bytes: int) -> None:
        self.folder = folder
        self.max_bytes = max_bytes
        self.max_request = REQUEST_PHOTOS * max_bytes
        folder.mkdir(parents=True, exist_ok=True)

    async def receive(self, request: Request) -> Response:
        """Handle gradio's upload: receive a form of files, return a JSON list of paths."""
        if await run_in_threadpool(self._waiting) > WAITING_PHOTOS * self.max_bytes:
            return PlainTextResponse("The page is busy: too many photos wait. Try again in a minute.", 503)
        try:
            async with request.form(max_files=MAX_FILES, max_fields=10) as form:
                files = [part for part in form.getlist("files") if isinstance(part, UploadFile)]
                if any((file.size or 0) > self.max_bytes for file in files):
                    return PlainTextResponse(self.too_large, 413)
                return JSONResponse([str(await run_in_threadpool(self._keep, file)) for file in files])
        except HTTPException as error:  # not a form, or too many files
            return PlainTextResponse(str(error.detail), error.status_code)

    async def progress(self, request: Request) -> Response:
        """Answer gradio's request for the progress of an upload: always done, since uploads are short."""
        return PlainTextResponse('data: {"msg": "done"}\n\n', media_type="text/event-stream")

    def take(self, path: str) -> tuple[bytes, str]:
        """Return content and name of an upload, and delete it.

        Raises:
            UngrayError: it is no upload, or has already been taken.
        """
        file = Path(path)
        if file.parent.parent != self.folder or ".." in file.parts:
            raise UngrayError("this is no upload; drop the photo on the page")
        try:
            return file.read_bytes(), file.name
        except OSError:
            raise UngrayError("the upload is gone; drop the photo again") from None
        finally:
            shutil.rmtree(file.parent, ignore_errors=True)

    def sweep(self, *, stale: float = STALE) -> None:
        """Delete stale uploads."""
        for folder in list(self.folder.iterdir()):
            try:
                old = time.time() - folder.stat().st_mtime > stale
            except FileNotFoundError:  # taken meanwhile
                continue
            if old:
                shutil.rmtree(folder, ignore_errors=True)

    @property
    def too_large(self) -> str:
        """The error message for one or several files beyond the limit; MB are millions of bytes."""
        return (
            f"too large; the limit is {self.max_bytes / 1e6:g} MB per photo and "
            f"{self.max_request / 1e6:g} MB at once: save it smaller, or drop fewer"
        )

    def _keep(self, file: UploadFile) -> Path:
        path = self.folder / secrets.token_urlsafe(16) / safe_name(file.filename or "")
        path.parent.mkdir()
        with path.open("wb") as kept:
            shutil.copyfileobj(file.file, kept)
        return path

    def _waiting(self) -> int:
        waiting = 0
        for folder in list(self.folder.iterdir()):
            with suppress(FileNotFoundError):  # taken meanwhile
                waiting += sum(file.stat().st_size for file in list(folder.iterdir()))
        return waiting


def safe_name(name: str) -> str:
    """Return a short file name without folder and special characters; ``photo`` if nothing is left."""
    plain = PurePosixPath(name.replace("\\", "/")).name
    plain = re.sub(r"[^\w. ()\-]+", "_", plain).strip(". ")
    stem, dot, extension = plain.rpartition(".")
    return f"{(stem or plain)[:80]}{dot and '.' + extension[:10]}".strip(". ") or "photo"


class Guard:
    """ASGI middleware: limits the size of every request, and hides the routes of gradio that are not used."""

    def __init__(self, app: ASGIApp, *, max_upload: int) -> None:
        self.app = app
        self.max_upload = max_upload

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or refuse it."""
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        path = scope["path"]
        route = re.match(r"[a-z_-]+=?", path.removeprefix(API)) if path.startswith(API) else None
        if path.startswith(API) and (route is None or route.group() not in USED):
            return await PlainTextResponse("not found", 404)(scope, receive, send)
        if path.startswith(
            ("/runs", "/monitoring", "/run-history", "/login", "/logout", "/docs", "/openapi.json")
        ):
            return await PlainTextResponse("not found", 404)(scope, receive, send)
        limit = self.max_upload if path == f"{API}upload" else MAX_MESSAGE
        headers = dict(scope["headers"])
        announced = headers.get(b"content-length", b"0")
        if not announced.isdigit() or int(announced) > limit:
            # Read a body that is not much too large, or the browser would report a broken connection.
            while announced.isdigit() and int(announced) < 10 * self.max_upload:
                message = await receive()
                if message["type"] != "http.request" or not message.get("more_body"):
                    break
            refusal = PlainTextResponse("The request is too large.", 413, headers={"Connection": "close"})
            return await refusal(scope, receive, send)
        received, whole = 0, announced == b"0" and b"transfer-encoding" not in headers

        async def bounded() -> Message:
            nonlocal received, whole
            message = await receive()
            received += len(message.get("body", b""))
            whole = whole or not message.get("more_body")
            # A body without a length that exceeds the limit is treated like a closed connection.
            return message if received <= limit else {"type": "http.disconnect"}

        async def closing(message: Message) -> None:
            if message["type"] == "http.response.start" and not whole:
                # Otherwise the server would continue to read the body.
                message["headers"] = [*message.get("headers", []), (b"connection", b"close")]
            await send(message)

        return await self.app(scope, bounded, closing)

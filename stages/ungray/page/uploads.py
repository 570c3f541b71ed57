"""How photos get in: our own upload, in gradio's place, and a guard before all that gradio answers.

Gradio's upload bounds each file but not the request, and puts equal files of two visitors at one path, so
that one visitor's end would take the other's photo. Here each request has a bound and each file a place of
its own.
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

MOST_FILES = 50
"""Photos at once."""

REQUEST_PHOTOS = 4
"""A request may bring so many times the bytes of one photo."""

WAITING_PHOTOS = 16
"""Uploads that nobody has asked to color yet may take so many times the bytes of one photo, all together."""

STALE = 600.0
"""Seconds after which such an upload is deleted."""

MAX_MESSAGE = 1_000_000
"""Bytes of any request that is no upload: what the controls say is short."""

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
"""Of gradio's interface only this is answered; the rest would proxy, record, or keep things."""


class Uploads:
    """Files that have been sent and wait to be taken, each in a folder below ``folder``."""

    def __init__(self, folder: Path, *, max_bytes: int) -> None:
        self.folder = folder
        self.max_bytes = max_bytes
        self.max_request = REQUEST_PHOTOS * max_bytes
        folder.mkdir(parents=True, exist_ok=True)

    async def receive(self, request: Request) -> Response:
        """Answer gradio's upload: a form of files comes in, a JSON list of paths goes out."""
        if await run_in_threadpool(self._waiting) > WAITING_PHOTOS * self.max_bytes:
            return PlainTextResponse("The page is busy: too many photos wait. Try again in a minute.", 503)
        try:
            async with request.form(max_files=MOST_FILES, max_fields=10) as form:
                files = [part for part in form.getlist("files") if isinstance(part, UploadFile)]
                if any((file.size or 0) > self.max_bytes for file in files):
                    return PlainTextResponse(self.too_large, 413)
                return JSONResponse([str(await run_in_threadpool(self._keep, file)) for file in files])
        except HTTPException as error:  # no form, or too many files
            return PlainTextResponse(str(error.detail), error.status_code)

    async def progress(self, request: Request) -> Response:
        """Answer gradio's question how far an upload is: done; it asks on the way, and the way is short."""
        return PlainTextResponse('data: {"msg": "done"}\n\n', media_type="text/event-stream")

    def take(self, path: str) -> tuple[bytes, str]:
        """Return content and name of an upload, which is deleted.

        Raises:
            UngrayError: it is no upload, or was taken already.
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
        """Delete uploads that nobody took in time."""
        for folder in list(self.folder.iterdir()):
            try:
                old = time.time() - folder.stat().st_mtime > stale
            except FileNotFoundError:  # taken meanwhile
                continue
            if old:
                shutil.rmtree(folder, ignore_errors=True)

    @property
    def too_large(self) -> str:
        """What is said of a file beyond the limit, or of several; MB are millions of bytes."""
        return (
            f"too large; a photo may have {self.max_bytes / 1e6:g} MB, all that come at once "
            f"{self.max_request / 1e6:g} MB: save it smaller, or bring fewer"
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
    """Return a file name without folder, odd characters or undue length; ``photo`` where nothing is left."""
    plain = PurePosixPath(name.replace("\\", "/")).name
    plain = re.sub(r"[^\w. ()\-]+", "_", plain).strip(". ")
    stem, dot, extension = plain.rpartition(".")
    return f"{(stem or plain)[:80]}{dot and '.' + extension[:10]}".strip(". ") or "photo"


class Guard:
    """ASGI middleware: bounds every request body, hides what of gradio's interface is not used."""

    def __init__(self, app: ASGIApp, *, max_upload: int) -> None:
        self.app = app
        self.max_upload = max_upload

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or refuse it."""
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        path = scope["path"]
        called = re.match(r"[a-z_-]+=?", path.removeprefix(API)) if path.startswith(API) else None
        if path.startswith(API) and (called is None or called.group() not in USED):
            return await PlainTextResponse("not found", 404)(scope, receive, send)
        if path.startswith(
            ("/runs", "/monitoring", "/run-history", "/login", "/logout", "/docs", "/openapi.json")
        ):
            return await PlainTextResponse("not found", 404)(scope, receive, send)
        most = self.max_upload if path == f"{API}upload" else MAX_MESSAGE
        headers = dict(scope["headers"])
        announced = headers.get(b"content-length", b"0")
        if not announced.isdigit() or int(announced) > most:
            # To its end if that is near, or the browser would report a broken connection, not the answer.
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
            # A body that did not say its length and has no end: as if the visitor had hung up.
            return message if received <= most else {"type": "http.disconnect"}

        async def closing(message: Message) -> None:
            if message["type"] == "http.response.start" and not whole:
                # Or the server would go on reading what nobody wants.
                message["headers"] = [*message.get("headers", []), (b"connection", b"close")]
            await send(message)

        return await self.app(scope, bounded, closing)

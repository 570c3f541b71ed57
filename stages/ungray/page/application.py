"""The web application: gradio's page, our own upload in front of it, and the cleanup of old files."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import gradio as gr
from fastapi import FastAPI
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.routing import Route

from ungray.page.events import Events, Limits
from ungray.page.examples import write_examples
from ungray.page.layout import appearance, build
from ungray.page.models import Models
from ungray.page.sessions import Sessions
from ungray.page.uploads import API, Guard, Uploads

__all__ = ["Limits", "application"]

SWEEP = 30.0
"""Seconds between two cleanups of unused sessions and uploads."""

STATES = 100
"""The number of visitors whose controls gradio remembers."""

LOOPBACK = ("127.0.0.1", "localhost", "[::1]", "::1")


def application(models: Models, *, folder: Path, limits: Limits, host: str) -> FastAPI:
    """Return the application.

    Args:
        models: the models that the page offers; the first is loaded.
        folder: for uploads and results; also the environment's GRADIO_TEMP_DIR.
        limits: see :class:`Limits`.
        host: the address to listen at. On the loopback, only requests with its name in the Host header are
            answered, so that no other site can reach the page by a name that resolves to this machine.
    """
    sessions = Sessions(folder / "sessions")
    uploads = Uploads(folder / "uploads", max_bytes=limits.max_bytes)
    (folder / "examples").mkdir()
    events = Events(models, sessions, uploads, write_examples(folder / "examples"), limits)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        sweeping = asyncio.create_task(_sweep(sessions, uploads))
        yield
        sweeping.cancel()
        with suppress(asyncio.CancelledError):
            await sweeping

    app = FastAPI(lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None)
    app.router.routes += [
        Route(f"{API}upload", uploads.receive, methods=["POST"]),
        Route(f"{API}upload_progress", uploads.progress),
    ]
    page = build(events, max_bytes=limits.max_bytes, max_pixels=limits.max_pixels, queue=limits.queue)
    page.state_session_capacity = STATES
    gr.mount_gradio_app(
        app,
        page,
        path="/",
        footer_links=[],
        run_history=False,
        show_error=False,
        ssr_mode=False,
        enable_monitoring=False,
        pwa=False,
        mcp_server=False,
        **appearance(uploads),
    )
    if host in LOOPBACK:
        app.add_middleware(TrustedHostMiddleware, allowed_hosts=list(LOOPBACK))
    app.add_middleware(Guard, max_upload=uploads.max_request + 100_000)
    return app


async def _sweep(sessions: Sessions, uploads: Uploads) -> None:
    while True:
        await asyncio.sleep(SWEEP)
        await asyncio.to_thread(sessions.sweep)
        await asyncio.to_thread(uploads.sweep)

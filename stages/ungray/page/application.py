"""The web application: gradio's page, our upload in front of it, and what clears up."""

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
"""Seconds between two looks for what nobody uses any more."""

STATES = 100
"""Visitors whose controls gradio remembers."""

LOOPBACK = ("127.0.0.1", "localhost", "[::1]", "::1")


def application(models: Models, *, folder: Path, limits: Limits, host: str) -> FastAPI:
    """Return the application.

    Args:
        models: what the page offers; the first is loaded.
        folder: for all that comes and is made; also the environment's GRADIO_TEMP_DIR.
        limits: what is refused.
        host: where it will listen. On the loopback only requests that name it are answered, so that no
            foreign site can reach the page by a name of its own that leads here.
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

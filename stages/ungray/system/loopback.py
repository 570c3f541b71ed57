"""Serves a page, such as review and watch, to this machine alone."""

from __future__ import annotations

import os
import socket
import threading
import webbrowser
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from ungray.errors import UngrayError

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import BaseRoute
    from starlette.types import ASGIApp


NEUTRAL = Path(__file__).with_name("neutral.css")
"""The style sheet that these pages share."""


def files_of(folder: Path) -> list[BaseRoute]:
    """Return the routes of a page: its files in ``folder``, index.html first, and ``neutral.css``."""
    from starlette.responses import FileResponse  # imported late: the stages themselves need no server
    from starlette.routing import Mount, Route
    from starlette.staticfiles import StaticFiles

    async def neutral(request: Request) -> Response:
        return FileResponse(NEUTRAL)

    return [Route("/neutral.css", neutral), Mount("/", StaticFiles(directory=folder, html=True))]


@contextmanager
def listening(port: int | None, *, default: int) -> Iterator[socket.socket]:
    """Yield a socket listening on ``port`` of 127.0.0.1; for None on ``default`` or, if taken, a free one.

    Raises:
        UngrayError: the requested port is not available.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as listener:
        if os.name == "posix":
            # Without this, the port of a page that has just ended would be unavailable for a minute.
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", default if port is None else port))
        except (OSError, OverflowError) as error:
            if port is not None:
                reason = getattr(error, "strerror", None) or "not a valid port"
                raise UngrayError(
                    f"port {port} is not available ({reason.lower()}); name another --port, or none"
                ) from None
            listener.bind(("127.0.0.1", 0))
        listener.listen(128)
        yield listener


def address(listener: socket.socket) -> str:
    """Return the address of the page that listens on ``listener``."""
    return f"http://127.0.0.1:{listener.getsockname()[1]}"


def serve(app: ASGIApp, listener: socket.socket, *, browser: bool) -> None:
    """Serve ``app`` until Ctrl-C; open it in the person's browser if ``browser``."""
    import uvicorn  # imported late: the stages themselves need no server

    server = uvicorn.Server(
        uvicorn.Config(
            app,
            log_config=None,  # see ungray.system.terminal
            access_log=False,
            server_header=False,
            lifespan="off",
            timeout_graceful_shutdown=2,
        )
    )
    if browser:
        # The socket already listens; a browser in the terminal must not block the server.
        threading.Thread(target=webbrowser.open, args=[address(listener)], daemon=True).start()
    with suppress(KeyboardInterrupt):  # the normal way to end it
        server.run(sockets=[listener])

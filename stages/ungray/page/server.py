"""The web server: uvicorn, with a time limit for a request's headers, which it has not, and a quick end."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

HEADER_SECONDS = 10.0
"""Seconds in which a request's headers must be complete. Uvicorn limits only the time between requests."""

CONNECTIONS = 500
"""The number of connections at a time; further ones are answered with 503."""

IDLE_SECONDS = 20
"""Seconds that a connection without requests is kept: longer than by clients (by Uvicorn 5, as by HTTPX),
or a request may come as it is closed, and get no answer."""

GRACE = 0
"""Seconds that requests may still take when the server ends: none, since their photos are deleted."""


class Protocol(H11Protocol):
    """HTTP/1.1 that closes a connection whose request's headers are not complete in time."""

    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for the first request."""
        super().connection_made(transport)
        self._wait_for_headers()

    def data_received(self, data: bytes) -> None:
        """Take what was received; it does not extend the time of headers that are not yet complete."""
        super().data_received(data)
        between = self.cycle is None or self.cycle.response_complete
        if not (between and self.conn.their_state is h11.IDLE):
            self._stop_waiting()
        elif self._deadline is None:
            self._wait_for_headers()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._stop_waiting()
        super().connection_lost(exc)

    def _wait_for_headers(self) -> None:
        self._deadline = self.loop.call_later(HEADER_SECONDS, self.transport.close)

    def _stop_waiting(self) -> None:
        if self._deadline:
            self._deadline.cancel()
            self._deadline = None


class Server(uvicorn.Server):
    """A server that calls ``at_end`` as soon as it is asked to end, while requests are still worked on."""

    def __init__(self, app: Any, *, at_end: Callable[[], None]) -> None:
        config = uvicorn.Config(
            app,
            http=Protocol,
            ws="none",
            log_config=None,  # see ungray.system.terminal
            access_log=False,
            server_header=False,
            limit_concurrency=CONNECTIONS,
            timeout_keep_alive=IDLE_SECONDS,
            timeout_graceful_shutdown=GRACE,
        )
        super().__init__(config)
        self._at_end = at_end
        # That requests are cut short at the end is meant; uvicorn calls it an error.
        logging.getLogger("uvicorn.error").addFilter(lambda record: "graceful" not in str(record.msg))

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """End: a signal has come."""
        # In a thread, since a signal's handler must not wait for a lock that this thread may hold.
        threading.Thread(target=self._at_end).start()
        super().handle_exit(sig, frame)

    def run_on(self, listener: socket.socket) -> None:
        """Serve until a signal comes."""
        if hasattr(signal, "SIGHUP") and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGHUP, self.handle_exit)  # a closed terminal; uvicorn handles the others
        super().run(sockets=[listener])

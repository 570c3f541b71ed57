"""Keeps other sites away from a page of this machine: checks requests, and says what answers may use.

Needs the extra ``page`` (Starlette). All pages use it: `colorize serve`, and those of the stages.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Collection
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' blob: data:; media-src 'self'; connect-src 'self'; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
}
"""Headers of every answer: no script, style or frame of another site, no script or style within HTML."""

DEVICES = ("camera", "microphone", "display-capture", "geolocation", "midi", "payment", "usb")
"""What a page may not ask its visitor for (Permissions-Policy), but for what its guard is told."""


class Guard:
    """ASGI middleware that refuses requests which another site may have caused, with JSON, status 403 or 400.

    The Host header reveals a name that an attacker's DNS resolves to this machine: only addresses, localhost,
    and the names of this machine are answered, whatever ``host`` the page listens at, and at any port, since
    a tunnel may change it. The Origin header reveals another site's script; a browser sends it with every
    request that is no mere GET. No answer allows another origin, or is stored unless it says so itself. The
    page may use ``devices``, of :data:`DEVICES`. A request whose length is told in two ways is refused
    (RFC 9112, 6.1): a proxy may take the rest of one visitor's for the next one's.

    Starlette's TrustedHostMiddleware takes a list of names, so it cannot allow all addresses.
    """

    def __init__(self, app: ASGIApp, *, host: str = "127.0.0.1", devices: Collection[str] = ()) -> None:
        self.app = app
        permitted = ", ".join(f"{name}=({'self' if name in devices else ''})" for name in DEVICES)
        self.headers = HEADERS | {"Permissions-Policy": permitted}
        name = socket.gethostname().lower()
        short = name.partition(".")[0]
        self.names = {"localhost", name, short, f"{short}.local", host.lower()}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        headers = Headers(scope=scope)

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                answered = MutableHeaders(scope=message)
                for name, value in self.headers.items():
                    answered[name] = value
                answered.setdefault("Cache-Control", "no-store")
            await send(message)

        answer: ASGIApp = self.app
        if not self._is_own(headers.get("host", "")):
            answer = _refusal("this page answers only to the address of its machine, or to its name")
        elif not _is_same_origin(headers, reads=scope["method"] in ("GET", "HEAD")):
            answer = _refusal("requests from other sites are refused")
        elif "transfer-encoding" in headers and "content-length" in headers:
            answer = _refusal("a request has either a Content-Length or a Transfer-Encoding", status=400)
        await answer(scope, receive, guarded)

    def _is_own(self, host: str) -> bool:
        try:
            address = urlsplit(f"//{host}")
            name, _ = address.hostname or "", address.port  # ValueError: the port is no number
        except ValueError:
            return False
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return name in self.names
        return True  # no name, so none that an attacker's DNS could resolve


def _is_same_origin(headers: Headers, *, reads: bool) -> bool:
    origin, site = headers.get("origin"), headers.get("sec-fetch-site")
    if origin is not None:
        return origin.lower() == f"http://{headers['host'].lower()}"
    return reads or site in (None, "same-origin", "none")


def _refusal(sentence: str, *, status: int = 403) -> ASGIApp:
    return JSONResponse({"error": sentence}, status, headers={"Connection": "close"})

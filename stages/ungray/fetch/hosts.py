"""Sends requests to hosts: with limits per host, to public addresses only, with clear errors."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import threading
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import Future
from contextlib import asynccontextmanager, contextmanager

import httpx

from ungray.fetch.addresses import Resolve
from ungray.fetch.responses import BOT, FetchError, TryLaterError

HEADERS = {
    "User-Agent": f"Mozilla/5.0 (compatible; {BOT})",
    "Accept": "image/jpeg,image/png,image/webp,image/*;q=0.8,*/*;q=0.5",
    "Accept-Encoding": "identity",
    # No second request on a connection: two names may share an address, but not a certificate.
    "Connection": "close",
}


PATIENCE = 16
"""After this many consecutive requests without an answer, or with a request to retry later, a host is given
up: each of its other links would wait as long and add to its load."""

OVERLOADED = {429, 503}
"""HTTP statuses by which a host (not just one of its photos) asks to retry later."""


def web_address(link: str, *, base: httpx.URL | None = None) -> httpx.URL:
    """Parse a link, relative to ``base`` if given; raises FetchError unless it is http or https."""
    try:
        url = base.join(link.strip()) if base else httpx.URL(link.strip())
    except (httpx.InvalidURL, ValueError):
        raise FetchError("not a web address") from None
    if url.scheme not in ("http", "https"):
        raise FetchError(f"not a web address ({url.scheme[:20] or 'no scheme'})")
    if not url.raw_host or not 0 < (url.port or 80) < 65536:
        raise FetchError("not a web address (no host, or no such port)")
    return url


def host_name(url: httpx.URL) -> str:
    """Return the host's name as it is sent; ``url.host`` would fail on damaged punycode."""
    return url.raw_host.decode("ascii")


class Host:
    """The state of one host: limits concurrent requests and spaces their starts."""

    def __init__(self, connections: int) -> None:
        self.slots = asyncio.Semaphore(connections)
        self.starting = asyncio.Lock()
        self.next_start = 0.0
        self.failures = 0
        """The number of consecutive failed requests; the last one failed for the reason ``trouble``."""
        self.trouble = ""

    def pause(self, until: float) -> None:
        """Start no request before that time of the event loop's clock."""
        self.next_start = max(self.next_start, until)

    def record(self, trouble: str) -> None:
        """Record the result of a request: why it failed, empty if it did not."""
        self.failures = self.failures + 1 if trouble else 0
        self.trouble = trouble

    def check_patience(self) -> None:
        """Raise FetchError if this host was given up; see :data:`PATIENCE`."""
        if self.failures >= PATIENCE:
            raise FetchError(f"{self.trouble}; its host was given up")


class Hosts:
    """Sends requests to hosts, with limited concurrency and only to public addresses.

    Must be closed. It uses httpx's transport, below its client, so there are no cookies, proxies, passwords
    or redirects to switch off. Other certificate authorities can be named in SSL_CERT_FILE.
    """

    def __init__(
        self,
        *,
        connections: int,
        connections_per_host: int,
        delay: float,
        timeout: float,
        resolve: Resolve,
        is_public: Callable[[str], bool],
    ) -> None:
        self.transport = httpx.AsyncHTTPTransport(
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=0)
        )
        self.slots = asyncio.Semaphore(connections)
        self.by_name: dict[str, Host] = defaultdict(lambda: Host(connections_per_host))
        self.delay = delay
        self.timeout = timeout
        self.resolve = resolve
        self.is_public = is_public

    async def aclose(self) -> None:
        """Close all connections."""
        await self.transport.aclose()

    @asynccontextmanager
    async def turn(self, host: Host, deadline: asyncio.Timeout) -> AsyncIterator[None]:
        """Wait for a slot at ``host``, then for one of all slots; ``deadline`` is paused meanwhile.

        Raises:
            FetchError: the host was given up, perhaps while this waited.
        """
        host.check_patience()
        now = asyncio.get_running_loop().time
        left = (deadline.when() or 0.0) - now()
        deadline.reschedule(None)
        async with host.slots:
            async with host.starting:
                host.check_patience()
                while (pause := host.next_start - now()) > 0:
                    await asyncio.sleep(pause)
                await self.slots.acquire()
                host.pause(until=now() + self.delay)
            try:
                deadline.reschedule(now() + left)
                yield
            finally:
                self.slots.release()

    @asynccontextmanager
    async def answer(self, link: httpx.URL) -> AsyncIterator[httpx.Response]:
        """Request ``link`` and yield the response; its body is read by :meth:`parts`.

        Raises:
            TryLaterError: no answer, or no valid HTTP response.
            FetchError: the host is unknown, not public, or cannot be reached with TLS.
        """
        host = self.by_name[host_name(link)]
        try:
            with self._faults():
                response = await self._ask(link)
        except TryLaterError as trouble:
            host.record(str(trouble))
            raise
        host.record(f"HTTP {response.status_code}" if response.status_code in OVERLOADED else "")
        try:
            yield response
        finally:
            # Errors on closing don't matter: the response has been received.
            with contextlib.suppress(Exception):
                await response.aclose()

    async def parts(self, response: httpx.Response) -> AsyncIterator[bytes]:
        """Yield the body of a response as it arrives.

        Raises:
            TryLaterError: the connection ended before the announced length.
            FetchError: the host requires a client certificate.
        """
        with self._faults():
            async for part in response.aiter_raw():
                yield part

    @contextmanager
    def _faults(self) -> Iterator[None]:
        """Turn every error of a request into one of ours.

        httpx has classes for the errors that it expects. TLS errors after the handshake, and errors of its
        components on unexpected responses, pass through it unchanged.
        """
        try:
            yield
        except FetchError:
            raise
        except httpx.TimeoutException:
            raise TryLaterError(f"timed out: nothing came for {self.timeout:g} s") from None
        except httpx.LocalProtocolError:
            raise FetchError("not a web address") from None
        except Exception as error:
            said = str(error)
            if "CERTIFICATE_VERIFY_FAILED" in said:
                raise FetchError("its certificate is not valid for this host") from None
            if "CERTIFICATE_REQUIRED" in said:
                raise FetchError("its host requires a client certificate") from None
            if _of_tls(error):
                raise TryLaterError("no secure connection") from None
            if isinstance(error, httpx.ConnectError):
                raise TryLaterError("no connection") from None
            if isinstance(error, httpx.TransportError | OSError):
                raise TryLaterError("connection broken off") from None
            raise FetchError(f"its answer cannot be read ({type(error).__name__})") from None

    async def _ask(self, link: httpx.URL) -> httpx.Response:
        name = host_name(link)
        addresses = await self._checked_addresses(name)
        for address in addresses:
            request = httpx.Request(
                "GET",
                # The connection goes to the address that was checked: the name is not resolved again. User
                # and password of a link are not sent.
                httpx.URL(scheme=link.scheme, host=address, port=link.port, raw_path=link.raw_path),
                headers={"Host": link.netloc.decode("ascii"), **HEADERS},
                extensions={
                    "timeout": httpx.Timeout(self.timeout).as_dict(),
                    "sni_hostname": name.rstrip("."),  # TLS asks for and verifies the name, not the address
                },
            )
            try:
                return await self.transport.handle_async_request(request)
            except (httpx.ConnectError, httpx.ConnectTimeout):
                if address == addresses[-1]:
                    raise
        raise FetchError("unknown host")

    async def _checked_addresses(self, name: str) -> list[str]:
        try:
            async with asyncio.timeout(self.timeout):
                addresses = await _in_daemon_thread(lambda: self.resolve(name))
        except TimeoutError:
            raise TryLaterError("timed out: no name server answered") from None
        except socket.gaierror as error:
            if error.errno == socket.EAI_AGAIN:
                raise TryLaterError("no name server answered") from None
            raise FetchError("unknown host") from None
        except (OSError, UnicodeError):
            raise FetchError("unknown host") from None
        if not all(self.is_public(address) for address in addresses):
            raise FetchError(f"not a public address: {name[:100]}")
        return addresses


def _of_tls(error: BaseException | None) -> bool:
    """Return whether ``error`` or one of its causes is a TLS error; a closed connection is none."""
    while error and not isinstance(error, ssl.SSLError):
        error = error.__cause__ or error.__context__
    return error is not None and not isinstance(error, ssl.SSLEOFError)


async def _in_daemon_thread(work: Callable[[], list[str]]) -> list[str]:
    """Run ``work`` in a daemon thread: an executor would wait at exit for a silent name server."""
    future: Future[list[str]] = Future()

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as error:
            future.set_exception(error)

    future.set_running_or_notify_cancel()
    threading.Thread(target=run, name="resolve", daemon=True).start()
    return await asyncio.wrap_future(future)

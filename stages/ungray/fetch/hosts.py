"""Asking hosts for what they hold: in turn, at a public address, with every fault named."""

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
    # Never a second request on one connection: two names may share an address, not a certificate.
    "Connection": "close",
}


PATIENCE = 16
"""After so many requests in a row that a host did not answer, or only with the wish to be asked later, it is
given up: its other links would each wait as long, and add to its load."""

WANTS_REST = {429, 503}
"""HTTP statuses by which a host, rather than one of its photos, says that it wants to be asked later."""


def web_address(link: str, *, base: httpx.URL | None = None) -> httpx.URL:
    """Read a link, such as a redirect from ``base``; raises FetchError unless it is http or https."""
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
    """Return the host's name as it goes over the wire; ``url.host`` would fail on damaged punycode."""
    return url.raw_host.decode("ascii")


class Host:
    """The turns at one host: so many requests at a time, their starts apart."""

    def __init__(self, connections: int) -> None:
        self.places = asyncio.Semaphore(connections)
        self.starting = asyncio.Lock()
        self.next_start = 0.0
        self.in_vain = 0
        """Requests in a row that came to nothing, for the reason ``trouble``."""
        self.trouble = ""

    def pause(self, until: float) -> None:
        """Start no request before that time of the event loop's clock."""
        self.next_start = max(self.next_start, until)

    def heard(self, trouble: str) -> None:
        """Take down what became of a request: why it came to nothing, empty if it did not."""
        self.in_vain = self.in_vain + 1 if trouble else 0
        self.trouble = trouble

    def check_patience(self) -> None:
        """Raise FetchError if this host was given up, see :data:`PATIENCE`."""
        if self.in_vain >= PATIENCE:
            raise FetchError(f"{self.trouble}; its host was given up")


class Hosts:
    """Sends requests to hosts, never too many at a time and only to public addresses.

    Close it in the end. It works below httpx's client, and so has no cookies, proxies, passwords or redirects
    that would have to be switched off; who else vouches for certificates can be named in SSL_CERT_FILE.
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
        self.places = asyncio.Semaphore(connections)
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
        """Wait for a place at ``host``, then for one of all; ``deadline`` stands still meanwhile.

        Raises:
            FetchError: the host was given up, perhaps while this waited.
        """
        host.check_patience()
        now = asyncio.get_running_loop().time
        left = (deadline.when() or 0.0) - now()
        deadline.reschedule(None)
        async with host.places:
            async with host.starting:
                host.check_patience()
                while (pause := host.next_start - now()) > 0:
                    await asyncio.sleep(pause)
                await self.places.acquire()
                host.pause(until=now() + self.delay)
            try:
                deadline.reschedule(now() + left)
                yield
            finally:
                self.places.release()

    @asynccontextmanager
    async def answer(self, link: httpx.URL) -> AsyncIterator[httpx.Response]:
        """Ask for ``link`` and yield the answer, its body still to be read by :meth:`parts`.

        Raises:
            TryLaterError: no answer, or none that HTTP knows.
            FetchError: no such host, not a public one, or one that TLS cannot be spoken with.
        """
        host = self.by_name[host_name(link)]
        try:
            with self._faults():
                response = await self._ask(link)
        except TryLaterError as trouble:
            host.heard(str(trouble))
            raise
        host.heard(f"HTTP {response.status_code}" if response.status_code in WANTS_REST else "")
        try:
            yield response
        finally:
            # However a host takes leave, what it sent is here by now.
            with contextlib.suppress(Exception):
                await response.aclose()

    async def parts(self, response: httpx.Response) -> AsyncIterator[bytes]:
        """Yield the body of an answer as it comes.

        Raises:
            TryLaterError: the connection broke off before the announced end.
            FetchError: the host wants a certificate of ours.
        """
        with self._faults():
            async for part in response.aiter_raw():
                yield part

    @contextmanager
    def _faults(self) -> Iterator[None]:
        """Turn whatever speaking with a host raises into an error of ours.

        httpx names the faults that it knows. TLS errors after the handshake, and what else its parts say of
        answers that nobody thought of, come through it as they are.
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
                raise FetchError("its host wants a certificate of ours") from None
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
                # The connection goes to the address that was checked: nothing looks up the name again. User
                # and password of a link stay behind.
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
    """Say whether ``error``, or what it was raised for, is one of TLS; a host that hung up made none."""
    while error and not isinstance(error, ssl.SSLError):
        error = error.__cause__ or error.__context__
    return error is not None and not isinstance(error, ssl.SSLEOFError)


async def _in_daemon_thread(work: Callable[[], list[str]]) -> list[str]:
    """Not in an executor: its end would wait for a name server that never answers."""
    future: Future[list[str]] = Future()

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as error:
            future.set_exception(error)

    future.set_running_or_notify_cancel()
    threading.Thread(target=run, name="resolve", daemon=True).start()
    return await asyncio.wrap_future(future)

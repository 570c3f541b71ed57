"""Fetches photos from the network, in parallel and politely. Nothing that is received is trusted.

Only public addresses are requested. A link's host is resolved here, all its addresses are checked, and the
connection goes to a checked address; the same holds for every redirect. Therefore proxies from the
environment are not used: they would resolve names themselves. SSL_CERT_FILE is honored.
"""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
import threading
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from queue import SimpleQueue
from typing import IO

import httpx
from tenacity import (
    AsyncRetrying,
    RetryCallState,
    retry_if_exception_type,
    stop_after_attempt,
    wait_exponential_jitter,
)

from ungray.errors import UngrayError
from ungray.fetch.acceptance import check_photo
from ungray.fetch.addresses import Resolve, is_public, look_up
from ungray.fetch.hosts import Hosts, host_name, web_address
from ungray.fetch.responses import FetchError, TryLaterError, body, check_status, opt_out
from ungray.imaging.decoding import Decoder
from ungray.imaging.photos import PhotoError
from ungray.system.files import sha256, whole_file
from ungray.system.limits import MAX_PIXELS

MAX_REDIRECTS = 5

LANES = 10
"""The number of photos in flight per connection; most of them wait for a name, a delay or another attempt."""

BACK_OFF = wait_exponential_jitter(multiplier=0.5, max=30, jitter=0.5)


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Limits on requests and photos.

    Attributes:
        connections: at most this many at a time.
        connections_per_host: at most this many at a time per host.
        delay: seconds between the starts of two requests to one host.
        attempts: per photo, including the first one.
        timeout: seconds without data after which an attempt is given up.
        deadline: seconds per photo in all, including decoding and the waits between attempts, but not the
            waits for its turn.
        max_bytes: a larger body is refused, compressed or not.
        max_pixels: a larger photo is refused.
        honor_opt_out: refuse photos whose host opts out.
    """

    connections: int
    connections_per_host: int
    delay: float
    attempts: int
    timeout: float
    deadline: float
    max_bytes: int
    max_pixels: int
    honor_opt_out: bool


ONE_PHOTO = Limits(
    connections=1,
    connections_per_host=1,
    delay=0.0,
    attempts=3,
    timeout=15.0,
    deadline=120.0,
    max_bytes=200_000_000,
    max_pixels=MAX_PIXELS,
    # Opt-outs are about collections that models are trained on; here one person views one photo.
    honor_opt_out=False,
)
"""The limits for a single photo that a person requests."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """The result of a link: the ``sha256`` of its photo, or the ``reason`` why there is none.

    The other one is empty. ``fetched_at`` is the time of the result in UTC, such as 2026-11-21T07:00:00Z.
    """

    url: str
    sha256: str = ""
    reason: str = ""
    fetched_at: str


Unwanted = Callable[[bytes, Decoder], str]
"""Takes the content of a photo's file and a decoder. Returns the checksum of the unwanted photo that this one
is a copy of, empty if it is none. A PhotoError refuses the photo."""


def blob_path(store: Path, sha256: str) -> Path:
    """Return the path in ``store`` of the photo with that checksum."""
    return store / sha256[:2] / sha256


def fetch_all(
    urls: Iterable[str],
    *,
    limits: Limits,
    store: Path,
    unwanted: Unwanted | None = None,
    resolve: Resolve = look_up,
    is_public: Callable[[str], bool] = is_public,
) -> Iterator[Outcome]:
    """Fetch ``urls`` in parallel and yield an outcome for each, in the order of completion.

    A fetched photo is stored unchanged at :func:`blob_path`; it has one of the formats of
    :mod:`ungray.imaging.photos` and was decoded completely. When the iterator is closed or interrupted, all
    downloads in flight are cancelled and leave nothing behind; what was yielded stays.

    Args:
        urls: the links, without duplicates.
        limits: see :class:`Limits`.
        store: the folder of fetched photos, created if needed.
        unwanted: called for each photo before it is stored. If it returns a checksum, the outcome has that
            one, and the photo is not stored.
        resolve: returns the IP addresses of a host name.
        is_public: whether an IP address may be requested; a host with any other address is refused.

    Raises:
        OSError: ``store`` cannot be written.
    """
    store.mkdir(parents=True, exist_ok=True)
    # The loop runs in its own thread: downloads continue while the caller processes an outcome.
    done: SimpleQueue[Outcome | None] = SimpleQueue()
    loop = asyncio.new_event_loop()
    work = loop.create_task(
        _fetch_all(
            list(urls),
            done.put,
            limits=limits,
            store=store,
            unwanted=unwanted,
            resolve=resolve,
            is_public=is_public,
        )
    )

    def run() -> None:
        try:
            loop.run_until_complete(asyncio.wait([work]))
            loop.run_until_complete(loop.shutdown_asyncgens())
        finally:
            loop.close()
            done.put(None)

    thread = threading.Thread(target=run, name="fetch", daemon=True)
    thread.start()
    try:
        while outcome := done.get():
            yield outcome
        work.result()
    finally:
        with contextlib.suppress(RuntimeError):  # the loop is closed: all is done
            loop.call_soon_threadsafe(work.cancel)
        thread.join()


def download(url: str, *, limits: Limits = ONE_PHOTO) -> bytes:
    """Return the content of the photo at ``url``; see :func:`fetch_all`.

    Raises:
        UngrayError: there is no photo; the message says why in a few words.
    """
    with tempfile.TemporaryDirectory(prefix="colorize-", ignore_cleanup_errors=True) as folder:
        (outcome,) = fetch_all([url], limits=limits, store=Path(folder))
        if outcome.reason:
            raise UngrayError(outcome.reason)
        return blob_path(Path(folder), outcome.sha256).read_bytes()


async def _fetch_all(
    urls: list[str],
    report: Callable[[Outcome], None],
    *,
    limits: Limits,
    store: Path,
    unwanted: Unwanted | None,
    resolve: Resolve,
    is_public: Callable[[str], bool],
) -> None:
    by_host: dict[str, deque[str]] = defaultdict(deque)
    for url in urls:
        by_host[_host(url)].append(url)

    open_lanes = asyncio.Semaphore(LANES * limits.connections)

    async def lane(waiting: deque[str]) -> None:
        while waiting:
            report(await fetcher.fetch(waiting.popleft()))
        open_lanes.release()

    # One process decodes one photo at a time, so only one decoded photo is in memory; a thread waits for it.
    decoder = Decoder()
    with ThreadPoolExecutor(1, "decode") as queue, contextlib.closing(decoder):
        async with contextlib.aclosing(
            Hosts(
                connections=limits.connections,
                connections_per_host=limits.connections_per_host,
                delay=limits.delay,
                timeout=limits.timeout,
                resolve=resolve,
                is_public=is_public,
            )
        ) as hosts:
            fetcher = _Fetcher(hosts, limits, store, unwanted, decoder, queue)
            try:
                async with asyncio.TaskGroup() as lanes:
                    # Hosts with the most photos first: one that is left alone at the end would take long.
                    for waiting in sorted(by_host.values(), key=len, reverse=True):
                        for _ in range(min(limits.connections_per_host, len(waiting))):
                            await open_lanes.acquire()
                            lanes.create_task(lane(waiting))
            except BaseExceptionGroup as group:
                raise group.exceptions[0] from None


def _host(url: str) -> str:
    try:
        return host_name(web_address(url))
    except FetchError:
        return ""


class _Fetcher:
    """Fetches single photos into ``store``; holds the state that all of them share."""

    def __init__(
        self,
        hosts: Hosts,
        limits: Limits,
        store: Path,
        unwanted: Unwanted | None,
        decoder: Decoder,
        queue: ThreadPoolExecutor,
    ) -> None:
        self.hosts = hosts
        self.limits = limits
        self.store = store
        self.unwanted = unwanted
        self.decoder = decoder
        self.queue = queue
        self.now = asyncio.get_running_loop().time

    async def fetch(self, url: str) -> Outcome:
        """Fetch one photo, with all its attempts."""
        checksum = reason = ""
        try:
            checksum = await self._with_retries(url)
        except FetchError as refusal:
            reason = str(refusal)
        moment = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        return Outcome(url=url, sha256=checksum, reason=reason, fetched_at=moment)

    async def _with_retries(self, url: str) -> str:
        def wait(state: RetryCallState) -> float:
            trouble = state.outcome and state.outcome.exception()
            asked = trouble.wait if isinstance(trouble, TryLaterError) else 0.0
            return max(asked, BACK_OFF(state))

        def stop(state: RetryCallState) -> bool:
            too_late = self.now() + state.upcoming_sleep >= (deadline.when() or 0.0)
            return too_late or stop_after_attempt(self.limits.attempts)(state)

        retrying = AsyncRetrying(
            retry=retry_if_exception_type(TryLaterError),
            wait=wait,
            stop=stop,
            sleep=asyncio.sleep,
            reraise=True,
        )
        try:
            async with asyncio.timeout(self.limits.deadline) as deadline:
                return await retrying(self._attempt, url, deadline)
        except TimeoutError:
            if not deadline.expired():
                raise  # it has another cause, such as a network drive
            raise FetchError(f"timed out: not done in {self.limits.deadline:g} s") from None

    async def _attempt(self, url: str, deadline: asyncio.Timeout) -> str:
        link = web_address(url)
        for _ in range(MAX_REDIRECTS + 1):
            host = self.hosts.by_name[host_name(link)]
            async with self.hosts.turn(host, deadline), self.hosts.answer(link) as response:
                try:
                    check_status(response)
                except TryLaterError as trouble:
                    # A wait within this photo's deadline pauses the whole host; a longer one only fails it.
                    if self.now() + trouble.wait < (deadline.when() or 0.0):
                        host.pause(until=self.now() + trouble.wait)
                    raise
                if self.limits.honor_opt_out and (wish := opt_out(response.headers)):
                    raise FetchError(f"its host opts out ({wish})")
                if not response.has_redirect_location:
                    return await self._keep(response, deadline)
                link = web_address(response.headers.get_list("Location")[0], base=link)
        raise FetchError(f"redirected more than {MAX_REDIRECTS} times")

    async def _keep(self, response: httpx.Response, deadline: asyncio.Timeout) -> str:
        # The file has no name: nothing can use it while it is incomplete, and a killed process leaves
        # nothing.
        with tempfile.TemporaryFile(dir=self.store) as received:
            parts = self.hosts.parts(response)
            async for part in body(response, parts, max_bytes=self.limits.max_bytes):
                received.write(part)
            # The remaining time is for decoding; the wait for the decoder does not count.
            left = max(0.0, (deadline.when() or 0.0) - self.now())
            deadline.reschedule(None)
            # The turn ends after the photo is checked, so that downloads do not outrun the decoder.
            run = asyncio.get_running_loop().run_in_executor
            return await run(self.queue, self._accept, received, left)

    def _accept(self, received: IO[bytes], seconds: float) -> str:
        received.seek(0)
        content = received.read()
        check_photo(content, max_pixels=self.limits.max_pixels, decoder=self.decoder, seconds=seconds)
        try:
            original = self.unwanted(content, self.decoder) if self.unwanted else ""
        except PhotoError as error:  # interrupted, or it cannot be compared
            raise FetchError(str(error)) from None
        if original:
            return original
        checksum = sha256(content)
        path = blob_path(self.store, checksum)
        if not path.exists():
            with whole_file(path) as partial:
                partial.write_bytes(content)
        return checksum

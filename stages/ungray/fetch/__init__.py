"""Fetching photos from the network, in parallel and politely: nothing that comes back is trusted.

Only public addresses are asked. A link's host is resolved here, every address it has is checked, and the
connection goes to the address that was checked, again at every redirect. For that reason proxies named in the
environment are not used: they would resolve names by themselves. SSL_CERT_FILE is honored.
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
from ungray.imaging.photos import MAX_PIXELS, PhotoError
from ungray.system.files import sha256, whole_file

MAX_REDIRECTS = 5

LANES = 10
"""Photos in work for each connection; most of them wait, for a name, a delay or a second attempt."""

BACK_OFF = wait_exponential_jitter(multiplier=0.5, max=30, jitter=0.5)


@dataclass(frozen=True, kw_only=True)
class Limits:
    """How hard to ask, and what is too much.

    ``connections`` at a time in all and ``connections_per_host``; ``delay`` seconds between the starts of two
    requests to one host. A photo gets ``attempts``, the first one included, each given up after ``timeout``
    seconds in which nothing came, and ``deadline`` seconds in all: decoding and the waits between attempts
    count, the waits for its turn do not. A body of more than ``max_bytes``, as it came or unpacked, and a
    photo of more than ``max_pixels`` are refused. ``honor_opt_out`` refuses what its host asks to leave out.
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
    # Those tags ask to be left out of collections that models learn from; here one person looks at one photo.
    honor_opt_out=False,
)
"""For a photo that a person asks for."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of a link: the ``sha256`` of its photo, or the ``reason`` why there is none.

    The other one is empty. ``fetched_at`` is the moment it was decided, in UTC, such as 2026-11-21T07:00:00Z.
    """

    url: str
    sha256: str = ""
    reason: str = ""
    fetched_at: str


Unwanted = Callable[[bytes, Decoder], str]
"""Takes a photo's file and what decodes it; returns the checksum it goes by instead, empty if none; may
raise a PhotoError, which refuses the photo."""


def blob_path(store: Path, sha256: str) -> Path:
    """Return where in ``store`` the photo of that checksum lies."""
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
    """Fetch ``urls`` in parallel and yield an outcome for each, in the order in which they are done.

    A fetched photo lies at :func:`blob_path` as it came; it has one of the formats of
    :mod:`ungray.imaging.photos` and was decoded to its end. When the iterator is closed, or Ctrl-C comes, all
    that is in flight is cancelled and leaves nothing behind; what was yielded stays.

    Args:
        urls: the links, each once.
        limits: see :class:`Limits`.
        store: the folder of fetched photos, made if needed.
        unwanted: is asked about each photo before it is kept. A checksum it returns is the outcome's, and
            nothing of the photo's own is kept.
        resolve: gives the IP addresses of a host name.
        is_public: says which IP addresses may be asked; a host with any other is refused.

    Raises:
        OSError: ``store`` cannot be written.
    """
    store.mkdir(parents=True, exist_ok=True)
    # The loop runs in a thread of its own: downloads go on while the caller is busy with an outcome.
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
    """Return the photo at ``url`` as it came; see :func:`fetch_all`.

    Raises:
        UngrayError: there is no photo to be had; a few words say why.
    """
    with tempfile.TemporaryDirectory(prefix="colorize-", ignore_cleanup_errors=True) as folder:
        (outcome,) = fetch_all([url], limits=limits, store=Path(folder))
        if outcome.reason:
            raise UngrayError(outcome.reason)
        return blob_path(Path(folder), outcome.sha256).read_bytes()


async def _fetch_all(
    urls: list[str],
    tell: Callable[[Outcome], None],
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
            tell(await fetcher.fetch(waiting.popleft()))
        open_lanes.release()

    # One process decodes, one photo at a time, so that memory holds one decoded photo; a thread waits for it.
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
                    # Those with the most photos first: one alone at the end would take long.
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
    """Fetches photos one by one into ``store``; what they share is here."""

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
        """Fetch one photo, with all attempts it may have."""
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
                raise  # of another origin, such as a network drive
            raise FetchError(f"timed out: not done in {self.limits.deadline:g} s") from None

    async def _attempt(self, url: str, deadline: asyncio.Timeout) -> str:
        link = web_address(url)
        for _ in range(MAX_REDIRECTS + 1):
            host = self.hosts.by_name[host_name(link)]
            async with self.hosts.turn(host, deadline), self.hosts.answer(link) as response:
                try:
                    check_status(response)
                except TryLaterError as trouble:
                    # A wait that this photo can afford goes for its whole host; a longer one is its own end.
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
        # The file has no name: nobody can take half a photo for a whole one, and a kill leaves nothing.
        with tempfile.TemporaryFile(dir=self.store) as received:
            parts = self.hosts.parts(response)
            async for part in body(response, parts, max_bytes=self.limits.max_bytes):
                received.write(part)
            # What is left of its time is for decoding; the wait for the decoder does not count.
            left = max(0.0, (deadline.when() or 0.0) - self.now())
            deadline.reschedule(None)
            # The turn ends when the photo is checked, so that downloads do not outrun the decoder.
            run = asyncio.get_running_loop().run_in_executor
            return await run(self.queue, self._accept, received, left)

    def _accept(self, received: IO[bytes], seconds: float) -> str:
        received.seek(0)
        content = received.read()
        check_photo(content, max_pixels=self.limits.max_pixels, decoder=self.decoder, seconds=seconds)
        try:
            instead = self.unwanted(content, self.decoder) if self.unwanted else ""
        except PhotoError as error:  # interrupted, or nobody knows what it shows
            raise FetchError(str(error)) from None
        if instead:
            return instead
        checksum = sha256(content)
        path = blob_path(self.store, checksum)
        if not path.exists():
            with whole_file(path) as partial:
                partial.write_bytes(content)
        return checksum

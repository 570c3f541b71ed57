"""Worker processes, in which visitors' photos are decoded and colored.

A photo may be made to cost gigabytes or minutes, or to crash its decoder. So each piece of work has limits on
time and memory, and its process may die: that costs one answer, and another process takes its place.
"""

from __future__ import annotations

import asyncio
import pickle
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from ungray.errors import UngrayError
from ungray.imaging.decoding import LimitedProcess
from ungray.imaging.photos import PhotoError

R = TypeVar("R")

LARGE = 12_000_000
"""Photos of more pixels than this are worked on one at a time, since each needs some hundred MB."""

WARM_UP_SECONDS = 120.0


class BusyError(UngrayError):
    """More is asked of the page than it can do at a time; the same request succeeds later."""

    def __init__(self, message: str = "the page is busy; try again in a moment") -> None:
        super().__init__(message)


class GoneError(UngrayError):
    """Nobody waits for the answer any more."""


@dataclass
class Affinity:
    """The number of the worker that knows a photo; -1 for none."""

    worker: int = -1


class Workers:
    """A fixed number of worker processes, and the queue of requests that wait for one."""

    def __init__(self, count: int, *, queue: int) -> None:
        """Start ``count`` processes; at most ``queue`` requests may wait for one."""
        self.queue = queue
        self._processes = [LimitedProcess() for _ in range(count)]
        self._idle: list[int] = []
        self._waiting: deque[asyncio.Future[int]] = deque()
        self._large = asyncio.Lock()
        self._waiting_large = 0
        self._stopped = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._warm_up: list[partial[Any]] = []
        self._errands: list[list[partial[Any]]] = [[] for _ in range(count)]
        """What each process has to do before the next request."""
        self._tasks: set[asyncio.Task[None]] = set()
        # One thread per process: it waits for the answer.
        self._threads = ThreadPoolExecutor(count, "worker")

    def start(self, warm_up: partial[Any]) -> asyncio.Future[list[None]]:
        """Take requests, in the running event loop; ``warm_up`` is the first work of every process.

        The future is done when all processes are warm.
        """
        self._loop, self._warm_up = asyncio.get_running_loop(), [warm_up]
        self._errands = [[warm_up] for _ in self._processes]
        return asyncio.gather(*map(self._run_errands, range(len(self._processes))))

    def everywhere(self, work: partial[Any]) -> None:
        """Have every process do ``work(b"")`` before the next request; any thread may call it.

        Nobody waits for that, nor hears of it. A process that is replaced has nothing to do.
        """
        if self._loop and not self._stopped:
            with suppress(RuntimeError):  # the loop is closed
                self._loop.call_soon_threadsafe(self._plan, work)

    def _plan(self, work: partial[Any]) -> None:
        for errands in self._errands:
            errands.append(work)
        idle, self._idle = self._idle, []
        for number in idle:
            self._give(number)

    async def run(
        self,
        work: partial[R],
        content: bytes = b"",
        *,
        seconds: float,
        pixels: int = 0,
        affinity: Affinity,
        wanted: Callable[[], Awaitable[bool]],
    ) -> R:
        """Return ``work(content)``, done in a worker process.

        Args:
            work: a function of :mod:`ungray.page.coloring` with all its arguments but the last.
            content: a photo's file, or nothing.
            seconds: the time limit; waiting for a worker does not count.
            pixels: the number of pixels that are decoded.
            affinity: the preferred worker; set to the one that does the work.
            wanted: asked when the turn has come: whether somebody still waits for the answer.

        Raises:
            BusyError: too many requests wait already.
            GoneError: the answer was no longer wanted when the turn came.
            PhotoError: it took too much time or memory, or the worker died.
            Exception: whatever ``work`` raises.
        """
        async with self._turn(pixels), self._worker(affinity) as number:
            if not await wanted():
                raise GoneError("nobody waits for this answer")
            done, result = await self._ask(number, work, content, seconds)
        if not done:
            raise result
        return result

    def stop(self) -> None:
        """Kill all processes, also busy ones; nothing more is done. Any thread may call it."""
        self._stopped = True
        for process in self._processes:
            process.kill("stopped")

    def close(self) -> None:
        """Stop, and wait until the processes are gone."""
        self.stop()
        self._threads.shutdown()
        for process in self._processes:
            process.close()

    async def _ask(self, number: int, work: partial[Any], content: bytes, seconds: float) -> tuple[bool, Any]:
        """Return whether ``work`` succeeded, and what it returned or raised; replace a process that died."""
        request, loop = pickle.dumps(work), asyncio.get_running_loop()
        for is_last in (False, True):
            if not self._processes[number].is_alive():  # killed while it was idle
                self._replace(number)
            ask = partial(self._processes[number].ask, request, content, seconds=seconds)
            try:
                return pickle.loads(await loop.run_in_executor(self._threads, ask))
            except BaseException as error:
                # Without an answer, whatever the reason, it can work no more.
                self._replace(number)
                began = isinstance(error, PhotoError) or not isinstance(error, UngrayError)
                if began or is_last or self._stopped:
                    raise
        raise AssertionError("unreachable")

    def _replace(self, number: int) -> None:
        if not self._stopped:
            self._processes[number].close()
            self._processes[number] = LimitedProcess()

    def _run_errands(self, number: int) -> asyncio.Task[None]:
        """Have a process that is not idle do its errands; then it is."""

        async def run() -> None:
            while self._errands[number]:
                with suppress(UngrayError):  # the photos will say it
                    await self._ask(number, self._errands[number].pop(0), b"", WARM_UP_SECONDS)
            self._give(number)

        task = asyncio.get_running_loop().create_task(run())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _demand_room(self) -> None:
        if self._waiting_large + len(self._waiting) >= self.queue:
            raise BusyError

    @asynccontextmanager
    async def _turn(self, pixels: int) -> AsyncIterator[None]:
        """Wait until no other large photo is worked on, if this is one."""
        if pixels <= LARGE:
            yield
            return
        if self._large.locked():
            self._demand_room()
        self._waiting_large += 1
        try:
            await self._large.acquire()
        finally:
            self._waiting_large -= 1
        try:
            yield
        finally:
            self._large.release()

    @asynccontextmanager
    async def _worker(self, affinity: Affinity) -> AsyncIterator[int]:
        """Yield the number of a worker that is idle: the preferred one if it is."""
        if self._idle:
            # Else the one that has been idle for longest: the photos that it knows are the least recent.
            number = affinity.worker if affinity.worker in self._idle else self._idle[0]
            self._idle.remove(number)
        else:
            self._demand_room()
            turn = asyncio.get_running_loop().create_future()
            self._waiting.append(turn)
            try:
                number = await turn
            except asyncio.CancelledError:
                if turn.done() and not turn.cancelled():
                    self._give(turn.result())
                raise
        affinity.worker, process = number, self._processes[number]
        try:
            yield number
        finally:
            if self._processes[number] is not process:
                self._errands[number] = [*self._warm_up]
            self._give(number)

    def _give(self, number: int) -> None:
        """Let a worker do its errands, then give it to the request that waits longest; else it is idle."""
        if self._errands[number] and not self._stopped:
            self._run_errands(number)
            return
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                return turn.set_result(number)
        self._idle.append(number)

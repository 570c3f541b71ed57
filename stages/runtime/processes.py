"""Maps a function over photos: in this process, in other ones, or on the workers of a Dask scheduler."""

from __future__ import annotations

import multiprocessing
import os
import signal
import statistics
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from itertools import islice
from typing import Any, Protocol, TypeVar

import cv2

from stages.runtime import scheduler
from ungray.errors import UngrayError
from ungray.imaging import decoding
from ungray.system.cgroups import cores
from ungray.system.progress import Bar
from ungray.system.terminal import take_charge

T = TypeVar("T")
R = TypeVar("R")

FIRST = 16
FIRST_SECONDS = 0.1
"""The first items, at most this many and for about this long, are processed in this process: their time
predicts that of the others."""

START_SECONDS = 1.0
"""What starting processes costs; they are started if they save more than that."""

CHUNK_SECONDS = 0.1
"""Items are sent to a process in chunks of about this much work."""

AHEAD = 4
"""Number of chunks in flight per process: no process waits for work, and results don't pile up in memory."""

Workers = int | str
"""The number of processes of this machine, 0 for one per core, or the address of a Dask scheduler."""


class Chunk(Protocol):
    """The results of a chunk, as a future provides them."""

    def result(self) -> list[Any]:
        """Wait for the results and return them."""

    def cancel(self) -> object:
        """Cancel the work unless it has started."""


def map_photos(
    work: Callable[[T], R], items: Sequence[T], *, workers: Workers, title: str, unit: str = "photo"
) -> Iterator[R]:
    """Yield ``work(item)`` for every item, in the order of ``items``, and show the progress.

    ``work`` must be picklable. For a bad photo it must return an error instead of raising one. The first few
    items are processed in this process, and so are the others if starting processes would cost more than it
    saves. With a scheduler, all but the first few items go to its workers.

    Raises:
        UngrayError: a worker died, or the scheduler cannot be used.
    """
    workers = workers or cores()
    with Bar(total=len(items), desc=title, unit=unit) as bar:
        for result in _map(work, items, workers=workers, title=title):
            bar.update()
            yield result


def _map(work: Callable[[T], R], items: Sequence[T], *, workers: Workers, title: str) -> Iterator[R]:
    durations: list[float] = []
    for item in items[:FIRST]:
        if len(durations) > 2 and sum(durations) > FIRST_SECONDS:
            break
        start = time.perf_counter()
        result = work(item)
        durations.append(time.perf_counter() - start)
        yield result
    rest = items[len(durations) :]
    if not rest:
        return
    seconds = statistics.median(durations)  # the first item also pays for lazy imports
    if isinstance(workers, str):
        with scheduler.connected(workers, title=title) as (pool, slots):
            yield from _in_order(pool.submit, work, rest, seconds=seconds, slots=slots)
        return
    if seconds * len(rest) * (1 - 1 / workers) < START_SECONDS:
        yield from map(work, rest)
        return
    # Not fork: a forked child inherits the locks of OpenCV's and torch's threads and can hang.
    context = multiprocessing.get_context("spawn")
    others = set(multiprocessing.active_children())
    try:
        with ProcessPoolExecutor(workers, mp_context=context, initializer=_start_worker) as processes:
            try:
                yield from _in_order(partial(_submit, processes), work, rest, seconds=seconds, slots=workers)
            except (KeyboardInterrupt, GeneratorExit):
                # Don't wait for the photos in flight: one that hangs in its decoder would take a minute.
                for process in set(multiprocessing.active_children()) - others:
                    process.terminate()
                raise
    except BrokenProcessPool:
        raise UngrayError(
            f"{title}: a worker process died, most likely out of memory; lower machine.workers"
        ) from None


def _in_order(
    submit: Callable[[Callable[[T], R], Sequence[T]], Chunk],
    work: Callable[[T], R],
    items: Sequence[T],
    *,
    seconds: float,
    slots: int,
) -> Iterator[R]:
    """Yield the results in order; an item takes about ``seconds``, and ``slots`` items run at once."""
    size = max(1, min(round(CHUNK_SECONDS / seconds), len(items) // (4 * slots)))
    chunks = (items[start : start + size] for start in range(0, len(items), size))
    waiting = deque(submit(work, chunk) for chunk in islice(chunks, AHEAD * slots))
    try:
        while waiting:
            results = waiting[0].result()
            waiting.popleft()
            waiting.extend(submit(work, chunk) for chunk in islice(chunks, 1))
            yield from results
    finally:
        for chunk in waiting:
            chunk.cancel()


def _submit(processes: ProcessPoolExecutor, work: Callable[[T], R], items: Sequence[T]) -> Chunk:
    return processes.submit(_each, work, items)


def _each(work: Callable[[T], R], items: Sequence[T]) -> list[R]:
    return [work(item) for item in items]


def _start_worker() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is handled by the parent, which ends its workers
    signal.signal(signal.SIGTERM, _end_worker)
    take_charge()
    cv2.setNumThreads(1)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """End this worker when its parent was killed: it holds both ends of the queue, which would never end."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    _end_worker()


def _end_worker(*about: object) -> None:
    decoding.stop()  # first: else its decoding process would be orphaned
    os._exit(128 + signal.SIGTERM)

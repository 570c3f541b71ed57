"""Where photo work runs: in this process, or in processes of this machine."""

from __future__ import annotations

import multiprocessing
import os
import signal
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

import cv2
from tqdm import tqdm

from stages.errors import UngrayError

T = TypeVar("T")
R = TypeVar("R")

FIRST = 16
FIRST_SECONDS = 0.1
"""So many items, or fewer if they take longer, are worked on right here: they tell what the others cost."""

START_SECONDS = 1.0
"""What starting processes costs; they are started where they save more than that."""

CHUNK_SECONDS = 0.1
"""Items go to a process in chunks of about so much work."""


def cores() -> int:
    """Return the number of cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def map_photos(
    work: Callable[[T], R], items: Sequence[T], *, workers: int, title: str, unit: str = "photo"
) -> Iterator[R]:
    """Yield ``work(item)`` for every item, in the order of ``items``, with a progress bar on a terminal.

    ``work`` must be a function that can be pickled and must not raise for a bad photo but return what is
    wrong with it. ``workers`` is the number of processes, 0 for one per core; where they would cost more than
    they save, all is done right here.
    """
    workers = workers or cores()
    with tqdm(total=len(items), desc=title, unit=unit, disable=None) as bar:
        for result in _map(work, items, workers=workers, title=title):
            bar.update()
            yield result


def _map(work: Callable[[T], R], items: Sequence[T], *, workers: int, title: str) -> Iterator[R]:
    taken: list[float] = []
    for item in items[:FIRST]:
        if len(taken) > 2 and sum(taken) > FIRST_SECONDS:
            break
        start = time.perf_counter()
        result = work(item)
        taken.append(time.perf_counter() - start)
        yield result
    rest = items[len(taken) :]
    if not rest:
        return
    seconds = statistics.median(taken)  # the first one also loads what is loaded when needed
    if seconds * len(rest) * (1 - 1 / workers) < START_SECONDS:
        yield from map(work, rest)
        return
    chunk = max(1, min(round(CHUNK_SECONDS / seconds), len(rest) // (4 * workers)))
    # Not fork: a forked child inherits the locks of OpenCV's and torch's threads and can hang.
    context = multiprocessing.get_context("spawn")
    try:
        with ProcessPoolExecutor(workers, mp_context=context, initializer=_start_worker) as pool:
            yield from pool.map(work, rest, chunksize=chunk)
    except BrokenProcessPool:
        raise UngrayError(
            f"{title}: a worker process died, most likely for want of memory; lower machine.workers"
        ) from None


def _start_worker() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which ends its workers
    cv2.setNumThreads(1)

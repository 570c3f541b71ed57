"""Work for the workers of a scheduler, which import it by name, and the switch that kills one of them."""

import os
import resource
import signal
import time
from functools import partial
from pathlib import Path

import numpy as np

from stages.runtime import processes
from stages.runtime.processes import map_photos
from ungray.errors import UngrayError


def process(number: int) -> tuple[int, int]:
    """Return the number and who worked on it."""
    return number, os.getpid()


def slow(number: int) -> tuple[int, int]:
    """Return the same, after a while."""
    time.sleep(0.05)
    return process(number)


def page_faults(number: int) -> tuple[int, int]:
    """Return who took 2 MiB and gave them back, often, and how many pages the kernel cleared for that."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(16):
        np.ones(2 << 20, dtype=np.uint8)  # 512 pages; of larger arrays NumPy asks for huge pages
    return os.getpid(), resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


def kill_at(work, fatal, marker: Path | None, item):
    """Do ``work``, and when it is done on the item ``fatal``, die before anybody hears of it.

    Only the first time, which ``marker`` notes, or every time where that is None.
    """
    result = work(item)
    if item == fatal and not (marker and marker.exists()):
        if marker:
            marker.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return result


def deadly(marker: Path, *, fatal: int = -4):
    """Return a ``map_photos`` whose worker dies, once, with the result of the item at place ``fatal``."""

    def mapped(work, items, **options):
        if not items:  # as of photos that must be prepared again
            return iter(())
        assert (
            len(items) > processes.FIRST - fatal
        )  # the first items are worked on in the process of the test
        return map_photos(partial(kill_at, work, items[fatal], marker), items, **options)

    return mapped


def refuse(number: int) -> int:
    """Raise the error of a photo that cannot be worked on."""
    raise UngrayError(f"t: a photo fails, number {number}")

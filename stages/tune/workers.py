"""Worker processes of this machine, which do the trials of one study side by side."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence

from stages.tune.run import POLL_SECONDS, finished
from stages.tune.trial import Search
from ungray.errors import UngrayError


def run_workers(search: Search, workers: int, told: Callable[[], None]) -> None:
    """Start ``workers`` processes that do trials; call ``told`` now and then until all slots are done.

    A worker stops, after saving, when its standard input ends: when this process is interrupted, or dies.

    Raises:
        KeyboardInterrupt: stopped, after the workers have saved their trials.
        UngrayError: workers died and left trials undone.
    """
    command = [sys.executable, "-m", "stages.tune", "worker", search.study.study_name]
    processes = [
        # A session of its own: Ctrl-C is for this process, which tells the workers once.
        subprocess.Popen([*command, str(number), str(workers)], stdin=subprocess.PIPE, start_new_session=True)
        for number in range(workers)
    ]
    try:
        while any(process.poll() is None for process in processes):
            time.sleep(POLL_SECONDS)
            told()
    finally:
        stop(processes)
    told()
    if not finished(search):
        codes = ", ".join(str(process.returncode) for process in processes)
        raise UngrayError(
            f"tune: the workers ended (exit codes {codes}) before all trials were done; start it again, it "
            "goes on; -9 means most likely that memory ran out: take fewer --workers"
        )


def stop(processes: Sequence[subprocess.Popen[bytes]]) -> None:
    """End the workers' standard input and wait until they have saved what they were doing."""
    for process in processes:
        if process.stdin:
            process.stdin.close()
    for process in processes:
        process.wait()


def become_worker(number: int, workers: int) -> None:
    """Make this process worker ``number`` of ``workers``: it has its share of the cores, and its leader."""
    if hasattr(os, "sched_setaffinity"):
        available = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, available[number::workers] or [available[number % len(available)]])
    threading.Thread(target=_follow_the_leader, daemon=True).start()


def _follow_the_leader() -> None:
    os.read(0, 1)  # sys.stdin would be locked by this thread when the process ends
    os.kill(os.getpid(), signal.SIGINT)

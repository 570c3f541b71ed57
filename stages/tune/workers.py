"""Worker processes on this machine that run the trials of one study in parallel."""

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
    """Start ``workers`` processes that run trials; call ``told`` repeatedly until all slots are done.

    A worker saves and stops when its standard input ends, because this process was interrupted or died.

    Raises:
        KeyboardInterrupt: the search was stopped, after the workers have saved their trials.
        UngrayError: workers died before all trials were done.
    """
    command = [sys.executable, "-m", "stages.tune", "worker", search.study.study_name]
    processes = [
        # In its own session: Ctrl-C then reaches only this process, which stops the workers once.
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
            f"tune: the workers ended (exit codes {codes}) before all trials were done; start it again to "
            "resume; -9 most likely means that memory ran out: use fewer --workers"
        )


def stop(processes: Sequence[subprocess.Popen[bytes]]) -> None:
    """Close the workers' standard input and wait until they have saved their work."""
    for process in processes:
        if process.stdin:
            process.stdin.close()
    for process in processes:
        process.wait()


def become_worker(number: int, workers: int) -> None:
    """Make this process worker ``number`` (from 0) of ``workers``: it uses its share of the cores.

    It is interrupted when the process that started it closes its standard input.
    """
    if hasattr(os, "sched_setaffinity"):
        available = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, available[number::workers] or [available[number % len(available)]])
    threading.Thread(target=_follow_the_leader, daemon=True).start()


def _follow_the_leader() -> None:
    os.read(0, 1)  # not sys.stdin, which this thread would hold locked when the process ends
    os.kill(os.getpid(), signal.SIGINT)

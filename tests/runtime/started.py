"""A scheduler and workers as processes of their own, started by their commands."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from distributed import Client

ROOT = Path(__file__).parents[2]
SECONDS = 60
"""How long a process that was started is waited for, also on a machine that does much else."""


@contextmanager
def started(*command: str, folder: Path, **environment: str) -> Iterator[None]:
    """Run ``dask command`` in ``folder``; end it by Ctrl-C."""
    log = (folder / "dask.log").open("ab")
    variables = os.environ | {"PYTHONPATH": f"{ROOT}:{os.environ.get('PYTHONPATH', '')}"} | environment
    process = subprocess.Popen(
        [sys.executable, "-m", "dask", *command], cwd=folder, env=variables, stdout=log, stderr=log
    )
    try:
        yield
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        log.close()


@contextmanager
def scheduler(folder: Path, *options: str, **environment: str) -> Iterator[str]:
    """Start a scheduler on any free port; yield its address."""
    found = folder / f"scheduler{len(list(folder.glob('scheduler*')))}.json"
    options = ("--port", "0", "--no-dashboard", "--scheduler-file", str(found), *options)
    with started("scheduler", *options, folder=folder, **environment):
        end = time.monotonic() + SECONDS
        while True:
            try:
                address = json.loads(found.read_text())["address"]
                break
            except (FileNotFoundError, json.JSONDecodeError):
                assert time.monotonic() < end, (folder / "dask.log").read_text()
                time.sleep(0.1)
        yield address


@contextmanager
def workers(address: str, folder: Path, *options: str, there: int, **environment: str) -> Iterator[None]:
    """Start workers in ``folder``; yield when so many are there in all."""
    options = ("--nthreads", "1", "--no-dashboard", "--local-directory", str(folder / "spill"), *options)
    with started("worker", address, *options, folder=folder, **environment):
        with Client(address, set_as_default=False) as client:
            client.wait_for_workers(there, timeout=SECONDS)
        yield

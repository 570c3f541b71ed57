"""Schedulers and workers on loopback, started by their commands in a folder that they and the tests share."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import dask.config
import pytest
import trustme
from distributed import Client

ROOT = Path(__file__).parents[2]
SECONDS = 60
"""How long a process that was started is waited for, also on a machine that does much else."""


@contextmanager
def started(*command: str, folder: Path, **environment: str):
    """Run ``dask command`` in ``folder``; end it by Ctrl-C."""
    log = (folder / "dask.log").open("ab")
    environment = os.environ | {"PYTHONPATH": f"{ROOT}:{os.environ.get('PYTHONPATH', '')}"} | environment
    process = subprocess.Popen(
        [sys.executable, "-m", "dask", *command], cwd=folder, env=environment, stdout=log, stderr=log
    )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        log.close()


@contextmanager
def scheduler(folder: Path, *options: str, **environment: str):
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
def workers(address: str, folder: Path, *options: str, there: int, **environment: str):
    """Start workers in ``folder``; yield when so many are there in all."""
    options = ("--nthreads", "1", "--no-dashboard", "--local-directory", str(folder / "spill"), *options)
    with started("worker", address, *options, folder=folder, **environment):
        with Client(address, set_as_default=False) as client:
            client.wait_for_workers(there, timeout=SECONDS)
        yield


@pytest.fixture(scope="module")
def shared(prepared, tmp_path_factory) -> Path:
    """The folder of a repository with the sample's photos in it."""
    top = tmp_path_factory.mktemp("shared")
    shutil.copytree(prepared.parent / "raw", top / "data/raw")
    shutil.copy(prepared.parent / "manifest.csv", top / "data")
    return top


@pytest.fixture(scope="module")
def address(shared) -> str:
    """A scheduler with two workers in ``shared``."""
    with (
        # Two workers may die over the same photos, not four as Dask has it: that takes half as long.
        scheduler(
            shared, "--host", "127.0.0.1", DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES="1"
        ) as address,
        workers(address, shared, "--nworkers", "2", there=2),
    ):
        yield address


@pytest.fixture(autouse=True)
def in_shared(shared, monkeypatch):
    """Work where the workers do."""
    monkeypatch.chdir(shared)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory) -> dict[str, str]:
    """Where Dask's configuration finds an authority and a certificate, key by key."""
    folder = tmp_path_factory.mktemp("certificates")
    authority = trustme.CA()
    authority.cert_pem.write_to_path(folder / "ca.pem")
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(folder / "own.pem")
    roles = {f"{role}.cert": str(folder / "own.pem") for role in ("client", "scheduler", "worker")}
    found = {"ca-file": str(folder / "ca.pem"), **roles}
    return {f"distributed.comm.tls.{key}": value for key, value in found.items()}


def as_environment(configuration: dict[str, str]) -> dict[str, str]:
    """Return Dask's configuration as variables of the environment."""
    return {
        "DASK_" + key.upper().replace(".", "__").replace("-", "_"): value
        for key, value in configuration.items()
    }


@pytest.fixture
def configured(certificates):
    """This process has the certificates."""
    with dask.config.set(certificates):
        yield

"""Photo work on the workers of a Dask scheduler, on this machine or on others that share its file system.

Everybody who can connect to a scheduler or a worker can run code there. So tcp:// is allowed only for
loopback addresses. All others need tls:// with certificates, which Dask takes from its own configuration:
https://distributed.dask.org/en/stable/tls.html.
"""

from __future__ import annotations

import ipaddress
import logging
import pickle
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from uuid import uuid4

from stages.runtime.worker import Environment, mismatch, work_on
from ungray.errors import UngrayError
from ungray.system.terminal import say

if TYPE_CHECKING:
    from distributed import Client, Future, Security

CONNECT_SECONDS = 10
WORKERS_SECONDS = 30
"""How long to wait for a scheduler, and then for its first worker."""

CHECK_SECONDS = 5
"""The time between two checks, while waiting for a result, of whether there are still workers."""


class Chunk:
    """Work that was sent to a worker."""

    def __init__(self, pool: Pool, future: Future) -> None:
        self._pool, self._future = pool, future

    def result(self) -> list[Any]:
        """Wait for the results and return them.

        Raises:
            UngrayError: scheduler or workers are gone, or a worker's environment does not match.
        """
        from distributed import CancelledError, KilledWorker

        pool = self._pool
        try:
            failure = self._failure()
            if failure is None:
                return self._future.result()
        except (CancelledError, OSError) as error:
            failure = error
        match failure:
            case CancelledError() | OSError() if self._future.status != "error":
                reason = f"{pool.address} is gone; start the scheduler and its workers, then run this again"
            case KilledWorker():
                reason = (
                    f"{failure.allowed_failures + 1} workers died over the same photos, most likely out of "
                    "memory; start fewer per machine (--nworkers), or allow each more (--memory-limit)"
                )
            case ImportError() | AttributeError():
                reason = f"a worker of {pool.address} cannot run this code ({failure}); {pool.how_to_start}"
            case _:
                raise failure
        raise UngrayError(f"{pool.title}: {reason}") from None

    def _failure(self) -> BaseException | None:
        """Wait while there are workers; return the error of the work, None if it succeeded."""
        while True:
            try:
                return self._future.exception(timeout=CHECK_SECONDS)
            except TimeoutError:
                self._pool.await_workers()

    def cancel(self) -> None:
        """Cancel the work unless a worker has started it."""
        self._future.cancel()


class Pool:
    """The workers of one scheduler, for the duration of one :func:`connected`."""

    def __init__(self, client: Client, address: str, *, title: str) -> None:
        self._client, self.address, self.title = client, address, title
        self.how_to_start = (
            f"start workers by `dask worker {address} --nthreads 1 --nworkers 2` in {Path.cwd()}, with this "
            "repository's environment, and restart them after its code has changed"
        )
        self._here: Environment | None = None

    def await_workers(self) -> dict[str, int]:
        """Wait for a worker; return the number of threads of each worker by address.

        Raises:
            UngrayError: there is none after :data:`WORKERS_SECONDS`.
        """
        end, no_worker = time.monotonic() + WORKERS_SECONDS, f"{self.title}: {self.address} has no worker"
        if not (threads := self._client.nthreads()):
            say(f"{no_worker}; waiting up to {WORKERS_SECONDS} s for one")
        while not threads:
            if time.monotonic() > end:
                raise UngrayError(f"{no_worker}; {self.how_to_start}")
            time.sleep(0.2)
            threads = self._client.nthreads()
        return dict(threads)

    def verify(self, here: Environment) -> int:
        """Check that the environment of every worker is ``here``; return their total number of threads.

        Raises:
            UngrayError: an environment differs, there is no worker, or an address is open to the network.
        """
        self._check_is_safe(self._client.scheduler_info(n_workers=0)["address"])
        threads = self.await_workers()
        for address in threads:
            self._check_is_safe(address)
        self._here = here
        for worker, found in sorted(self._client.run(mismatch, here, on_error="return").items()):
            if isinstance(found, (ImportError, AttributeError)):
                found = f"cannot run this code ({found})"
            if isinstance(found, Exception):
                continue  # the worker has just ended, or each chunk will report the error
            if found:
                raise UngrayError(f"{self.title}: worker {worker} {found}; {self.how_to_start}")
        return sum(threads.values())

    def _check_is_safe(self, address: str) -> None:
        if not _is_safe(address):
            raise UngrayError(
                f"{self.title}: {address}, of the scheduler {self.address}, is open to the network, and "
                "anyone who can connect to it can run code there; start scheduler and workers with "
                "`--host 127.0.0.1`, or use tls://"
            )

    def submit(self, work: Callable[[Any], Any], items: Sequence[Any]) -> Chunk:
        """Send ``work`` on all ``items`` to a worker."""
        # Pickled here: Dask doesn't inspect it, and a worker checks its environment before it unpickles.
        future = self._client.submit(
            work_on, pickle.dumps((work, items)), self._here, key=f"{self.title}-{uuid4().hex}", pure=False
        )
        return Chunk(self, future)


@contextmanager
def connected(address: str, *, title: str) -> Iterator[tuple[Pool, int]]:
    """Yield the workers of the Dask scheduler at ``address``, and how many items they can process at once.

    Raises:
        UngrayError: the address is unsafe, nothing answers there, or a worker has another folder or code.
    """
    check_address(address)
    try:
        from distributed import Client, Security
    except ImportError:
        way_out = "`pip install -e '.[cluster]'`, or set it to \"\""
        raise UngrayError(f"machine.scheduler needs Dask: {way_out}") from None
    security = Security()
    _check_security(security, encrypted=address.startswith("tls:"))
    token = Path(".cache/scheduler") / uuid4().hex
    token.parent.mkdir(parents=True, exist_ok=True)
    for name in ("distributed", "distributed.client", "tornado.application"):  # our errors say it better
        logging.getLogger(name).setLevel(logging.CRITICAL)
    warnings.filterwarnings("ignore", "coroutine 'Future\\._", RuntimeWarning)  # Ctrl-C inside of Dask
    try:
        client = Client(address, security=security, timeout=CONNECT_SECONDS, set_as_default=False)
    except OSError as error:
        raise UngrayError(
            f"{title}: no Dask scheduler answers at {address} ({_reason(error)}); start one, or set "
            'machine.scheduler to ""'
        ) from None
    try:
        pool = Pool(client, address, title=title)
        token.write_text(token.name)
        yield pool, pool.verify(Environment.here(token))
    finally:
        token.unlink(missing_ok=True)
        with suppress(Exception):  # of a connection that breaks, Tornado raises anything
            client.close()  # this also cancels all work that has not started


def check_address(address: str) -> None:
    """Raise an UngrayError unless ``address`` is tls://host:port, or tcp:// with a loopback address."""
    try:
        parts = urlsplit(address)
        valid = parts.scheme in ("tcp", "tls") and parts.hostname and parts.port and not parts.path
    except ValueError:
        valid = False
    if not valid:
        raise UngrayError(
            f"machine.scheduler: {address} is not the address of a Dask scheduler; write "
            "tcp://127.0.0.1:8786 for this machine, tls://HOST:8786 for another one"
        )
    if not _is_safe(address):
        raise UngrayError(
            f"machine.scheduler: {address} is not limited to this machine, and anyone who can connect to a "
            "scheduler can run code there; use tls:// with certificates (stages/runtime/README.md)"
        )


def _is_safe(address: str) -> bool:
    parts = urlsplit(address)
    if parts.scheme == "tls" or parts.hostname == "localhost":
        return True
    try:
        return ipaddress.ip_address(parts.hostname or "").is_loopback
    except ValueError:
        return False


def _check_security(security: Security, *, encrypted: bool) -> None:
    """Raise an UngrayError unless Dask's configuration allows tcp://, or has certificates for tls://."""
    if not encrypted:
        if security.require_encryption:
            raise UngrayError("machine.scheduler: Dask's configuration requires encryption; use tls://")
        return
    names = "distributed.comm.tls.ca-file, client.cert and client.key"
    try:
        found = security.get_connection_args("client")["ssl_context"]
    except OSError as error:
        raise UngrayError(
            "machine.scheduler: the certificates that Dask's configuration names cannot be read "
            f"({_reason(error)}); fix {names}"
        ) from None
    if found is None:
        raise UngrayError(
            f"machine.scheduler: tls:// needs certificates, which Dask's configuration does not name; set "
            f"{names} (stages/runtime/README.md)"
        )


def _reason(error: BaseException) -> str:
    """Return the root cause of an error on one line."""
    while error.__cause__:
        error = error.__cause__
    return " ".join(str(error).split()) or type(error).__name__

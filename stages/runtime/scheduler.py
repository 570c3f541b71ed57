"""Photo work on the workers of a Dask scheduler, of this machine or of others that share its file system.

Whoever reaches a scheduler or a worker can run code there. So tcp:// is for addresses that only this machine
reaches, and all else wants tls:// with certificates, which Dask takes from its own configuration:
https://distributed.dask.org/en/stable/tls.html.
"""

from __future__ import annotations

import ipaddress
import logging
import pickle
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
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
"""How long a scheduler, and then its first worker, is waited for."""

LOOK_SECONDS = 5
"""So often, while a result is awaited, somebody looks whether there still are workers."""


class Chunk:
    """Work that some worker does, or did."""

    def __init__(self, pool: Pool, future: Future) -> None:
        self._pool, self._future = pool, future

    def result(self) -> list[Any]:
        """Wait for the results and return them.

        Raises:
            UngrayError: scheduler or workers are gone, or a worker is not fit for this work.
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
                said = f"{pool.address} is gone; start the scheduler and its workers, then this again"
            case KilledWorker():
                said = (
                    f"{failure.allowed_failures + 1} workers died over the same photos, most likely for want "
                    "of memory; start fewer on a machine (--nworkers), or allow each more (--memory-limit)"
                )
            case ImportError() | AttributeError():
                said = f"a worker of {pool.address} cannot run this code ({failure}); {pool.right_start}"
            case _:
                raise failure
        raise UngrayError(f"{pool.title}: {said}") from None

    def _failure(self) -> BaseException | None:
        """Wait, as long as there are workers; return what went wrong with the work."""
        while True:
            try:
                return self._future.exception(timeout=LOOK_SECONDS)
            except TimeoutError:
                self._pool.await_workers()

    def cancel(self) -> None:
        """Have it forgotten, unless a worker has begun it."""
        self._future.cancel()


class Pool:
    """The workers of one scheduler, as long as one :func:`connected` lasts."""

    def __init__(self, client: Client, address: str, *, title: str) -> None:
        self._client, self.address, self.title = client, address, title
        self.right_start = (
            f"start workers by `dask worker {address} --nthreads 1 --nworkers 2` in {Path.cwd()}, with this "
            "repository's environment, and anew after its code has changed"
        )
        self._here: Environment | None = None

    def await_workers(self) -> dict[str, int]:
        """Return the number of threads of each worker, by address, as soon as there is a worker.

        Raises:
            UngrayError: there is none after :data:`WORKERS_SECONDS`.
        """
        end, none = time.monotonic() + WORKERS_SECONDS, f"{self.title}: {self.address} has no worker"
        if not (threads := self._client.nthreads()):
            say(f"{none}; waiting up to {WORKERS_SECONDS} s for one")
        while not threads:
            if time.monotonic() > end:
                raise UngrayError(f"{none}; {self.right_start}")
            time.sleep(0.2)
            threads = self._client.nthreads()
        return dict(threads)

    def enter(self, here: Environment) -> int:
        """Ask every worker whether its environment are ``here``; return how many threads they have in all.

        Raises:
            UngrayError: a worker's are not, there is none, or others than this machine reach one unasked.
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
                continue  # it has just gone, or each chunk will say what is wrong
            if found:
                raise UngrayError(f"{self.title}: worker {worker} {found}; {self.right_start}")
        return sum(threads.values())

    def _check_is_safe(self, address: str) -> None:
        if not _is_safe(address):
            raise UngrayError(
                f"{self.title}: {address}, of the scheduler {self.address}, is open to the network, and "
                "whoever reaches it can run code there; start scheduler and workers with "
                "`--host 127.0.0.1`, or take tls://"
            )

    def submit(self, work: Callable[[Any], Any], items: Sequence[Any]) -> Chunk:
        """Have ``work`` done on all ``items`` by some worker."""
        # Pickled here: Dask need not look into it, and a worker looks at its environment before it imports.
        future = self._client.submit(
            work_on, pickle.dumps((work, items)), self._here, key=f"{self.title}-{uuid4().hex}", pure=False
        )
        return Chunk(self, future)


@contextmanager
def connected(address: str, *, title: str) -> Iterator[tuple[Pool, int]]:
    """Yield the workers of the Dask scheduler at ``address``, and how many items they can work on at once.

    Raises:
        UngrayError: the address is no safe one, nobody is there, or a worker is of another folder or code.
    """
    check_address(address)
    try:
        from distributed import Client, Security
    except ImportError:
        way_out = "`pip install -e '.[cluster]'`, or set it to \"\""
        raise UngrayError(f"machine.scheduler wants Dask: {way_out}") from None
    security = Security()
    _check_security(security, encrypted=address.startswith("tls:"))
    token = Path(".cache/scheduler") / uuid4().hex
    token.parent.mkdir(parents=True, exist_ok=True)
    for name in ("distributed", "distributed.client", "tornado.application"):  # one sentence says it better
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
        yield pool, pool.enter(Environment.here(token))
    finally:
        token.unlink(missing_ok=True)
        client.close()  # and with it all that nobody has begun


def check_address(address: str) -> None:
    """Raise an UngrayError unless ``address`` is tls://host:port, or tcp:// and of this machine alone."""
    try:
        parts = urlsplit(address)
        whole = parts.scheme in ("tcp", "tls") and parts.hostname and parts.port and not parts.path
    except ValueError:
        whole = False
    if not whole:
        raise UngrayError(
            f"machine.scheduler: {address} is no address of a Dask scheduler; write tcp://127.0.0.1:8786 for "
            "one on this machine, tls://HOST:8786 for another"
        )
    if not _is_safe(address):
        raise UngrayError(
            f"machine.scheduler: {address} is not of this machine alone, and whoever reaches a scheduler can "
            "run code there; take tls:// with certificates (stages/runtime/README.md)"
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
            raise UngrayError("machine.scheduler: Dask's configuration demands encryption; take tls://")
        return
    names = "distributed.comm.tls.ca-file, client.cert and client.key"
    try:
        found = security.get_connection_args("client")["ssl_context"]
    except OSError as error:
        raise UngrayError(
            "machine.scheduler: the certificates that Dask's configuration names cannot be read "
            f"({_reason(error)}); mend {names}"
        ) from None
    if found is None:
        raise UngrayError(
            f"machine.scheduler: tls:// wants certificates, which Dask's configuration does not name; set "
            f"{names} (stages/runtime/README.md)"
        )


def _reason(error: BaseException) -> str:
    """Return what lies at the bottom of an error, in a line."""
    while error.__cause__:
        error = error.__cause__
    return " ".join(str(error).split()) or type(error).__name__

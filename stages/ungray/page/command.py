"""The command ``colorize serve``."""

from __future__ import annotations

import argparse
import errno
import os
import shutil
import signal
import socket
import stat
import tempfile
import threading
import time
import webbrowser
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from ungray.errors import UngrayError
from ungray.system import memory
from ungray.system.console import run_command
from ungray.system.limits import MAX_UPLOAD_BYTES, MAX_UPLOAD_PIXELS
from ungray.system.terminal import Parser, say, tell

if TYPE_CHECKING:
    from ungray.page.application import Page

HOST = "127.0.0.1"
PORT = 8430
QUEUE = 32
PREFIX = "colorize-serve-"
LOCK = "lock"
"""The file in a server's folder that is locked while the server lives."""

STARTING = 60.0
"""Seconds within which a server has locked its folder."""

EXAMPLES = """examples:
  colorize serve                                        opens the page in your browser
  colorize serve --no-browser --port 9000
  colorize serve --model mine --model base
  ssh -L 8430:127.0.0.1:8430 there                      uses the page of another machine

Photos stay on this machine, in a temporary folder that is removed with the session; Ctrl-C ends the page.
Everybody who reaches the address can use it: with another --host, that is your whole network.
"""


def main(arguments: Sequence[str]) -> None:
    """Serve the page with the options in ``arguments``, until Ctrl-C."""
    parser = Parser(
        prog="colorize serve",
        description="A web page on this machine that colors photos.",
        epilog=EXAMPLES,
    )
    parser.add_argument("--host", default=HOST, help="the address to listen at (default: %(default)s)")
    parser.add_argument("--port", type=int, help=f"default: {PORT}, or a free one if it is taken")
    parser.add_argument(
        "--model",
        action="append",
        metavar="MODEL",
        help="a model to offer: base, mine (trained here) or a file; may be repeated, the first is selected",
    )
    parser.add_argument(
        "--max-bytes",
        type=_count,
        default=MAX_UPLOAD_BYTES,
        help="largest file of a photo (default: %(default)s)",
    )
    parser.add_argument(
        "--max-pixels", type=_count, default=MAX_UPLOAD_PIXELS, help="largest photo (default: %(default)s)"
    )
    parser.add_argument(
        "--queue", type=_count, default=QUEUE, help="how many requests may wait (default: %(default)s)"
    )
    parser.add_argument("--no-browser", action="store_true", help="only print the address")
    chosen = parser.parse_args(arguments)
    run_command(
        lambda: serve(
            chosen.model,
            host=chosen.host,
            port=chosen.port,
            max_bytes=chosen.max_bytes,
            max_pixels=chosen.max_pixels,
            queue=chosen.queue,
            browser=not chosen.no_browser,
        )
    )


def serve(
    models: Sequence[Path | str] | None = None,
    *,
    host: str = HOST,
    port: int | None = None,
    max_bytes: int = MAX_UPLOAD_BYTES,
    max_pixels: int = MAX_UPLOAD_PIXELS,
    queue: int = QUEUE,
    browser: bool = True,
) -> None:
    """Serve the page until Ctrl-C, SIGTERM or SIGHUP; then all its files are deleted.

    Args:
        models: the models to offer: "base", "mine" or model files. The first one is selected; None or empty
            offers the base model.
        host: the address to listen at.
        port: None for :data:`PORT` or, if it is taken, a free one; 0 for a free one.
        max_bytes: a larger file is refused.
        max_pixels: a photo of more pixels is refused before it is decoded.
        queue: the number of requests that may wait; for any more, the page says that it is busy.
        browser: whether to open it in a browser.

    Raises:
        UngrayError: a model cannot be read, or the address is not available.
    """
    # Imported late: they take seconds to import.
    for package in ("starlette", "uvicorn", "filelock", "markdown_it"):
        if find_spec(package) is None:
            raise UngrayError(f"the page needs {package}, which is not installed: pip install 'ungray[page]'")
    from ungray.page.application import Limits, Page
    from ungray.page.models import Models

    memory.limit_arenas()
    with _interruptible(), _listening(host, port) as listener, _own_folder() as folder:
        offered = Models(models or [])
        offered.load(offered.names[0])
        where = _address(host, listener.getsockname()[1])
        limits = Limits(max_bytes=max_bytes, max_pixels=max_pixels, queue=queue)
        page = Page(offered, folder=folder, limits=limits, host=host)
        _run(page, listener, where=where, names=offered.names, browser=browser)
    left = folder.exists()
    say("", f"colorize: ended; {f'delete {folder}: it could not be' if left else 'no photo is left'}")


def _run(page: Page, listener: socket.socket, *, where: str, names: list[str], browser: bool) -> None:
    from ungray.page.server import Server

    server = Server(page.application(), at_end=page.stop)
    tell(f"colorize: {', '.join(names)} at {where} (Ctrl-C ends it)")
    if browser:
        # The socket already listens; a browser in the terminal must not block the server.
        threading.Thread(target=webbrowser.open, args=[where], daemon=True).start()
    try:
        with suppress(KeyboardInterrupt):  # the normal way to end it
            server.run_on(listener)
    finally:
        page.close()


@contextmanager
def _interruptible() -> Iterator[None]:
    """Let a service manager and a closed terminal end the block as Ctrl-C does; create files for this user
    only."""
    umask = os.umask(0o077)
    for name in ("SIGTERM", "SIGHUP"):
        if hasattr(signal, name) and threading.current_thread() is threading.main_thread():
            signal.signal(getattr(signal, name), _interrupt)
    try:
        yield
    finally:
        os.umask(umask)


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def _count(text: str) -> int:
    try:
        number = int(text)
    except ValueError:
        number = 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a whole number of at least 1, such as 2000000")
    return number


def _address(host: str, port: int) -> str:
    shown = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"http://[{shown}]:{port}" if ":" in shown else f"http://{shown}:{port}"


def _delete_stale_folders() -> None:
    """Delete the folders that killed servers left behind."""
    from filelock import FileLock, Timeout

    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        with suppress(OSError, Timeout):
            about = folder.lstat()
            is_ours = stat.S_ISDIR(about.st_mode) and (os.name != "posix" or about.st_uid == os.getuid())
            # A server that starts at this moment has not locked its folder yet.
            starts = not (folder / LOCK).exists() and time.time() - about.st_mtime < STARTING
            if not is_ours or starts:
                continue
            with FileLock(folder / LOCK, timeout=0):
                shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _own_folder() -> Iterator[Path]:
    """Yield a folder for the photos of all sessions, which only this user can read."""
    from filelock import FileLock

    _delete_stale_folders()
    made = tempfile.TemporaryDirectory(prefix=PREFIX, ignore_cleanup_errors=True)
    with made as name, FileLock(Path(name) / LOCK):
        yield Path(name).resolve()


@contextmanager
def _listening(host: str, port: int | None) -> Iterator[socket.socket]:
    """Yield a socket listening at ``host``; see :func:`serve` for ``port``.

    Raises:
        UngrayError: the requested address or port is not available.
    """
    try:
        family = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)[0][0]
    except OSError as error:
        raise _unavailable(host, port or 0, error) from None
    with socket.socket(family, socket.SOCK_STREAM) as listener:
        if os.name == "posix":
            # Without this, the port of a page that has just ended would be unavailable for a minute.
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        for tried in [PORT, 0] if port is None else [port]:
            try:
                listener.bind((host, tried))
                break
            except (OSError, OverflowError) as error:
                failure = _unavailable(host, tried, error)
        else:
            raise failure
        listener.listen(128)
        yield listener


def _unavailable(host: str, port: int, error: OSError | OverflowError) -> UngrayError:
    """Return the error for an address that is not available."""
    if isinstance(error, socket.gaierror) or getattr(error, "errno", None) == errno.EADDRNOTAVAIL:
        return UngrayError(f"--host {host} is not an address of this machine; {HOST} is the default")
    reason = getattr(error, "strerror", None) or "not a valid port"
    return UngrayError(
        f"{host}, port {port} is not available ({reason.lower()}); name another --port or --host"
    )

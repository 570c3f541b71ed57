"""The command ``python -m stages.filter review``."""

from __future__ import annotations

import os
import socket
import threading
import webbrowser
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from stages.storage import cache
from ungray.errors import UngrayError
from ungray.system.terminal import Parser, tell

VERDICTS = Path("data/verdicts.csv")
RAW = Path("data/raw")
REVIEW = Path("data/review.csv")
PORT = 8420

EXAMPLES = """examples:
  python -m stages.filter review                         opens the page in your browser
  python -m stages.filter review --no-browser --port 9000
  ssh -L 8420:127.0.0.1:8420 there                       reviews the photos of another machine

Decisions go to data/review.csv at once; `dvc repro` applies them.
"""


def main(arguments: Sequence[str]) -> None:
    """Serve the review page until Ctrl-C.

    Raises:
        UngrayError: there are no verdicts yet, the page is already open, or the port is taken.
    """
    parser = Parser(
        prog="python -m stages.filter review",
        description="View the photos with their verdicts; keep or reject by hand.",
        epilog=EXAMPLES,
    )
    parser.add_argument("--port", type=int, help=f"default: {PORT}, or a free one if it is taken")
    parser.add_argument("--no-browser", action="store_true", help="only print the address")
    chosen = parser.parse_args(arguments)

    # Imported late: the stage itself needs no server.
    import uvicorn

    from stages.filter.review.collection import Collection
    from stages.filter.review.decisions import Decisions, Seen
    from stages.filter.review.pictures import Pictures
    from stages.filter.review.server import Review, application

    collection, decisions = Collection(VERDICTS), Decisions(REVIEW)
    state = cache.folder("review", "state")
    with listening(chosen.port) as listener:
        port = listener.getsockname()[1]
        address = f"http://127.0.0.1:{port}"
        with alone(state, address):
            review = Review(collection, decisions, Pictures(RAW), Seen(state / "viewed.txt"))
            tell(
                f"review: {len(collection.photos().table)} photos, {len(decisions.all())} decided by hand, "
                f"at {address} (Ctrl-C ends it)"
            )
            server = uvicorn.Server(
                uvicorn.Config(
                    application(review),
                    log_config=None,  # see ungray.system.terminal
                    access_log=False,
                    server_header=False,
                    lifespan="off",
                    timeout_graceful_shutdown=2,
                )
            )
            if not chosen.no_browser:
                # The socket already listens; a browser in the terminal must not block the server.
                threading.Thread(target=webbrowser.open, args=[address], daemon=True).start()
            with suppress(KeyboardInterrupt):  # the normal way to end it
                server.run(sockets=[listener])
            tell("", f"review: {len(decisions.all())} decisions in {REVIEW}; `dvc repro` applies them")


@contextmanager
def listening(port: int | None) -> Iterator[socket.socket]:
    """Yield a socket listening on ``port`` of 127.0.0.1; for None on :data:`PORT` or, if taken, a free one.

    Raises:
        UngrayError: the requested port is not available.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as listener:
        if os.name == "posix":
            # Without this, the port of a page that has just ended would be unavailable for a minute.
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", PORT if port is None else port))
        except (OSError, OverflowError) as error:
            if port is not None:
                reason = getattr(error, "strerror", None) or "not a valid port"
                raise UngrayError(
                    f"port {port} is not available ({reason.lower()}); name another --port, or none"
                ) from None
            listener.bind(("127.0.0.1", 0))
        listener.listen(128)
        yield listener


@contextmanager
def alone(state: Path, address: str) -> Iterator[None]:
    """Allow only one review page per checkout: two servers would overwrite each other's decisions.

    Raises:
        UngrayError: the page of this checkout is already open; the message names its address.
    """
    from filelock import FileLock, Timeout

    lock, address_file = FileLock(state / "lock"), state / "address.txt"
    try:
        lock.acquire(timeout=0)
    except Timeout:
        other = address_file.read_text() if address_file.exists() else "another port"
        raise UngrayError(f"the review page is already open, at {other}; use that one, or close it") from None
    try:
        address_file.write_text(address)
        yield
    finally:
        lock.release()

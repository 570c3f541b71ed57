"""The command ``python -m stages.filter review``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from stages.storage import cache
from ungray.errors import UngrayError
from ungray.system import loopback
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
    from stages.filter.review.collection import Collection
    from stages.filter.review.decisions import Decisions, Seen
    from stages.filter.review.pictures import Pictures
    from stages.filter.review.server import Review, application

    collection, decisions = Collection(VERDICTS), Decisions(REVIEW)
    state = cache.folder("review", "state")
    with loopback.listening(chosen.port, default=PORT) as listener:
        address = loopback.address(listener)
        with alone(state, address):
            review = Review(collection, decisions, Pictures(RAW), Seen(state / "viewed.txt"))
            tell(
                f"review: {len(collection.photos().table)} photos, {len(decisions.all())} decided by hand, "
                f"at {address} (Ctrl-C ends it)"
            )
            loopback.serve(application(review), listener, browser=not chosen.no_browser)
            tell("", f"review: {len(decisions.all())} decisions in {REVIEW}; `dvc repro` applies them")


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

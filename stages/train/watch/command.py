"""The command ``python -m stages.train watch``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ungray.errors import UngrayError
from ungray.system import loopback
from ungray.system.files import main_checkout
from ungray.system.terminal import Parser, tell

PORT = 8421

EXAMPLES = """examples:
  python -m stages.train watch                           opens the page in your browser
  python -m stages.train watch --no-browser --port 9000
  ssh -L 9000:127.0.0.1:8421 there                       watches another machine, at port 9000

It may start before, during and after a training, and changes nothing.
"""


def main(arguments: Sequence[str]) -> None:
    """Serve the watch page until Ctrl-C.

    Raises:
        UngrayError: this is no checkout of the workflow, or the port is taken.
    """
    parser = Parser(
        prog="python -m stages.train watch",
        description="Watch trainings while they go on, here, in DVC's queue and in a search: "
        "curves, the newest progress grid, pace and time left.",
        epilog=EXAMPLES,
    )
    parser.add_argument("--port", type=int, help=f"default: {PORT}, or a free one if it is taken")
    parser.add_argument("--no-browser", action="store_true", help="only print the address")
    chosen = parser.parse_args(arguments)
    top = main_checkout(Path.cwd())
    if not (top / "dvc.yaml").is_file():
        raise UngrayError("there is no dvc.yaml here; run it in the folder of the repository")

    from stages.train.watch.server import Watch, application

    with loopback.listening(chosen.port, default=PORT) as listener:
        tell(f"watch: the trainings of {top}, at {loopback.address(listener)} (Ctrl-C ends it)")
        loopback.serve(application(Watch(top)), listener, browser=not chosen.no_browser)

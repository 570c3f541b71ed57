"""How our commands meet the person at the keyboard: help, errors in one sentence, exit codes, timings."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from stages.errors import UngrayError
from stages.files import whole_file
from stages.terminal import FULL, Parser, printable, say, take_charge

TIMINGS = Path("reports/timings.json")
"""Seconds each stage took when it last ran here. No stage's output: it differs from run to run."""


def run_command(
    main: Callable[[], None],
    *,
    if_full: str = "free some space (`make clean-cache` empties .cache) and rerun",
) -> None:
    """Call ``main`` and turn what a person can mend into one sentence on standard error.

    Exit codes: 0 done, 1 for an :class:`UngrayError`, a full disk (``if_full`` is the way out) or a reader
    that left, 130 for Ctrl-C. Any other exception is a fault of ours and keeps its traceback.
    """
    take_charge()
    demand_folder()
    try:
        main()
        if sys.stdout:  # None where it is closed
            sys.stdout.flush()
    except BrokenPipeError:  # whoever read the output has seen enough: `... | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except UngrayError as error:
        sys.exit(printable(f"error: {error}"))
    except KeyboardInterrupt:
        say("interrupted")
        sys.exit(130)
    except OSError as error:
        if error.errno not in FULL:
            raise
        where = f" while writing {error.filename}" if error.filename else ""
        sys.exit(printable(f"error: the disk is full{where}; {if_full}"))


def demand_folder() -> None:
    """Exit with 1 and a sentence if the current folder is gone: hardly any library can do without one."""
    try:
        Path.cwd()
    except OSError:
        sys.exit("error: the current folder is gone: it was deleted or moved; change to one that is there")


Tool = Callable[[Sequence[str]], None]


def run_stage(
    name: str, main: Callable[[], None], *, doc: str | None, tools: Mapping[str, Tool] | None = None
) -> None:
    """Run the stage ``name`` as a command: without arguments the stage, ``--help`` prints ``doc``.

    A first argument that names one of ``tools``, what a person runs by hand around the stage, calls that one
    with the rest of the arguments instead. How long the stage took goes to :data:`TIMINGS`.
    """
    arguments = sys.argv[1:]
    if tools and arguments and arguments[0] in tools:
        return run_command(lambda: tools[arguments[0]](arguments[1:]))
    Parser(prog=f"python -m stages.{name}", description=doc).parse_args()

    def timed() -> None:
        start = time.monotonic()
        main()
        if not _first_process():
            return
        known = json.loads(TIMINGS.read_text()) if TIMINGS.exists() else {}
        with whole_file(TIMINGS) as partial:
            partial.write_text(
                json.dumps(known | {name: round(time.monotonic() - start, 1)}, indent=2) + "\n"
            )

    run_command(timed)


def _first_process() -> bool:
    """Say whether this is the first of several processes (torchrun, Fabric, SLURM): only that one writes."""
    ranks = ("RANK", "LOCAL_RANK", "NODE_RANK", "GROUP_RANK", "SLURM_PROCID")
    return all(os.environ.get(name, "0") == "0" for name in ranks)

"""How a command meets the terminal: errors in one sentence, exit codes, what standard output takes."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

from ungray.errors import UngrayError
from ungray.system.terminal import FULL, printable, say, take_charge


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

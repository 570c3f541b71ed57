"""Runs a command on the terminal: errors in one sentence, exit codes, a closed standard output."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from ungray.errors import UngrayError
from ungray.system.terminal import FULL, printable, say, take_charge


def run_command(
    main: Callable[[], None],
    *,
    if_full: str = "free some space (`make clean-cache` empties .cache) and rerun",
) -> None:
    """Call ``main``; print errors that the user can fix as one sentence on standard error.

    Exit codes: 0 for success; 1 for an :class:`UngrayError`, a full disk (``if_full`` says what to do) or a
    closed pipe; 130 for Ctrl-C, and for whatever it made fail. Any other exception is a bug and keeps its
    traceback.
    """
    take_charge()
    demand_folder()
    try:
        with _ctrl_c_first():
            main()
        if sys.stdout:  # None if it is closed
            sys.stdout.flush()
    except BrokenPipeError:  # the reader has closed the pipe, as in `... | head`
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


@contextlib.contextmanager
def _ctrl_c_first() -> Iterator[None]:
    """Raise KeyboardInterrupt in place of any exception that arose while a Ctrl-C was being handled.

    Ctrl-C may come at any instruction of a library, whose own clean-up then fails in some other way.
    """
    try:
        yield
    except Exception as error:
        earlier = error.__context__
        while earlier is not None:
            if isinstance(earlier, KeyboardInterrupt):
                raise earlier from None
            earlier = earlier.__context__
        raise


def demand_folder() -> None:
    """Exit with 1 and a sentence if the current folder is gone: hardly any library works without one."""
    try:
        Path.cwd()
    except OSError:
        sys.exit("error: the current folder is gone: it was deleted or moved; change to one that exists")

"""How our commands meet the person at the keyboard: help, errors in one sentence, exit codes, timings."""

from __future__ import annotations

import argparse
import errno
import json
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from stages.errors import UngrayError
from stages.files import whole_file

TIMINGS = Path("reports/timings.json")
"""Seconds each stage took when it last ran here. No stage's output: it differs from run to run."""

FULL = (errno.ENOSPC, errno.EDQUOT)
"""The numbers by which the system says that a disk, or one's share of it, is full."""


def run_command(
    main: Callable[[], None],
    *,
    if_full: str = "free some space (`make clean-cache` empties .cache) and rerun",
) -> None:
    """Call ``main`` and turn what a person can mend into one sentence on standard error.

    Exit codes: 0 done, 1 for an :class:`UngrayError`, a full disk (``if_full`` is the way out) or a reader
    that left, 130 for Ctrl-C. Any other exception is a fault of ours and keeps its traceback.
    """
    try:
        main()
        if sys.stdout:  # None where it is closed
            sys.stdout.flush()
    except BrokenPipeError:  # whoever read the output has seen enough: `... | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except UngrayError as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        say("interrupted")
        sys.exit(130)
    except OSError as error:
        if error.errno not in FULL:
            raise
        where = f" while writing {error.filename}" if error.filename else ""
        sys.exit(f"error: the disk is full{where}; {if_full}")


def say(line: str) -> None:
    """Print a line on standard error, if it is open: where it is not, print takes standard output."""
    if sys.stderr:
        print(line, file=sys.stderr)


def write_out(content: bytes | str) -> None:
    """Write all of ``content`` to standard output, past Python's buffer.

    An unbuffered stream (PYTHONUNBUFFERED) may take less than it is given and say so by a number alone; and
    what an error leaves in a buffer would be tried again at the end. What the encoding of the stream lacks,
    such as file names that are no text, is written as escapes: \\udcff.

    Raises:
        UngrayError: it cannot be written.
        OSError: the disk is full, or, as a BrokenPipeError, the reader has left.
    """
    if isinstance(content, str):
        content = content.encode(sys.stdout.encoding, "backslashreplace")
    try:
        sys.stdout.flush()
        stream = getattr(sys.stdout.buffer, "raw", sys.stdout.buffer)
        left = memoryview(content)
        while left:
            written = stream.write(left)
            if written is None:
                raise BlockingIOError(errno.EAGAIN, "it does not wait for its reader")
            left = left[written:]
    except OSError as error:
        if error.errno in (*FULL, errno.EPIPE):
            raise OSError(error.errno, error.strerror, "standard output") from None
        raise UngrayError(f"standard output cannot be written: {error.strerror}") from None


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
    argparse.ArgumentParser(
        prog=f"python -m stages.{name}", description=doc, formatter_class=argparse.RawDescriptionHelpFormatter
    ).parse_args()

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

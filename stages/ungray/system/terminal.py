"""Printing to the terminal: everything is turned into plain text first.

File names, addresses, and the messages of servers and libraries may contain anything: a line break that
forges a line of ours, or an escape sequence that moves the cursor or changes the terminal's settings. So
everything is printed through this module.
"""

from __future__ import annotations

import argparse
import errno
import logging
import re
import sys
import traceback
import warnings
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Any, NoReturn, TextIO

from ungray.errors import UngrayError

FULL = (errno.ENOSPC, errno.EDQUOT)
"""The error numbers for a full disk and an exceeded quota."""

OURS = Path(__file__).parents[2]

_NOT_TEXT = re.compile(
    "[\x00-\x1f\x7f-\x9f"  # control characters, also those of eight bits
    "\u2028\u2029"  # line breaks beyond ASCII
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # changes of the text direction
    "\ud800-\udfff]"  # bytes of a file name that is not valid text
)


def printable(text: object) -> str:
    r"""Return ``text`` on one line, with escapes for control and other non-text characters.

    >>> printable("a\nb \x1b[31m red")
    'a\\nb \\x1b[31m red'
    """
    return _NOT_TEXT.sub(lambda found: found.group().encode("unicode_escape").decode("ascii"), str(text))


def tell(*lines: object) -> None:
    """Print lines on standard output, if it is open, each made :func:`printable`."""
    _print(lines, sys.stdout)


def say(*lines: object) -> None:
    """Print lines on standard error, if it is open, each made :func:`printable`."""
    _print(lines, sys.stderr)


def _print(lines: Iterable[object], stream: TextIO | None) -> None:
    if stream is None:  # print would take standard output
        return
    encoding = stream.encoding or "utf-8"
    for line in lines:
        stream.write(printable(line).encode(encoding, "backslashreplace").decode(encoding) + "\n")
    stream.flush()


def write_out(content: bytes | str) -> None:
    """Write all of ``content`` to standard output as it is, bypassing Python's buffer.

    An unbuffered stream (PYTHONUNBUFFERED) may write less than it is given and only return the number of
    bytes, and content that an error leaves in a buffer would be written again at exit. Characters that the
    stream's encoding lacks are written as escapes.

    Raises:
        UngrayError: it cannot be written.
        OSError: the disk is full or, as a BrokenPipeError, the reader has closed the pipe.
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


class Parser(argparse.ArgumentParser):
    """Parses a command line; its error messages are made :func:`printable`."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"formatter_class": argparse.RawDescriptionHelpFormatter} | options)

    def error(self, message: str) -> NoReturn:
        """Print the error and exit with 2."""
        super().error(printable(message))


def say_fault(error: BaseException) -> None:
    """Print the traceback of a bug, made :func:`printable`."""
    say(*"".join(traceback.format_exception(error)).rstrip("\n").split("\n"))


def take_charge() -> None:
    """Control what this process prints to the terminal from now on.

    Hidden are the warnings of libraries (unless -W or PYTHONWARNINGS asks for them) and what they log below
    the level of an error. Our own warnings are printed on one line each.
    """
    sys.excepthook = _say_uncaught
    logging.lastResort = _LogHandler(logging.ERROR)
    if not sys.warnoptions:
        warnings.showwarning = _show_warning


def _say_uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    say_fault(error)


def _show_warning(
    message: Warning | str, category: type[Warning], filename: str, *further: object, **named: object
) -> None:
    if Path(filename).is_relative_to(OURS):
        say(f"warning: {message}")


class _LogHandler(logging.Handler):
    """Prints log records for which no handler is configured."""

    def emit(self, record: logging.LogRecord) -> None:
        """See :meth:`logging.Handler.emit`."""
        say(*self.format(record).split("\n"))

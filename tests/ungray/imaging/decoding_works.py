"""Work for the process of ungray.imaging.decoding, which imports it by name: what bad decoders do."""

import ctypes
import os
import time
from pathlib import Path

import numpy as np

from ungray.errors import UngrayError


def size(content):
    """Return who worked on it, and on how many bytes."""
    return os.getpid(), len(content)


def slow(content, *, begun=None, seconds=60):
    """Make the file ``begun``, if any, and take a minute."""
    if begun:
        Path(begun).touch()
    time.sleep(seconds)


def note(content, *, file):
    """Append who does it to a file."""
    with Path(file).open("a") as opened:
        opened.write(f"{os.getpid()}\n")


def greedy(content, *, megabytes):
    """Touch so much memory; return how much."""
    return int(np.ones(megabytes << 20, np.uint8).sum(dtype=np.int64)) >> 20


def crash(content):
    """Read where no memory is, as a faulty decoder would."""
    ctypes.string_at(0)


def noisy(content):
    """Print where the answers go, and where errors are shown."""
    for number in (1, 2):
        os.write(number, b"a library speaks\n")
    return "done"


def faulty(content):
    """Find a fault of ours."""
    raise KeyError("an unexpected one")


def refusing(content):
    """Refuse a photo in words."""
    raise UngrayError("this one is refused")

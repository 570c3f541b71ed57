"""Sizes and times as people say them."""

from __future__ import annotations

BUSY = 0.5
"""So many cores kept busy by other programs are worth a word: each step waits for the slowest thread."""


def filesize(count: float) -> str:
    """Return bytes as people read them, in powers of 1000."""
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= scale:
            number = count / scale
            return f"{number:.0f} {unit}" if number >= 100 else f"{number:.2g} {unit}"
    return f"{count:.0f} bytes"


def duration(minutes: float) -> str:
    """Return a time as people say it."""
    if minutes < 1:
        return f"{60 * minutes:.2g} seconds"
    if minutes < 100:
        return f"{minutes:.2g} minutes"
    return f"{minutes / 60:.2g} hours" if minutes < 100 * 60 else f"{minutes / 1440:.2g} days"

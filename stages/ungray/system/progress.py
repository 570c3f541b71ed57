"""Shows the progress of long work: a bar on a terminal, elsewhere one line per minute."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from time import monotonic
from typing import Any

from tqdm import tqdm

from ungray.system.terminal import printable, say

LINE_SECONDS = 60.0
"""The least time between two lines if standard error is no terminal; shorter work prints none."""


class Bar(tqdm):
    """A progress bar on standard error; if that is no terminal, one line per minute instead.

    So a log file also shows the progress and the remaining time. ``unit`` is the name of an item in the
    singular: "photo". Lines are printed by ``update``, so an item that takes minutes is reported when it is
    done.
    """

    def __init__(
        self,
        items: Iterable[Any] | None = None,
        *,
        desc: str,
        unit: str,
        total: int | None = None,
        initial: int = 0,
        hidden: bool = False,
    ) -> None:
        """Start to count ``items``, or ``total`` calls of ``update``; ``hidden`` shows nothing at all."""
        # None means no bar without a terminal; tqdm doesn't check whether standard error exists.
        no_bar = None if sys.stderr and not hidden else True
        super().__init__(items, desc=printable(desc), unit=unit, total=total, initial=initial, disable=no_bar)
        self._prints_lines = bool(self.disable and not hidden)
        if self._prints_lines:  # tqdm does not set these without a bar
            self.desc, self.unit = desc, unit
        self._initial, self._began = initial, monotonic()
        self._last_line = self._began

    def __iter__(self) -> Iterator[Any]:
        """Yield the items, counting each when the next one is asked for."""
        if not self._prints_lines:
            yield from super().__iter__()
            return
        for item in self.iterable:
            yield item
            self.update()

    def update(self, n: float | None = 1) -> bool | None:
        """Count ``n`` more items; print a line if there is no bar and a minute has passed."""
        if not self._prints_lines:
            return super().update(n)
        self.n += n or 0
        now = monotonic()
        if now - self._last_line >= LINE_SECONDS:
            self._last_line = now
            say(self._line(now - self._began))
        return None

    def _line(self, seconds: float) -> str:
        rate = (self.n - self._initial) / seconds
        of = f" of {self.total:,}" if self.total else ""
        line = f"{self.desc}: {self.unit} {self.n:,}{of}"
        if rate:
            line += f", {rate:,.1f} a second" if rate >= 1 else f", {1 / rate:,.1f} seconds each"
        if rate and self.total and self.total > self.n:
            line += f", about {_duration((self.total - self.n) / rate)} left"
        return line


def _duration(seconds: float) -> str:
    minutes = max(1, round(seconds / 60))
    return f"{minutes} min" if minutes < 120 else f"{minutes / 60:.0f} h"

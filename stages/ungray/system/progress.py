"""How far long work is: a bar on a terminal, elsewhere a line a minute."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from time import monotonic
from typing import Any

from tqdm import tqdm

from ungray.system.terminal import say

LINE_SECONDS = 60.0
"""Where standard error is no terminal, a line is printed so often at most; what is done sooner is quiet."""


class Bar(tqdm):
    """A progress bar on standard error; where that is no terminal, a line a minute says the same.

    So a log that somebody follows from afar, or reads afterward, tells how far the work is and how long it
    still takes. ``unit`` is one item in the singular: "photo". Whoever looks for the time is ``update``: a
    single item that takes minutes is told of when it is done.
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
        """Begin to count ``items``, or ``total`` calls of ``update``; ``hidden`` shows nothing at all."""
        # None: no bar without a terminal; tqdm doesn't ask whether there is standard error at all.
        no_bar = None if sys.stderr and not hidden else True
        super().__init__(items, desc=desc, unit=unit, total=total, initial=initial, disable=no_bar)
        self._tells = bool(self.disable and not hidden)
        if self._tells:  # tqdm leaves these out where there is no bar
            self.desc, self.unit = desc, unit
        self._initial, self._began = initial, monotonic()
        self._told = self._began

    def __iter__(self) -> Iterator[Any]:
        """Yield the items, counting each when the next one is asked for."""
        if not self._tells:
            yield from super().__iter__()
            return
        for item in self.iterable:
            yield item
            self.update()

    def update(self, n: float | None = 1) -> bool | None:
        """Count ``n`` items more; say how far it is where there is no bar and a minute has passed."""
        if not self._tells:
            return super().update(n)
        self.n += n or 0
        now = monotonic()
        if now - self._told >= LINE_SECONDS:
            self._told = now
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

"""How far the downloads are: a bar and a line for each query that is done, or a line a minute."""

from __future__ import annotations

import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterable

from stages.scrape.source import Link
from ungray.system.progress import Bar
from ungray.system.terminal import printable


class QueryBar(Bar):
    """A bar over the addresses in ``links``; on a terminal a line for each query whose last one is done."""

    def __init__(self, links: Iterable[Link]) -> None:
        self.queries: dict[str, set[str]] = defaultdict(set)
        for link in links:
            self.queries[link.url].add(link.query)
        self.left = Counter(query for queries in self.queries.values() for query in queries)
        self.asked, self.fetched = self.left.copy(), Counter[str]()
        self.began: dict[str, float] = {}
        super().__init__(total=len(self.queries), desc="download", unit="photo", hidden=not self.queries)

    def done(self, url: str, *, fetched: bool) -> None:
        """Count ``url`` as done."""
        for query in self.queries[url]:
            began = self.began.setdefault(query, time.monotonic())
            self.left[query] -= 1
            self.fetched[query] += fetched
            if not self.left[query] and not self.disable:
                seconds = max(time.monotonic() - began, 0.1)
                self.write(
                    f"{printable(query)}: {self.fetched[query]} of {self.asked[query]} links gave a photo, "
                    f"{self.asked[query] / seconds:.1f} a second",
                    file=sys.stderr,
                )
        self.update()

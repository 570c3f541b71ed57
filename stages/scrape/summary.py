"""The summary of a run of the stage, a few lines for the terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import pandas as pd

from stages.scrape.manifest import Attempt
from ungray.system.terminal import printable

SHOWN = 60
"""The largest number of queries in the table; for more, only the sums are shown."""


def table(attempts: Sequence[Attempt], *, asked: int | None) -> str:
    """Return one line per query, the sums, and why photos were refused.

    ``asked`` is the number of photos requested per query; None if the source has no such limit.
    """
    queries: dict[str, list[Attempt]] = {}
    for attempt in attempts:
        queries.setdefault(attempt.query, []).append(attempt)
    lines = [
        (printable(query), *_counts(rows, asked), _reasons(rows, limit=2))
        for query, rows in sorted(queries.items())
    ]
    counts = [_counts(rows, asked) for rows in queries.values()]
    sums = [sum(column) for column in zip(*counts, strict=True)]
    shown = [*lines[: SHOWN if len(lines) <= SHOWN else 0], (f"{len(lines)} queries", *sums, "")]
    wide = max(len(str(line[0])) for line in shown)
    text = [f"{'':{wide}}  asked  found  fetched   kept  refused"]
    text += [
        f"{query:{wide}} {a:>6} {found:>6} {fetched:>8} {kept:>6} {refused:>8}  {reasons}".rstrip()
        for query, a, found, fetched, kept, refused, reasons in shown
    ]
    if sums[4]:
        text.append(f"refused: {_reasons(attempts, limit=None)}")
    return "\n".join(text)


def left(before: pd.DataFrame, attempts: Sequence[Attempt], *, cached: bool) -> str:
    """Return a message about the photos of queries that were removed; empty if there are none.

    ``before`` is the manifest of the previous run. If the source has changed, there is no message. ``cached``
    says whether the working cache keeps the photos.
    """
    if not set(before["source"]) & {attempt.source for attempt in attempts}:
        return ""
    gone = before[(before["status"] == "kept") & ~before["query"].isin({a.query for a in attempts})]
    queries = sorted(set(gone["query"]))
    if not queries:
        return ""
    named = ", ".join(queries[:5]) + (" ..." if queries[5:] else "")
    photos, asked = _count(len(gone), "photo", "photos"), _count(len(queries), "query", "queries")
    return f"{photos} of {asked} no longer asked for ({named}) left data/raw" + (
        "; the cache keeps them" if cached else ""
    )


def _counts(rows: Sequence[Attempt], asked: int | None) -> tuple[int, int, int, int, int]:
    found = [row for row in rows if row.rank]  # rank 0 is a failed search
    kept = sum(row.status == "kept" for row in found)
    fetched = sum(bool(row.sha256) for row in found)
    return (len(found) if asked is None else asked), len(found), fetched, kept, len(found) - kept


def _reasons(rows: Sequence[Attempt], *, limit: int | None) -> str:
    """Return the reasons of refusals, most common first, each up to its first colon."""
    counted = Counter(row.reason.partition(":")[0] for row in rows if row.status != "kept")
    ordered = sorted(counted.items(), key=lambda item: (-item[1], item[0]))
    shown = [f"{count} {reason}" for reason, count in ordered[:limit]]
    others = sum(count for _, count in ordered[len(shown) :])
    return ", ".join(shown + ([f"{others} other{'s' if others > 1 else ''}"] if others else []))


def _count(number: int, one: str, many: str) -> str:
    return f"{number:,} {one if number == 1 else many}"

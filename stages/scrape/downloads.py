"""Downloads the photos of links only once: later runs replay photos and refusals from the working cache.

``.cache/scrape/photos`` contains the photos by SHA-256, ``.cache/scrape/journal`` one line per download.
Every run copies the photos from there to data/raw. It does not use hard links: DVC moves data/raw into its
own cache and may link it back, and a file shared by both caches could be changed or lost through either.
"""

from __future__ import annotations

import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from stages.scrape import last_commit
from stages.scrape.blocking import REASON, TakenOut
from stages.scrape.journal import Entry, Journal, begin, open_journal
from stages.scrape.manifest import Attempt, keep, take_back
from stages.scrape.params import Params
from stages.scrape.source import Link
from stages.storage import cache
from ungray.errors import UngrayError
from ungray.fetch import Limits, Outcome, blob_path, fetch_all
from ungray.system.files import sha256
from ungray.system.progress import Bar
from ungray.system.terminal import printable, say, tell

SILENCE = ("timed out", "no connection", "no name server answered", "unknown host")
"""The start of the reason of downloads without an answer, whether the host or the network is at fault."""

FEW = 8
"""If at most this many hosts are silent at the end of a run, the network is assumed to be up."""

CHANGED = "gave other bytes than when it was first fetched"


def photo_store() -> Path:
    """Return the folder of downloaded photos by SHA-256."""
    return cache.folder("scrape", "photos")


def download(links: Sequence[Link], params: Params, raw: Path, *, taken_out: TakenOut) -> Iterator[Attempt]:
    """Download ``links`` and yield a row for each, in their order; write the photos that are kept to ``raw``.

    Neither photos nor failures are requested again while ``params`` has the same limits and ``refresh``. The
    addresses of photos in ``taken_out`` are not requested, and copies of these photos are not kept.
    """
    store = photo_store()
    path = cache.folder("scrape", "journal") / "downloads.jsonl"
    if not path.exists():
        begin(path, _of_last_commit())
    with open_journal(path) as journal:
        urls = [url for url in dict.fromkeys(link.url for link in links) if not taken_out.at(url)]
        _restore(urls, journal, store, taken_out=taken_out)
        settled = {url: entry for url in urls if (entry := _settled(url, journal, params, store, taken_out))}
        todo = [url for url in urls if url not in settled]
        with QueryBar([link for link in links if link.url in set(todo)]) as bar:
            for entry in _fetch(todo, journal, params, store, taken_out):
                settled[entry.url] = entry
                bar.done(entry.url, fetched=bool(entry.sha256))
    for link in Bar(links, desc="copy", unit="photo"):
        if gone := taken_out.at(link.url):
            yield Attempt(status="refused", reason=REASON, sha256=gone, **asdict(link))
        else:
            yield _attempt(link, settled[link.url], params, raw, store=store, taken_out=taken_out)
    taken_out.save()


def _settled(url: str, journal: Journal, params: Params, store: Path, taken_out: TakenOut) -> Entry | None:
    """Return the final result of ``url``, if any: the first photo that is still cached, or a refusal."""
    entries = [entry for entry in journal.about(url) if entry.refresh <= params.refresh]
    for entry in entries:
        allowed = entry.honored_opt_out or not params.honor_opt_out
        here = entry.sha256 and blob_path(store, entry.sha256).exists()
        if entry.sha256 in taken_out or (here and allowed):
            return entry
    now = params.refresh, _terms(params)
    return next((e for e in entries if not e.sha256 and (e.refresh, e.terms) == now), None)


def _fetch(
    urls: Sequence[str], journal: Journal, params: Params, store: Path, taken_out: TakenOut
) -> Iterator[Entry]:
    """Fetch ``urls``, write the results to the journal and yield them.

    If there is no answer, the network may be at fault and not the photo. So downloads without an answer at
    the end of the run are not written to the journal, and the next run retries them, if their hosts have
    answered before or are many.
    """
    in_doubt: list[Entry] = []
    answered: set[str] = set()
    for outcome in fetch_all(urls, limits=_limits(params), store=store, unwanted=taken_out.copied_from):
        previous = [] if outcome.sha256 in taken_out else journal.about(outcome.url)
        entry = _entry(outcome, previous, params)
        in_doubt.append(entry)
        if not entry.reason.startswith(SILENCE):
            answered.add(_host(entry.url))
            _write(in_doubt, journal)
        yield entry
    silent = {_host(entry.url) for entry in in_doubt}
    if answered and not answered & silent and len(silent) <= FEW:
        _write(in_doubt, journal)
    elif in_doubt:
        say(f"scrape: {len(in_doubt)} downloads got no answer in the end; the next run retries them")


def _host(url: str) -> str:
    return url.partition("://")[2].partition("/")[0]


def _write(entries: list[Entry], journal: Journal) -> None:
    for entry in entries:
        if entry not in journal.about(entry.url):
            journal.add(entry)
    entries.clear()


def _entry(outcome: Outcome, previous: Iterable[Entry], params: Params) -> Entry:
    """Return the journal entry for ``outcome``: the earlier one if the same photo was downloaded again."""
    entry = Entry(
        url=outcome.url,
        sha256=outcome.sha256,
        reason=outcome.reason,
        fetched_at=outcome.fetched_at,
        refresh=params.refresh,
        terms=_terms(params),
        honored_opt_out=params.honor_opt_out,
    )
    earlier = [e for e in previous if e.sha256 and e.refresh <= params.refresh]
    if not outcome.sha256 or not earlier:
        return entry
    for same in earlier:
        if same.sha256 == outcome.sha256 and (same.honored_opt_out or not params.honor_opt_out):
            return same
    # The cache has lost a photo of the current refresh, and a different one must not replace it.
    lost = any(e.refresh == params.refresh and e.sha256 != outcome.sha256 for e in earlier)
    return replace(entry, sha256="", reason=CHANGED) if lost else entry


def _attempt(
    link: Link, entry: Entry, params: Params, raw: Path, *, store: Path, taken_out: TakenOut
) -> Attempt:
    """Return the row of ``link``, whose download had the result ``entry``."""
    about: dict[str, Any] = asdict(link) | {"fetched_at": entry.fetched_at}
    if not entry.sha256:
        return Attempt(status="refused", reason=entry.reason, **about)
    path = blob_path(store, entry.sha256)
    if gone := taken_out.by(entry.sha256, path):
        path.unlink(missing_ok=True)
        return Attempt(status="refused", reason=REASON, sha256=gone, **about)
    content = path.read_bytes()
    if sha256(content) != entry.sha256:
        path.unlink()
        raise UngrayError(f"{path} was damaged on disk and has been deleted; run again to download it again")
    attempt = keep(content, raw=raw, **about)
    too_large = _too_large(attempt, params)  # the limits may be lower than at the time of the download
    return take_back(attempt, raw=raw, reason=too_large) if attempt.file and too_large else attempt


def _too_large(attempt: Attempt, params: Params) -> str:
    if attempt.bytes > params.max_megabytes * 1e6:
        return f"larger than {params.max_megabytes:g} MB"
    if attempt.width * attempt.height > params.max_megapixels * 1e6:
        return f"more than {params.max_megapixels:g} megapixels"
    return ""


def _of_last_commit() -> list[Entry]:
    """Return the downloads in the last commit's manifest."""
    last = last_commit.read_last_commit()
    if last is None:
        return []
    downloaded = last.manifest["fetched_at"] != ""
    rows = last.manifest[downloaded | last.manifest["url"].str.startswith(last_commit.REDACTED)]
    return [
        Entry(
            url=str(row["url"]),
            sha256=str(row["sha256"]),
            reason="" if row["sha256"] else str(row["reason"]),
            fetched_at=str(row["fetched_at"]),
            refresh=last.params.refresh,
            terms=_terms(last.params),
            honored_opt_out=last.params.honor_opt_out,
        )
        for row in rows.to_dict("records")
    ]


def _restore(urls: Iterable[str], journal: Journal, store: Path, *, taken_out: TakenOut) -> None:
    """Restore photos that the cache has lost from DVC's cache or remote."""
    lost = {entry.sha256 for url in urls for entry in journal.about(url) if entry.sha256}
    lost = {one for one in lost if one not in taken_out and not blob_path(store, one).exists()}
    last = last_commit.read_last_commit() if lost else None
    if last is None:
        return
    rows = last.manifest[last.manifest["sha256"].isin(lost) & (last.manifest["file"] != "")]
    if len(rows):
        restored = last_commit.restore(dict(zip(rows["sha256"], rows["file"], strict=True)), store)
        tell(f"scrape: restored from DVC {restored} of {len(lost)} photos that the cache had lost")


def _limits(params: Params) -> Limits:
    return Limits(
        connections=params.connections,
        connections_per_host=params.connections_per_host,
        delay=params.delay,
        attempts=params.attempts,
        timeout=params.timeout,
        deadline=params.deadline,
        max_bytes=int(params.max_megabytes * 1e6),
        max_pixels=int(params.max_megapixels * 1e6),
        honor_opt_out=params.honor_opt_out,
    )


def _terms(params: Params) -> str:
    """Return a fingerprint of the limits that affect whether a download fails (not concurrency and delay)."""
    limits = asdict(_limits(params))
    return cache.fingerprint({k: v for k, v in limits.items() if not k.startswith(("connections", "delay"))})


class QueryBar(Bar):
    """A bar over the addresses in ``links``; on a terminal it also prints one line per finished query."""

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

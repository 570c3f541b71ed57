"""Gathers photos from the source that params.yaml names; the module ``source`` describes sources."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, replace
from pathlib import Path

from stages.scrape import bing_search, cifar10, downloads, flowers102, folder, sample, urls
from stages.scrape.blocking import TakenOut, refuse
from stages.scrape.manifest import Attempt
from stages.scrape.params import Params
from stages.scrape.source import Link, Source
from stages.storage.tables import may_be_altered
from ungray.errors import UngrayError

SOURCES: dict[str, Source] = {
    "sample": sample.gather,
    "folder": folder.gather,
    "bing": bing_search.gather,
    "urls": urls.gather,
    "flowers102": flowers102.gather,
    "cifar10": cifar10.gather,
}


def run(params: Params, raw: Path, *, taken_out: TakenOut | None = None) -> list[Attempt]:
    """Gather photos into the empty folder ``raw``; return a row for every attempt, by query, rank and URL.

    ``taken_out`` are the blocked photos.

    Raises:
        UngrayError: no usable photo was found; the message says why and what to do.
    """
    taken_out = taken_out or TakenOut.of([])
    attempts: list[Attempt] = []
    links: list[Link] = []
    for found in SOURCES[params.source](params, raw):
        if not isinstance(found, Link):
            attempts.append(found)
        elif may_be_altered(found.url):
            attempts.append(Attempt(status="refused", reason="not a web address", **asdict(found)))
        else:
            links.append(found)
    attempts += downloads.download(links, params, raw, taken_out=taken_out) if links else []
    attempts.sort(key=lambda attempt: (attempt.query, attempt.rank, attempt.url))
    attempts = without_repeats(refuse(attempts, taken_out, raw))
    if not any(attempt.status == "kept" for attempt in attempts):
        where = {"folder": f" {params.folder}", "urls": f" {params.urls}"}.get(params.source, "")
        reasons = sorted({attempt.reason for attempt in attempts})
        raise UngrayError(
            f"scrape.source {params.source}{where}: none of {len(attempts)} files is a photo "
            f"({'; '.join(reasons[:3])}); point params.yaml at photos"
        )
    return attempts


def without_repeats(attempts: Iterable[Attempt]) -> list[Attempt]:
    """Return ``attempts``; if several gave the same file of the same query, all but the first are refused."""
    first: dict[str, Attempt] = {}
    unique = []
    for attempt in attempts:
        if attempt.file and first.setdefault(attempt.file, attempt) is not attempt:
            attempt = replace(
                attempt, status="refused", reason="same bytes as another of this query", file=""
            )
        unique.append(attempt)
    return unique

"""Addresses of photos taken out, struck out of what the working cache keeps of searches and downloads.

The checksum takes their place: a search that is replayed still refuses the photo at its rank, unasked.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Set

from stages.scrape import searches
from stages.scrape.last_commit import REDACTED
from stages.storage import cache
from ungray.system.files import whole_file


def addresses(checksums: Set[str]) -> dict[str, str]:
    """Return the addresses that the journal of downloads tells of photos, by SHA-256: URL to SHA-256."""
    entries = _entries()
    found = {entry["url"]: entry["sha256"] for entry in entries if entry["sha256"] in checksums}
    return {url: sha256 for url, sha256 in found.items() if not url.startswith(REDACTED)}


def _entries() -> list[dict[str, str]]:
    journal = cache.folder("scrape", "journal") / "downloads.jsonl"
    text = journal.read_text(encoding="utf-8", errors="replace") if journal.exists() else ""
    return [entry for line in text.splitlines() if (entry := _entry(line))]


def redact(checksums: Set[str], known: Mapping[str, str]) -> None:
    """Strike out the addresses of the photos with these SHA-256.

    ``known`` are those that the manifest tells of, URL to SHA-256; the journal of downloads knows more.
    """
    journal = cache.folder("scrape", "journal") / "downloads.jsonl"
    entries = _entries()
    struck = dict(known) | {e["url"]: e["sha256"] for e in entries if e["sha256"] in checksums}
    if any(entry["url"] in struck for entry in entries):
        for entry in entries:
            entry["url"] = _instead(entry["url"], struck)
        with whole_file(journal) as partial:
            partial.write_text("".join(json.dumps(entry) + "\n" for entry in entries), encoding="utf-8")
    for search in sorted(cache.folder("scrape", "searches").iterdir()):
        for refresh, answer in searches.known(search, upto=sys.maxsize).items():
            if any(url in struck for url, _ in answer):
                less = [(_instead(url, struck), "" if url in struck else page) for url, page in answer]
                searches.keep(search, less, refresh=refresh)


def _instead(url: str, struck: Mapping[str, str]) -> str:
    return REDACTED + struck[url] if url in struck else url


def _entry(line: str) -> dict[str, str] | None:
    try:
        entry = json.loads(line)
        return entry if {"url", "sha256"} <= entry.keys() else None
    except (ValueError, AttributeError):
        return None  # a line that a kill cut off; the journal passes over it, too

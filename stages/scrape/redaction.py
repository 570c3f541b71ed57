"""Removes the addresses of blocked photos from the searches and downloads in the working cache.

The checksum replaces them: a replayed search still refuses the photo at its rank, without a request.
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
    """Return the addresses of photos in the journal of downloads: URL to SHA-256."""
    entries = _entries()
    found = {entry["url"]: entry["sha256"] for entry in entries if entry["sha256"] in checksums}
    return {url: sha256 for url, sha256 in found.items() if not url.startswith(REDACTED)}


def _entries() -> list[dict[str, str]]:
    journal = cache.folder("scrape", "journal") / "downloads.jsonl"
    text = journal.read_text(encoding="utf-8", errors="replace") if journal.exists() else ""
    return [entry for line in text.splitlines() if (entry := _entry(line))]


def redact(checksums: Set[str], in_manifest: Mapping[str, str]) -> None:
    """Replace the addresses of the photos with these SHA-256.

    ``in_manifest`` are the addresses in the manifest, URL to SHA-256; the journal of downloads has more.
    """
    journal = cache.folder("scrape", "journal") / "downloads.jsonl"
    entries = _entries()
    redacted = dict(in_manifest) | {e["url"]: e["sha256"] for e in entries if e["sha256"] in checksums}
    if any(entry["url"] in redacted for entry in entries):
        for entry in entries:
            entry["url"] = _replaced(entry["url"], redacted)
        with whole_file(journal) as partial:
            partial.write_text("".join(json.dumps(entry) + "\n" for entry in entries), encoding="utf-8")
    for search in sorted(cache.folder("scrape", "searches").iterdir()):
        for refresh, answer in searches.load(search, upto=sys.maxsize).items():
            if any(url in redacted for url, _ in answer):
                less = [(_replaced(url, redacted), "" if url in redacted else page) for url, page in answer]
                searches.save(search, less, refresh=refresh)


def _replaced(url: str, redacted: Mapping[str, str]) -> str:
    return REDACTED + redacted[url] if url in redacted else url


def _entry(line: str) -> dict[str, str] | None:
    try:
        entry = json.loads(line)
        return entry if {"url", "sha256"} <= entry.keys() else None
    except (ValueError, AttributeError):
        return None  # a line truncated by a kill, which the journal ignores as well

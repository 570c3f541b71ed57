"""Refuses the blocked photos in data/blocked.csv, which were taken out for good, and adds to them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from stages.scrape.manifest import Attempt
from stages.storage import blocklist, cache, tables
from stages.storage.blocklist import BLOCKED, COLUMNS, Blocked, encoded
from ungray.imaging import decoding, duplicates, photos
from ungray.imaging.decoding import Decoder
from ungray.imaging.duplicates import Signature
from ungray.system.files import sha256, whole_file

REASON = "taken out"
STAYING = ["source", "query", "rank", "sha256"]
"""The columns of the manifest that are kept for a blocked photo: neither its address nor its author."""


class TakenOut:
    """The photos that must not be gathered again. Finds files with these photos or copies, each file once."""

    def __init__(self, table: pd.DataFrame, *, cache_folder: Path | None = None) -> None:
        """``cache_folder`` is a folder that caches the results between runs."""
        self._blocked = Blocked(table)
        self._checksums = set(table["sha256"])
        self._path = cache_folder / "copies.json" if cache_folder else None
        self._known = _read_known(self._path) if self._path else {}
        self._new = False

    @classmethod
    def here(cls) -> TakenOut:
        """Return the photos of data/blocked.csv."""
        table = blocklist.read_blocklist()
        code = cache.code_fingerprint(*(Path(str(m.__file__)) for m in (blocklist, duplicates, photos)))
        return cls(table, cache_folder=cache.folder("taken_out", cache.fingerprint(code, table.to_csv())))

    @classmethod
    def of(cls, checksums: Iterable[str]) -> TakenOut:
        """Return photos of which only the SHA-256 is known."""
        return cls(pd.DataFrame({"sha256": list(checksums)}).reindex(columns=list(COLUMNS), fill_value=""))

    def at(self, url: str) -> str:
        """Return the SHA-256 of the blocked photo that was found at ``url``; empty if there is none."""
        return self._blocked.at(url)

    def by(self, checksum: str, path: Path) -> str:
        """Return the SHA-256 of the blocked photo that the file at ``path`` is or is a copy of; else empty.

        ``checksum`` is that of the file. A file that cannot be decoded is not a copy of any.
        """
        if checksum in self._checksums:
            return checksum
        if not self._blocked.has_looks or not path.is_file():
            return ""
        if checksum in self._known:
            return self._known[checksum]
        try:
            return self.copied_from(path.read_bytes())
        except photos.PhotoError:
            return ""

    def copied_from(self, content: bytes, decoder: Decoder | None = None) -> str:
        """As :meth:`by`, for the bytes of a file; ``decoder`` decodes them, if given.

        Raises:
            PhotoError: they cannot be decoded.
        """
        checksum = sha256(content)
        if checksum in self._checksums:
            return checksum
        if not self._blocked.has_looks:
            return ""
        if checksum not in self._known:
            signature = (decoder.run if decoder else decoding.limited)(_signature, content)
            self._known[checksum], self._new = self._blocked.like(signature), True
        return self._known[checksum]

    def __contains__(self, checksum: object) -> bool:
        return checksum in self._checksums

    def save(self) -> None:
        """Write the results to the cache."""
        if self._path and self._new:
            with whole_file(self._path) as partial:
                partial.write_text(json.dumps(self._known))
            self._new = False


def _signature(content: bytes) -> Signature:
    return duplicates.signature(photos.read_rgb(content))


def _read_known(path: Path) -> dict[str, str]:
    try:
        found = json.loads(path.read_text())
        return {str(key): str(value) for key, value in found.items()}
    except (OSError, ValueError, AttributeError):
        return {}  # the cache is missing or damaged


def refuse(attempts: Iterable[Attempt], taken_out: TakenOut, raw: Path) -> Iterator[Attempt]:
    """Yield ``attempts``; photos in ``taken_out`` and copies leave ``raw`` and become refused rows.

    Such a row has the SHA-256 of the blocked photo.
    """
    for attempt in attempts:
        found = taken_out.by(attempt.sha256, raw / attempt.file)
        if found:
            if attempt.file:
                (raw / attempt.file).unlink(missing_ok=True)
            about: dict[str, Any] = {name: getattr(attempt, name) for name in STAYING}
            attempt = Attempt(status="refused", reason=REASON, **about | {"sha256": found})
        yield attempt
    taken_out.save()


@dataclass(frozen=True)
class Remembered:
    """What is recorded of a blocked photo: its hashes, if it could be decoded, and its addresses."""

    signature: Signature | None
    phash: str
    addresses: Set[str]


def add(gone: Mapping[str, Remembered], path: Path = BLOCKED) -> None:
    """Add ``gone``, by SHA-256, to the table at ``path``, sorted; existing values of a photo are kept."""
    rows = blocklist.read_blocklist(path).set_index("sha256").to_dict("index")
    for checksum, one in gone.items():
        row = rows.setdefault(checksum, dict.fromkeys(COLUMNS, ""))
        row["phash"] = str(row["phash"]) or one.phash
        words = encoded(duplicates.sketch(one.signature.corners)) if one.signature else ""
        row["words"] = str(row["words"]) or words
        marks = {blocklist.address_mark(url) for url in one.addresses}
        row["addresses"] = " ".join(sorted({*str(row["addresses"]).split(), *marks}))
    cells = [{**row, "sha256": checksum} for checksum, row in sorted(rows.items())]
    tables.write_table(pd.DataFrame(cells, columns=list(COLUMNS)), path)

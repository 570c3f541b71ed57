"""Finds photos of the collection by name, checksum, address or appearance, to take them out."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pandas as pd

from stages.storage import blocklist, tables
from ungray.errors import UngrayError
from ungray.imaging import decoding, duplicates, photos
from ungray.system.files import sha256

RAW, MANIFEST, VERDICTS = Path("data/raw"), Path("data/manifest.csv"), Path("data/verdicts.csv")
DIGITS = re.compile(r"[0-9a-f]{16,64}")


@dataclass(frozen=True)
class Collection:
    """The photos of a working tree.

    ``near_distance`` is the largest number of bits, of 64, in which the hashes of two copies differ.
    """

    manifest: pd.DataFrame
    verdicts: pd.DataFrame
    blocked: pd.DataFrame
    near_distance: int

    @classmethod
    def here(cls, *, near_distance: int) -> Collection:
        """Return the photos of this working tree; without verdicts their hashes are unknown.

        Raises:
            UngrayError: there is no manifest, or a table is damaged.
        """
        verdicts = pd.DataFrame(columns=["sha256", "phash"], dtype=str)
        if VERDICTS.exists():
            verdicts = tables.read_table(VERDICTS, made_by="filter")
        return cls(
            tables.read_table(MANIFEST, made_by="scrape"), verdicts, blocklist.read_blocklist(), near_distance
        )

    @cached_property
    def phashes(self) -> dict[str, str]:
        """The perceptual hash by SHA-256, of photos in the collection and in the blocklist."""
        both = pd.concat([self.verdicts[["sha256", "phash"]], self.blocked[["sha256", "phash"]]])
        return {checksum: phash for checksum, phash in both.itertuples(index=False) if phash}

    def meant(self, name: str, *, near: bool) -> set[str]:
        """Return the SHA-256 of the photos that ``name`` means: a file, a checksum or its start, or a URL.

        Raises:
            UngrayError: it refers to no photo, or only looks like one and ``near`` is not set.
        """
        path = Path(name)
        content = path.read_bytes() if path.is_file() else None
        known = {*self.manifest["sha256"], *self.blocked["sha256"]} - {""}
        if content is not None and sha256(content) in known:
            return {sha256(content)}
        digits = DIGITS.match(path.name)
        if digits and (found := {checksum for checksum in known if checksum.startswith(digits[0])}):
            return found
        rows = self.manifest[(self.manifest["url"] == name) & (self.manifest["url"] != "")]
        if found := set(rows["sha256"]) - {""}:
            return found
        if content is None:
            raise UngrayError(
                f"{name} is not a file, nor a checksum or URL in {MANIFEST}; if it has already been taken "
                f"out, its checksum is in {blocklist.BLOCKED}"
            )
        try:
            likes = self.near(duplicates.phash(decoding.limited(photos.read_rgb, content)))
        except photos.PhotoError as error:
            raise UngrayError(f"{name} is not a photo of this collection: {error}") from None
        if likes and not near:
            raise UngrayError(
                f"{name} is not a photo of this collection, but looks like "
                f"{', '.join(f'{self.title(other)} ({bits} bits of 64)' for other, bits in likes.items())}; "
                "name what you mean, or add --near"
            )
        if not likes:
            raise UngrayError(f"{name} is not a photo of this collection, and none looks like it")
        return set(likes)

    def near(self, phash: str) -> dict[str, int]:
        """Return the photos that look like ``phash``, nearest first: differing bits by SHA-256."""
        differing = duplicates.distances(phash, self.verdicts["phash"].tolist())
        bits = dict(zip(self.verdicts["sha256"].astype(str), differing, strict=True))
        found = [(count, checksum) for checksum, count in bits.items() if count <= self.near_distance]
        return {checksum: count for count, checksum in sorted(found)}

    def alike(self, checksums: set[str]) -> dict[str, str]:
        """Return the reason, by SHA-256, of photos that look like one of these or are from its photograph."""
        why: dict[str, str] = {}
        for checksum in sorted(checksums):
            if phash := self.phashes.get(checksum):
                why |= {other: f"{bits} bits of 64 differ" for other, bits in self.near(phash).items()}
            rows = self.manifest[self.manifest["sha256"] == checksum]
            cut = self.manifest["photograph"].isin(set(rows["photograph"]) - {""})
            cut &= self.manifest["status"] == "kept"
            why |= dict.fromkeys(sorted(self.manifest.loc[cut, "sha256"]), "cut from the same photograph")
        return {other: reason for other, reason in why.items() if other not in checksums}

    def signature(self, checksum: str) -> duplicates.Signature | None:
        """Return the hashes of a photo from its file; None if no file can be read."""
        for file in self.files(checksum):
            try:
                return duplicates.signature(decoding.limited(photos.read_rgb, (RAW / file).read_bytes()))
            except (photos.PhotoError, FileNotFoundError):
                continue
        return None

    def files(self, checksum: str) -> list[str]:
        """Return the photo's files below data/raw; several queries may have found the same photo."""
        files = self.manifest.loc[self.manifest["sha256"] == checksum, "file"]
        return sorted(set(files) - {""})

    def title(self, checksum: str) -> str:
        """Return the name of a photo for messages: its file, else the start of its checksum."""
        return next(iter(self.files(checksum)), checksum[:16])

    def originals(self, checksums: set[str]) -> list[str]:
        """Return the local files and lists that the photos come from, according to the manifest."""
        rows = self.manifest[self.manifest["sha256"].isin(checksums) & (self.manifest["url"] != "")]
        local = rows[~rows["url"].str.match(r"https?://") | (rows["source"] == "urls")]
        return sorted(set(local["source"] + " " + local["url"]))

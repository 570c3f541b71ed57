"""The blocklist ``data/blocked.csv``: photos removed for good, by checksum, appearance and address."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from ungray.errors import UngrayError
from ungray.imaging.duplicates import Signature, Sketch, Sketched
from ungray.system.files import sha256

BLOCKED = Path("data/blocked.csv")
COLUMNS = {
    "sha256": "[0-9a-f]{64}",
    "phash": "([0-9a-f]{16})?",
    "words": "([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?",
    "addresses": "([0-9a-f]{32}( [0-9a-f]{32})*)?",
}
"""Each column and the pattern of its cells. ``phash`` is that of :func:`ungray.imaging.duplicates.phash`,
``words`` the :func:`ungray.imaging.duplicates.sketch` in Base64; both are empty for a file that could not be
decoded. ``addresses`` are the first digits of the SHA-256 of each address that the photo was found at."""

OLD_COLUMNS = ["sha256", "phash"]
"""The columns of tables written by earlier versions."""


def read_blocklist(path: Path = BLOCKED) -> pd.DataFrame:
    """Return the table at ``path``, its cells as text.

    Raises:
        UngrayError: it is missing or damaged. Nothing may be gathered then: a blocked photo could come back.
    """
    way_out = f"which lists the photos that were removed for good; `git checkout {path}` restores it"
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
    except FileNotFoundError:
        raise UngrayError(f"{path} not found, {way_out}") from None
    except ValueError as error:
        raise UngrayError(f"{path} is damaged ({str(error).splitlines()[0]}), {way_out}") from None
    if list(table.columns) == OLD_COLUMNS:
        table = table.assign(words="", addresses="")
    if list(table.columns) != list(COLUMNS):
        raise UngrayError(f"{path} needs the columns {','.join(COLUMNS)}, {way_out}")
    for column, form in COLUMNS.items():
        wrong = table[~table[column].str.fullmatch(form)]
        if len(wrong):
            line, cell = wrong.index[0] + 2, wrong[column].iloc[0][:80]
            raise UngrayError(f"{path}, line {line}: {column} is {cell!r}, which is not valid, {way_out}")
    return table


def encoded(words: Sketch) -> str:
    """Return ``words`` as a cell of the table."""
    return base64.b64encode(words.astype("<u4").tobytes()).decode()


def address_mark(url: str) -> str:
    """Return the first half of the SHA-256 of an address, which is what the table contains of it."""
    return sha256(url.encode("utf-8", "surrogatepass"))[:32]


@dataclass(frozen=True)
class Blocked:
    """The blocked photos, to compare others with."""

    table: pd.DataFrame

    @cached_property
    def addresses(self) -> dict[str, str]:
        """The SHA-256 of the photo that was found at each address, by the address's :func:`address_mark`."""
        rows = zip(self.table["sha256"], self.table["addresses"], strict=True)
        return {mark: checksum for checksum, marks in rows for mark in marks.split()}

    def at(self, url: str) -> str:
        """Return the SHA-256 of the blocked photo that was found at ``url``; empty if there is none."""
        return self.addresses.get(address_mark(url), "") if self.addresses else ""

    def like(self, signature: Signature) -> str:
        """Return the SHA-256 of the first blocked photo that ``signature`` is a copy of; empty if none."""
        number = self._looks.like(signature)
        return "" if number is None else str(self.table["sha256"].iloc[number])

    @cached_property
    def has_looks(self) -> bool:
        """Whether any blocked photo can be compared by its appearance."""
        return bool((self.table["phash"] + self.table["words"] != "").any())

    @cached_property
    def _looks(self) -> Sketched:
        return Sketched(self.table["phash"].tolist(), [_decoded(cell) for cell in self.table["words"]])


def _decoded(cell: str) -> Sketch:
    try:
        return np.frombuffer(base64.b64decode(cell), "<u4").astype(np.uint32)
    except (ValueError, binascii.Error):
        raise UngrayError(f"{BLOCKED}: damaged column words; `git checkout {BLOCKED}` restores it") from None

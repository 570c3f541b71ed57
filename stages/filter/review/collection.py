"""The photos of ``data/verdicts.csv`` as the page shows them: selected, grouped, counted."""

from __future__ import annotations

import threading
from collections.abc import Collection as Group
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from stages.filter.review.decisions import Decision
from stages.storage import tables
from ungray.errors import UngrayError
from ungray.system.files import sha256

NEEDED = ["file", "query", "verdict", "check", "reason", "group", "sha256"]
MATES = 12
"""The largest number of other photos of its group that are shown with a photo."""

NEVER_KEPT = ["decode", "taken_out"]
"""Checks that a decision by hand does not overrule."""

Show = Literal["all", "kept", "rejected", "by_hand", "not_viewed"]


@dataclass(frozen=True)
class Selection:
    """The filters of the page; None means every query or every check. An empty check selects kept photos."""

    query: str | None = None
    check: str | None = None
    show: Show = "all"


class Photos:
    """The photos of the table; ``id`` (16 hexadecimal digits of the file name's hash) identifies a row."""

    def __init__(self, table: pd.DataFrame) -> None:
        self.table = table.assign(id=[sha256(file.encode())[:16] for file in table["file"]])
        self._rows = {identity: row for row, identity in enumerate(self.table["id"])}
        self._ids = dict(zip(self.table["file"], self.table["id"], strict=True))
        self._files = dict(zip(table["sha256"], table["file"], strict=True))
        in_groups = self.table[self.table["group"] != ""]
        # Kept photos first: a duplicate is compared with the photo that was preferred.
        in_groups = in_groups.sort_values(["verdict", "file"])
        self._mates = {name: part["id"].tolist() for name, part in in_groups.groupby("group")}

    def file(self, checksum: str) -> str | None:
        """Return the file below data/raw with that SHA-256, None if the table has none."""
        return self._files.get(checksum)

    def row(self, identity: str) -> dict[str, Any] | None:
        """Return all columns of the photo ``identity``, None if there is none."""
        row = self._rows.get(identity)
        return None if row is None else {str(k): v for k, v in self.table.iloc[row].items()}

    def listed(
        self, selection: Selection, *, by: str, decided: Group[str], seen: Group[str]
    ) -> tuple[list[str], list[dict[str, Any]]]:
        """Return the ids of the selected photos, grouped ``by`` query or check, and each group's size."""
        masks = self._masks(selection, decided, seen)
        part = self.table[masks["query"] & masks["check"] & masks["show"]]
        # Rejected photos first: they are what a person usually wants to review.
        part = part.assign(kept=part["check"] == "").sort_values(
            ["query", "file"] if by == "query" else ["kept", "check", "query", "file"]
        )
        sizes = part.groupby(by, sort=False).size()
        return part["id"].tolist(), [{"name": name, "size": int(n)} for name, n in sizes.items()]

    def counts(
        self, selection: Selection, *, decided: Mapping[str, Decision], seen: Group[str]
    ) -> dict[str, Any]:
        """Return the number of photos for each choice of a filter, the other filters being unchanged."""
        masks = self._masks(selection, decided, seen)
        shows = self._shows(decided, seen)
        part = masks["query"] & masks["check"]
        return {
            "query": _sizes(self.table["query"][masks["check"] & masks["show"]]),
            "check": _sizes(self.table["check"][masks["query"] & masks["show"]]),
            "show": {name: int((part & mask).sum()) for name, mask in shows.items()},
            "progress": {
                "photos": len(self.table),
                "viewed": int((~shows["not_viewed"]).sum()),
                "decided": int(shows["by_hand"].sum()),
                "waiting": self._waiting(decided),
            },
        }

    def described(
        self, identities: Iterable[str], *, decided: Mapping[str, Decision]
    ) -> list[dict[str, Any]]:
        """Return the data that the page shows about each photo; unknown ids are left out."""
        found = [row for row in map(self.row, identities) if row is not None]
        return [self._describe(row, decided) for row in found]

    def _describe(self, row: dict[str, Any], decided: Mapping[str, Decision]) -> dict[str, Any]:
        decision = decided.get(row["sha256"])
        mates = [mate for mate in self._mates.get(row["group"], []) if mate != row["id"]]
        shown = {name: row[name] for name in [*NEEDED, "id"]}
        measures = {name: _text(row[name]) for name in row if name not in shown}
        return shown | {
            "decision": decision.decision if decision else None,
            "note": decision.note if decision else "",
            "measures": {name: text for name, text in measures.items() if text},
            "twin": self._twin(row, decided),
            "mates": mates[:MATES],
            "mate_count": len(mates),
        }

    def _twin(self, row: dict[str, Any], decided: Mapping[str, Decision]) -> dict[str, Any] | None:
        """Return the data about the photo that ``row`` is a duplicate of, None if it is none."""
        twin = self.row(self._ids.get(row.get("duplicate_of", ""), ""))
        if twin is None:
            return None
        decision = decided.get(twin["sha256"])
        shown = {name: twin[name] for name in ("id", "file", "sha256", "verdict", "check", "reason")}
        dimensions = {name: _text(twin[name]) for name in ("width", "height") if name in twin}
        return shown | dimensions | {"decision": decision.decision if decision else None}

    def _masks(
        self, selection: Selection, decided: Group[str], seen: Group[str]
    ) -> dict[str, pd.Series[bool]]:
        everything = pd.Series(True, index=self.table.index)
        return {
            "query": everything if selection.query is None else self.table["query"].eq(selection.query),
            "check": everything if selection.check is None else self.table["check"].eq(selection.check),
            "show": self._shows(decided, seen)[selection.show],
        }

    def _shows(self, decided: Group[str], seen: Group[str]) -> dict[str, pd.Series[bool]]:
        kept = self.table["verdict"] == "kept"
        by_hand = self.table["sha256"].isin(list(decided))
        return {
            "all": kept | ~kept,
            "kept": kept,
            "rejected": ~kept,
            "by_hand": by_hand,
            "not_viewed": ~by_hand & ~self.table["sha256"].isin(list(seen)),
        }

    def _waiting(self, decided: Mapping[str, Decision]) -> int:
        """Return the number of photos whose decision was made, changed or undone after the verdicts."""
        checksums, check = self.table["sha256"], self.table["check"]
        kinds = checksums.map({checksum: decision.decision for checksum, decision in decided.items()})
        # Only one file of a photo needs to be kept, and damaged or blocked photos stay out in any case.
        kept = checksums.isin(checksums[check == ""]) | check.isin(NEVER_KEPT)
        by_review = check == "review"
        out_of_date = (
            ((kinds == "keep") & ~kept) | ((kinds == "reject") & ~by_review) | (kinds.isna() & by_review)
        )
        return int(checksums[out_of_date].nunique())


class Collection:
    """The table at ``path``, reloaded when it changes: `dvc repro` may run while the page is open."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._stamp: tuple[int, int, int] | None = None
        self._photos: Photos | None = None
        self.photos()

    @property
    def version(self) -> str:
        """A text that changes with the table."""
        return "-".join(map(str, self._stamp or ()))

    def photos(self) -> Photos:
        """Return the current photos; while DVC has removed the table, the last ones.

        Raises:
            UngrayError: the table is missing, damaged, or of another version.
        """
        with self._lock:
            try:
                status = self.path.stat()
                stamp = (status.st_mtime_ns, status.st_size, status.st_ino)
            except FileNotFoundError:
                stamp = None
            if self._photos is None or (stamp and stamp != self._stamp):
                self._photos, self._stamp = Photos(_read_verdicts(self.path)), stamp
            return self._photos


def _read_verdicts(path: Path) -> pd.DataFrame:
    table = tables.read_table(path, made_by="filter")
    if missing := [name for name in NEEDED if name not in table]:
        raise UngrayError(f"{path} has no column {missing[0]}; `dvc repro --force filter` makes it again")
    return table


def _text(value: Any) -> str:
    if isinstance(value, float):
        return "" if np.isnan(value) else f"{value:.6g}"
    return str(value)


def _sizes(values: pd.Series[str]) -> list[dict[str, Any]]:
    sizes = values.value_counts().sort_index()
    return [{"name": name, "size": int(size)} for name, size in sizes.items()]

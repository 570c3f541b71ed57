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
"""At most so many other photos of a photo's group are shown with it."""

NEVER_KEPT = ["decode", "taken_out"]
"""Checks that a decision by hand does not overrule."""

Show = Literal["all", "kept", "rejected", "by_hand", "not_looked_at"]


@dataclass(frozen=True)
class Selection:
    """Which photos are listed; None for every query, every check. An empty check selects the kept."""

    query: str | None = None
    check: str | None = None
    show: Show = "all"


class Photos:
    """One reading of the table: ``id`` (16 hexadecimal digits, from the file's name) stands for a row."""

    def __init__(self, table: pd.DataFrame) -> None:
        self.table = table.assign(id=[sha256(file.encode())[:16] for file in table["file"]])
        self._rows = {identity: row for row, identity in enumerate(self.table["id"])}
        self._ids = dict(zip(self.table["file"], self.table["id"], strict=True))
        self._files = dict(zip(table["sha256"], table["file"], strict=True))
        in_groups = self.table[self.table["group"] != ""]
        # The kept ones first: a duplicate is judged beside the photo that was preferred.
        in_groups = in_groups.sort_values(["verdict", "file"])
        self._mates = {name: part["id"].tolist() for name, part in in_groups.groupby("group")}

    def file(self, checksum: str) -> str | None:
        """Return the file below data/raw with these bytes, None if the table knows no such photo."""
        return self._files.get(checksum)

    def row(self, identity: str) -> dict[str, Any] | None:
        """Return every column of the photo ``identity``, None if there is none."""
        row = self._rows.get(identity)
        return None if row is None else {str(k): v for k, v in self.table.iloc[row].items()}

    def listed(
        self, selection: Selection, *, by: str, decided: Group[str], seen: Group[str]
    ) -> tuple[list[str], list[dict[str, Any]]]:
        """Return the ids of the selected photos, grouped ``by`` query or check, and each group's size."""
        masks = self._masks(selection, decided, seen)
        part = self.table[masks["query"] & masks["check"] & masks["show"]]
        # What was rejected comes first: that is what a person comes to look at.
        part = part.assign(kept=part["check"] == "").sort_values(
            ["query", "file"] if by == "query" else ["kept", "check", "query", "file"]
        )
        sizes = part.groupby(by, sort=False).size()
        return part["id"].tolist(), [{"name": name, "size": int(n)} for name, n in sizes.items()]

    def counts(
        self, selection: Selection, *, decided: Mapping[str, Decision], seen: Group[str]
    ) -> dict[str, Any]:
        """Return how many photos each choice of a filter would list, the other filters being as they are."""
        masks = self._masks(selection, decided, seen)
        shows = self._shows(decided, seen)
        part = masks["query"] & masks["check"]
        return {
            "query": _sizes(self.table["query"][masks["check"] & masks["show"]]),
            "check": _sizes(self.table["check"][masks["query"] & masks["show"]]),
            "show": {name: int((part & mask).sum()) for name, mask in shows.items()},
            "progress": {
                "photos": len(self.table),
                "looked_at": int((~shows["not_looked_at"]).sum()),
                "decided": int(shows["by_hand"].sum()),
                "waiting": self._waiting(decided),
            },
        }

    def described(
        self, identities: Iterable[str], *, decided: Mapping[str, Decision]
    ) -> list[dict[str, Any]]:
        """Return what the page shows of each photo; ids that are unknown are left out."""
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
        """Return what is shown of the photo that ``row`` duplicates, None if it duplicates none."""
        twin = self.row(self._ids.get(row.get("duplicate_of", ""), ""))
        if twin is None:
            return None
        decision = decided.get(twin["sha256"])
        shown = {name: twin[name] for name in ("id", "file", "sha256", "verdict", "check", "reason")}
        sides = {name: _text(twin[name]) for name in ("width", "height") if name in twin}
        return shown | sides | {"decision": decision.decision if decision else None}

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
            "not_looked_at": ~by_hand & ~self.table["sha256"].isin(list(seen)),
        }

    def _waiting(self, decided: Mapping[str, Decision]) -> int:
        """Return how many photos' decisions were made, changed or undone since the verdicts were."""
        checksums, check = self.table["sha256"], self.table["check"]
        kinds = checksums.map({checksum: decision.decision for checksum, decision in decided.items()})
        # To keep a photo is to keep it once, and what is damaged or taken out stays out whatever is decided.
        kept = checksums.isin(checksums[check == ""]) | check.isin(NEVER_KEPT)
        by_review = check == "review"
        out_of_date = (
            ((kinds == "keep") & ~kept) | ((kinds == "reject") & ~by_review) | (kinds.isna() & by_review)
        )
        return int(checksums[out_of_date].nunique())


class Collection:
    """The table at ``path``, read again when it has changed: `dvc repro` may run while the page is open."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._stamp: tuple[int, int, int] | None = None
        self._photos: Photos | None = None
        self.photos()

    @property
    def version(self) -> str:
        """A text that changes when the table has."""
        return "-".join(map(str, self._stamp or ()))

    def photos(self) -> Photos:
        """Return the table as it stands; while DVC has it away, as it stood.

        Raises:
            UngrayError: there is no such table, or it is damaged or of another version.
        """
        with self._lock:
            try:
                status = self.path.stat()
                stamp = (status.st_mtime_ns, status.st_size, status.st_ino)
            except FileNotFoundError:
                stamp = None
            if self._photos is None or (stamp and stamp != self._stamp):
                self._photos, self._stamp = Photos(_read(self.path)), stamp
            return self._photos


def _read(path: Path) -> pd.DataFrame:
    table = tables.read(path, made_by="filter")
    if missing := [name for name in NEEDED if name not in table]:
        raise UngrayError(f"{path} has no column {missing[0]}; `dvc repro --force filter` makes it anew")
    return table


def _text(value: Any) -> str:
    if isinstance(value, float):
        return "" if np.isnan(value) else f"{value:.6g}"
    return str(value)


def _sizes(values: pd.Series[str]) -> list[dict[str, Any]]:
    sizes = values.value_counts().sort_index()
    return [{"name": name, "size": int(size)} for name, size in sizes.items()]

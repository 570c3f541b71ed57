"""``data/review.csv``: the decisions made by hand, sorted, so that a change is one line of a diff.

Also the list of viewed photos, in the working cache.
"""

from __future__ import annotations

import threading
import unicodedata
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

import pandas as pd

from stages.storage import tables
from ungray.errors import UngrayError

COLUMNS = ["sha256", "file", "decision", "note"]
KINDS = ("keep", "reject")
NOTE_LENGTH = 500


@dataclass(frozen=True)
class Decision:
    """A decision, keep or reject, on the photo with that ``sha256``, shown as ``file`` below data/raw."""

    sha256: str
    file: str
    decision: str
    note: str = ""


class ConflictError(UngrayError):
    """The decision to be replaced has changed meanwhile."""


class Decisions:
    """The decisions on disk: every change is written at once and atomically. Thread-safe.

    The file is reloaded when it changes, so an edit by hand or a `git checkout` is not overwritten.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._stamp: tuple[int, int, int] | None = None
        self._known: dict[str, Decision] = {}

    def all(self) -> dict[str, Decision]:
        """Return the decisions by sha256; none if there is no file yet.

        Raises:
            UngrayError: the file is not a table of decisions; the message says what is wrong.
        """
        with self._lock:
            return self._read_decisions()

    def decide(self, sha256: str, change: Callable[[Decision | None], Decision | None]) -> Decision | None:
        """Replace the decision on ``sha256`` by the result of ``change`` (None: no decision); return it.

        Raises:
            UngrayError: as :meth:`all`, and whatever ``change`` raises; the file is not changed then.
        """
        with self._lock:
            decisions = dict(self._read_decisions())
            decided = change(decisions.pop(sha256, None))
            if decided is not None:
                decisions[sha256] = decided
            if decisions != self._known:
                self._write(decisions)
            return decided

    def _read_decisions(self) -> dict[str, Decision]:
        try:
            status = self.path.stat()
        except FileNotFoundError:
            self._stamp, self._known = None, {}
            return self._known
        stamp = (status.st_mtime_ns, status.st_size, status.st_ino)
        if stamp != self._stamp:
            self._known = read_decisions(self.path)
            self._stamp = stamp
        return self._known

    def _write(self, decisions: dict[str, Decision]) -> None:
        rows = sorted(decisions.values(), key=lambda decision: (decision.file, decision.sha256))
        tables.write_table(pd.DataFrame([asdict(row) for row in rows], columns=COLUMNS), self.path)
        self._known, self._stamp = decisions, None


def read_decisions(path: Path) -> dict[str, Decision]:
    """Return the decisions in the table at ``path`` by sha256.

    Raises:
        UngrayError: it is no such table, a decision is neither keep nor reject, or a photo has two decisions.
    """
    way_out = f"fix it by hand, or `git checkout {path}` restores the last committed one"
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
    except ValueError as error:
        raise UngrayError(f"{path} is damaged ({str(error).splitlines()[0]}); {way_out}") from None
    if list(table.columns) != COLUMNS:
        raise UngrayError(f"{path} needs the columns {','.join(COLUMNS)}; {way_out}")
    decisions: dict[str, Decision] = {}
    for number, row in enumerate(table.itertuples(index=False), start=2):
        decision = Decision(*(str(value) for value in row))
        if decision.decision not in KINDS:
            raise UngrayError(f"{path}, line {number}: decision is {decision.decision!r}, not keep or reject")
        if decisions.setdefault(decision.sha256, decision) is not decision:
            raise UngrayError(f"{path}, line {number}: {decision.sha256} has a second decision; {way_out}")
    return decisions


def one_line(note: str) -> str:
    """Return ``note`` as one line of at most :data:`NOTE_LENGTH` characters, without control characters."""
    spaced = " ".join(note.split())
    return "".join(c for c in spaced if unicodedata.category(c) not in ("Cc", "Cs"))[:NOTE_LENGTH].strip()


class Seen:
    """The photos that have been viewed, so that a review resumes where it stopped.

    A file of checksums (sha256) in the working cache, one per line; it is only appended to.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        lines = path.read_text(encoding="ascii", errors="replace").split() if path.exists() else []
        # A line truncated by a crash is not the checksum of any photo, so it does no harm.
        self.checksums = set(lines)

    def add(self, checksums: Iterable[str]) -> None:
        """Add ``checksums``."""
        with self._lock:
            if new := set(checksums) - self.checksums:
                with self.path.open("a", encoding="ascii") as lines:
                    lines.write("\n" + "\n".join(sorted(new)))
                # A new set, since other threads may be reading the old one.
                self.checksums = self.checksums | new

"""The results of all downloads, one JSON line each, written at once, so that a killed run loses none."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TextIO

from ungray.system.files import whole_file


@dataclass(frozen=True, kw_only=True)
class Entry:
    """The result of a download.

    ``sha256`` identifies the photo, or ``reason`` says why there is none. ``refresh`` is ``scrape.refresh``
    at that time, ``terms`` a fingerprint of the limits, ``honored_opt_out`` whether opt-outs were honored.
    """

    url: str
    sha256: str
    reason: str
    fetched_at: str
    refresh: int
    terms: str
    honored_opt_out: bool


class Journal:
    """The entries by URL, oldest first, and the file to which new ones are appended."""

    def __init__(self, file: TextIO, entries: Iterable[Entry]) -> None:
        self._file = file
        self._entries: dict[str, list[Entry]] = defaultdict(list)
        for entry in entries:
            self._entries[entry.url].append(entry)

    def about(self, url: str) -> list[Entry]:
        """Return the entries about ``url``, oldest first."""
        return self._entries.get(url, [])

    def add(self, entry: Entry) -> None:
        """Add ``entry`` and flush it, so that it survives a killed process."""
        self._file.write(_line(entry))
        self._file.flush()
        self._entries[entry.url].append(entry)


@contextmanager
def open_journal(path: Path) -> Iterator[Journal]:
    """Yield the journal at ``path``, which must exist. A line truncated by a kill is ignored."""
    text = path.read_text(encoding="utf-8", errors="replace")
    with path.open("a", encoding="utf-8") as file:
        if text and not text.endswith("\n"):
            file.write("\n")
        yield Journal(file, _parse_lines(text))


def begin(path: Path, entries: Iterable[Entry] = ()) -> None:
    """Create a journal at ``path`` with ``entries``, unless another process has just created one."""
    with whole_file(path, replace=False) as partial:
        partial.write_text("".join(map(_line, entries)), encoding="utf-8")


def _line(entry: Entry) -> str:
    return json.dumps(asdict(entry), ensure_ascii=True) + "\n"


def _parse_lines(text: str) -> Iterator[Entry]:
    for line in text.splitlines():
        try:
            yield Entry(**json.loads(line))
        except (ValueError, TypeError):
            continue

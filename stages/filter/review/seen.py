"""Which photos have been on the screen, so that a review goes on where it stopped; in the working cache."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from pathlib import Path


class Seen:
    """The checksums (sha256) of photos that were looked at, a line each; only ever appended to."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        lines = path.read_text(encoding="ascii", errors="replace").split() if path.exists() else []
        # A line cut short by a crash is no checksum of any photo, and does no harm.
        self.checksums = set(lines)

    def add(self, checksums: Iterable[str]) -> None:
        """Remember ``checksums``."""
        with self._lock:
            if new := set(checksums) - self.checksums:
                with self.path.open("a", encoding="ascii") as lines:
                    lines.write("\n" + "\n".join(sorted(new)))
                # A new set: readers hold the old one.
                self.checksums = self.checksums | new

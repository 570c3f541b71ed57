"""Reads the curves and progress grids that DVCLive writes, also while it writes them."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ungray.imaging.metrics import METRICS

Series = list[tuple[int, float]]
"""Epochs, from 0, and values."""

TITLES = {
    "loss": "Loss, in the network's own units (lower is better)",
    "learning_rate": "Learning rate at the end of the epoch",
    "loss_generator": "Generator's loss; 0.69 is the toss of a coin",
    "loss_discriminator": "Discriminator's loss; 0.69 is the toss of a coin",
    "discriminator_accuracy": "Share of photos that the discriminator tells apart; 0.5 is the toss of a coin",
}
ORDER = ["loss", "ciede2000", "psnr", "ab_mae", "learning_rate"]
LINES = ["train", "val", "gray"]
"""The lines of a curve, by the names of their files: gray is what the gray photos have."""


@dataclass(frozen=True)
class Curve:
    """One metric by epoch."""

    name: str
    lines: dict[str, Series]

    @property
    def title(self) -> str:
        """Its title, with unit and direction."""
        if self.name in TITLES:
            return TITLES[self.name]
        return METRICS[self.name].label if self.name in METRICS else self.name.replace("_", " ")

    @property
    def format(self) -> str:
        """The format of its values, as Python's ``format`` takes it."""
        if self.name == "learning_rate":
            return ".2g"
        return METRICS[self.name].format if self.name in METRICS else ".4f"

    def best(self) -> tuple[int, float] | None:
        """Return the epoch with the best val value, the first of a tie, and that value."""
        values = self.lines.get("val")
        if not values:
            return None
        sign = -1 if self.name in METRICS and METRICS[self.name].better == "higher" else 1
        return min(values, key=lambda point: (sign * point[1], point[0]))

    def described(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {
            "name": self.name,
            "title": self.title,
            "lines": self.lines,
            "texts": {
                line: [format(value, self.format) for _, value in points]
                for line, points in self.lines.items()
            },
        }


def read_curves(report: Path) -> list[Curve]:
    """Return the curves below ``report`` that have a value, the most important first."""
    found = []
    for path in sorted((report / "plots/metrics").glob("*")):
        if path.suffix == ".tsv":
            lines = {"train": read_series(path)}
        else:
            lines = {name: read_series(path / f"{name}.tsv") for name in LINES}
        lines = {name: points for name, points in lines.items() if points}
        if lines:
            found.append(Curve(path.stem, lines))
    rank = {name: number for number, name in enumerate(ORDER)}
    return sorted(found, key=lambda curve: (rank.get(curve.name, len(rank)), curve.name))


def read_series(path: Path) -> Series:
    """Return the whole rows of one of DVCLive's files; empty if there is no file."""
    try:
        # DVC deletes outputs before a stage runs, at any time.
        text = path.read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, NotADirectoryError):
        return []
    points = {}
    for row in text.splitlines(keepends=True)[1:]:
        cells = row.split("\t")
        if not row.endswith("\n") or len(cells) != 2:
            continue
        try:
            epoch, value = int(cells[0]), float(cells[1])
        except ValueError:
            continue
        if math.isfinite(value):
            points[epoch] = value
    return sorted(points.items())


def read_grids(report: Path) -> dict[int, Path]:
    """Return the progress grids below ``report`` by epoch."""
    grids = (report / "plots/images/grid").glob("*.jpg")
    return {int(path.stem): path for path in sorted(grids) if re.fullmatch(r"\d+", path.stem)}


def read_jpeg(path: Path) -> bytes | None:
    """Return a picture; None if it has gone or is half written."""
    try:
        content = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    return content if content[:2] == b"\xff\xd8" and content[-2:] == b"\xff\xd9" else None

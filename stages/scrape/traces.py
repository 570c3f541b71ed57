"""Finds and removes the traces of photos in a working tree."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Set
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from stages.scrape import redaction
from stages.scrape.blocking import REASON, STAYING
from stages.scrape.redaction import redact
from stages.storage import tables

MANIFEST, VERDICTS, REVIEW = Path("data/manifest.csv"), Path("data/verdicts.csv"), Path("data/review.csv")
INDEX = Path("data/prepared/index.csv")

NAMED = (
    "data/raw",
    "data/.raw.*",
    "data/prepared",
    "data/.prepared.*",
    ".cache",
    ".dvc/tmp/exps",
)
"""Folders in which a file's name starts with the first 16 digits of its photo's checksum."""

MIXED = (
    ".cache/pixels/*",
    ".cache/train/*",
    "data/prepared/train-*.tar",
    "data/.prepared.*/*.tar",
    ".dvc/tmp/exps/**/train-*.tar",
)
"""Files and folders that contain many photos; they are removed and made again from the remaining photos."""

SHOWN = {
    "reports/filter": ("train", "val", "test", ""),
    "dvc_plots": ("train", "val", "test", ""),
    ".cache/check": ("train",),  # of `python -m stages.doctor check`
    "reports/train/plots/images": ("val",),
    "reports/film.webp": ("val",),  # of earlier versions
    "reports/grids": ("test",),
    "reports/compare": ("test",),
    "reports/board": ("test",),
    ".cache/board": ("test",),
    "reports/report.html": ("val", "test"),
}
"""Files and folders with pictures that may show a photo, and the splits of the photos that they show; an
empty split means photos that were not prepared."""
PICTURES = {".png", ".jpg", ".jpeg", ".webp", ".gif", ".svg", ".html"}


@dataclass(frozen=True)
class Traces:
    """The traces of photos: their files, folders and pictures that may show them, and row counts by table."""

    files: tuple[Path, ...]
    mixed: tuple[Path, ...]
    pictures: tuple[Path, ...]
    rows: dict[Path, int]


def find(checksums: Set[str]) -> Traces:
    """Return the traces of the photos with these SHA-256 in the working tree and its cache."""
    counts = {path: int(_about(_read_table(path), checksums).sum()) for path in _tables()}
    return Traces(
        files=tuple(_named(checksums)),
        mixed=tuple(path for pattern in MIXED for path in sorted(Path().glob(pattern))),
        pictures=tuple(sorted(_pictures(checksums))),
        rows={path: count for path, count in counts.items() if count},
    )


def remove(traces: Traces, checksums: Set[str]) -> None:
    """Remove ``traces`` of the photos with these SHA-256; rows of the manifest keep only :data:`STAYING`.

    The manifest comes last: after an interruption, names and addresses of the photos can still be looked up.
    """
    redact(checksums, _in_manifest(checksums))
    for path in (*traces.files, *traces.pictures):
        path.unlink(missing_ok=True)
    for path in traces.mixed:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    for path in traces.rows:
        table = _read_table(path)
        about = _about(table, checksums)
        if path == MANIFEST:
            for column in table.columns.difference(STAYING):
                table.loc[about, column] = 0 if column in tables.NUMBERS else ""
            table.loc[about, ["status", "reason"]] = ["refused", REASON]
        else:
            table = table[~about]
        tables.write_table(table, path)


def addresses(checksums: Set[str]) -> dict[str, str]:
    """Return the known addresses of the photos with these SHA-256: URL to SHA-256."""
    return redaction.addresses(checksums) | _in_manifest(checksums)


def _in_manifest(checksums: Set[str]) -> dict[str, str]:
    table = _read_table(MANIFEST)
    rows = table[table["sha256"].isin(checksums) & table["url"].str.match("https?://")]
    return dict(zip(rows["url"], rows["sha256"], strict=True))


def _pictures(checksums: Set[str]) -> Iterator[Path]:
    """Yield the pictures that may show one of the photos with these SHA-256."""
    splits = {split for path in SHOWN for split in SHOWN[path]}
    if INDEX.is_file():
        index = _read_table(INDEX)
        prepared = index[_about(index, checksums)]
        found = set(prepared["photo"])
        splits = set(prepared["split"]) if "split" in prepared else splits
        splits |= {""} if {checksum[:16] for checksum in checksums} - found else set()
    for name, shown in SHOWN.items():
        if splits & set(shown):
            for path in [Path(name), *Path(name).rglob("*")]:
                if path.suffix.lower() in PICTURES and path.is_file():
                    yield path


def _tables() -> list[Path]:
    return [path for path in (INDEX, VERDICTS, REVIEW, MANIFEST) if path.is_file()]


def _read_table(path: Path) -> pd.DataFrame:
    return tables.read_table(path, made_by={MANIFEST: "scrape", INDEX: "prepare"}.get(path, "filter"))


def _about(table: pd.DataFrame, checksums: Set[str]) -> pd.Series:
    """Return for each row whether it contains data about one of the photos that must be removed."""
    if "photo" in table:
        return table["photo"].isin({checksum[:16] for checksum in checksums})
    about = table["sha256"].isin(checksums)
    return about & (table["reason"] != REASON) if "source_page" in table else about


def _named(checksums: Set[str]) -> Iterator[Path]:
    starts = {checksum[:16] for checksum in checksums}
    for name in NAMED:
        for path in sorted(path for top in Path().glob(name) for path in top.rglob("*")):
            if path.name.lstrip(".")[:16] in starts and path.is_file():
                yield path

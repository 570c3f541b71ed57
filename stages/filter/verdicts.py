"""``data/verdicts.csv``: every photo of the manifest, kept or rejected, with reason, measures and group."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from stages.filter.checks import TAKEN_OUT, after_decision, is_overruled, objection
from stages.filter.measurements import measure_all
from stages.filter.params import Params
from stages.filter.review.decisions import Decision
from stages.runtime.processes import Workers
from stages.storage.blocklist import Blocked
from ungray.errors import UngrayError
from ungray.imaging import duplicates
from ungray.system.terminal import tell

COLUMNS = [
    "file",
    "query",
    "verdict",
    "check",
    "reason",
    "duplicate_of",
    "group",
    "sha256",
    "photograph",
    "split",
    "bytes",
    "width",
    "height",
    "aspect",
    "chroma_p95",
    "tint_spread",
    "tint_hue",
    "lightness_p99",
    "white",
    "sharpness",
    "strip",
    "phash",
]
"""``verdict``: kept or rejected. ``check``: which one rejected the photo, a key of checks.CHECKS, empty if
kept; ``reason``: the same in words. ``duplicate_of``: the file that is better. ``group``: the same for
photos that must stay on one side of the split; empty for photos of no use. The rest is from the manifest
or of measures.Measures.
"""

SPLIT_ORDER = {"test": 0, "val": 1}
"""A photo that a data set brings for testing is kept before its twins, whatever their size."""


def run(
    params: Params,
    manifest: pd.DataFrame,
    raw: Path,
    *,
    workers: Workers,
    decisions: Mapping[str, Decision] | None = None,
    blocked: pd.DataFrame | None = None,
    known_in: Path | None = None,
) -> pd.DataFrame:
    """Judge every photo of ``manifest`` below ``raw``; return a table with :data:`COLUMNS`, sorted by file.

    Args:
        params: the section ``filter``.
        manifest: data/manifest.csv.
        raw: data/raw.
        workers: who measures: processes, 0 for one per core, or a Dask scheduler.
        decisions: made by hand, by sha256; those on photos that are not there are ignored.
        blocked: data/blocked.csv.
        known_in: folder that keeps measures from run to run; None for none.

    Raises:
        UngrayError: a photo of the manifest is missing, or none is kept.
    """
    table = manifest[manifest["status"] == "kept"].sort_values(["file", "rank"]).drop_duplicates("file")
    table = table[["file", "query", "sha256", "photograph", "split"]].reset_index(drop=True)
    paths = [raw / file for file in table["file"]]
    if missing := [path for path in paths if not path.is_file()]:
        raise UngrayError(f"{missing[0]} of data/manifest.csv is missing; run `dvc repro --force scrape`")
    measures = measure_all(paths, table["sha256"].tolist(), workers=workers, known_in=known_in)
    table = pd.concat([table, pd.DataFrame([m.figures() for m in measures])], axis=1)
    table["aspect"] = [round(m.aspect, 3) for m in measures]
    by_hand = [(decisions or {}).get(checksum) for checksum in table["sha256"]]
    objections = [objection(m, params) for m in measures]
    overruled = [is_overruled(*pair) for pair in zip(objections, by_hand, strict=True)]
    objections = [after_decision(*pair) for pair in zip(objections, by_hand, strict=True)]
    if blocked is not None and len(blocked):
        banned, checksums = Blocked(blocked), set(blocked["sha256"])
        for row, (checksum, of_row) in enumerate(zip(table["sha256"], measures, strict=True)):
            if checksum in checksums or (of_row.look.phash and banned.like(of_row.look)):
                objections[row] = TAKEN_OUT
    table["check"] = [found.check if found else "" for found in objections]
    table["reason"] = [found.reason if found else "" for found in objections]
    table["group"] = table["duplicate_of"] = ""
    stay = pd.Series([decision is not None for decision in by_hand], index=table.index)
    looks = pd.Series([m.look for m in measures], index=table.index)
    _find_duplicates(table, params, looks, stay=stay, overruled=pd.Series(overruled, index=table.index))
    table["verdict"] = table["check"].map(lambda check: "rejected" if check else "kept")
    if not (table["verdict"] == "kept").any():
        reasons = "; ".join(f"{count}: {reason}" for reason, count in table["reason"].value_counts().items())
        raise UngrayError(
            f"no photo is left after the filter ({reasons}); loosen the section filter of params.yaml"
        )
    return table[COLUMNS]


def _find_duplicates(
    table: pd.DataFrame, params: Params, looks: pd.Series, *, stay: pd.Series, overruled: pd.Series
) -> None:
    """Fill ``group``, and ``check``, ``reason`` and ``duplicate_of`` of all but the best of each set of
    duplicates.

    Duplicates are what :func:`ungray.imaging.duplicates.near` finds. A group has all that was cut from one
    photo, too, or mirrored, turned or framed: it may teach, but not on both sides of the split.

    Photos that ``stay`` are kept whatever they look like; those that are ``overruled``, kept by hand
    against a check, push no other out.
    """
    usable = table.index[table["check"] == ""]
    part = table.loc[usable]
    tell(f"filter: looking for copies among {len(part)} photos")
    equal = duplicates.same(part["sha256"].tolist())
    distance = params.near_duplicate_distance
    alike = equal + duplicates.near(part["phash"].tolist(), distance=distance)
    alike_with = pd.Series(duplicates.components(len(part), alike), index=usable)
    cut = duplicates.copies(looks[usable].tolist(), distance=distance) + duplicates.same(
        part["photograph"].tolist()
    )
    groups = pd.Series(duplicates.components(len(part), alike + cut), index=usable)
    # A group is named after its first photo by checksum, whatever the order of files.
    table.loc[usable, "group"] = part.groupby(groups)["sha256"].transform("min").str[:16]
    ranked = part.assign(
        duplicate=alike_with,
        overruled=overruled[usable],
        order=part["split"].map(SPLIT_ORDER).fillna(len(SPLIT_ORDER)),
        pixels=-part["width"] * part["height"],
        poverty=-part["bytes"],  # of equal size, the less compressed one
    ).sort_values(["overruled", "order", "pixels", "poverty", "sha256", "file"])
    best = ranked.drop_duplicates("duplicate").set_index("duplicate").loc[alike_with].set_index(usable)
    # A decision to keep is about the photo, not about a second copy of the very same bytes.
    held = stay[usable] & part["file"].isin(ranked.drop_duplicates("sha256")["file"])
    lost = usable[(part["file"] != best["file"]) & ~held]
    better = best.loc[lost]
    exact = part.loc[lost, "sha256"] == better["sha256"]
    kind = exact.map({True: "exact", False: "near"})
    table.loc[lost, "check"] = kind + "_duplicate"
    table.loc[lost, "reason"] = kind + " duplicate of " + better["file"]
    table.loc[lost, "duplicate_of"] = better["file"]

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
"""``verdict``: kept or rejected. ``check``: the check that rejected the photo, a key of checks.CHECKS; empty
if it is kept. ``reason``: the same in words. ``duplicate_of``: the better file. ``group``: the same for all
photos that must be in the same split; empty for rejected photos other than duplicates. The other columns are
from the manifest or from measures.Measures.
"""

SPLIT_ORDER = {"test": 0, "val": 1}
"""Of duplicates, a photo that its data set assigns to test is preferred, whatever the sizes."""


def run(
    params: Params,
    manifest: pd.DataFrame,
    raw: Path,
    *,
    workers: Workers,
    decisions: Mapping[str, Decision] | None = None,
    blocked: pd.DataFrame | None = None,
    cache_folder: Path | None = None,
) -> pd.DataFrame:
    """Judge every photo of ``manifest`` below ``raw``; return a table with :data:`COLUMNS`, sorted by file.

    Args:
        params: the section ``filter``.
        manifest: data/manifest.csv.
        raw: data/raw.
        workers: the number of processes, 0 for one per core, or the address of a Dask scheduler.
        decisions: made by hand, by sha256; those on missing photos are ignored.
        blocked: data/blocked.csv.
        cache_folder: the folder that caches measures between runs; None for no cache.

    Raises:
        UngrayError: a photo of the manifest is missing, or none is kept.
    """
    table = manifest[manifest["status"] == "kept"].sort_values(["file", "rank"]).drop_duplicates("file")
    table = table[["file", "query", "sha256", "photograph", "split"]].reset_index(drop=True)
    paths = [raw / file for file in table["file"]]
    if missing := [path for path in paths if not path.is_file()]:
        raise UngrayError(f"{missing[0]} of data/manifest.csv is missing; run `dvc repro --force scrape`")
    measures = measure_all(paths, table["sha256"].tolist(), workers=workers, cache_folder=cache_folder)
    table = pd.concat([table, pd.DataFrame([m.figures() for m in measures])], axis=1)
    table["aspect"] = [round(m.aspect, 3) for m in measures]
    by_hand = [(decisions or {}).get(checksum) for checksum in table["sha256"]]
    objections = [objection(m, params) for m in measures]
    overruled = [is_overruled(*pair) for pair in zip(objections, by_hand, strict=True)]
    objections = [after_decision(*pair) for pair in zip(objections, by_hand, strict=True)]
    if blocked is not None and len(blocked):
        banned, checksums = Blocked(blocked), set(blocked["sha256"])
        for row, (checksum, of_row) in enumerate(zip(table["sha256"], measures, strict=True)):
            if checksum in checksums or (of_row.signature.phash and banned.like(of_row.signature)):
                objections[row] = TAKEN_OUT
    table["check"] = [found.check if found else "" for found in objections]
    table["reason"] = [found.reason if found else "" for found in objections]
    table["group"] = table["duplicate_of"] = ""
    stay = pd.Series([decision is not None for decision in by_hand], index=table.index)
    signatures = pd.Series([m.signature for m in measures], index=table.index)
    _find_duplicates(table, params, signatures, stay=stay, overruled=pd.Series(overruled, index=table.index))
    table["verdict"] = table["check"].map(lambda check: "rejected" if check else "kept")
    if not (table["verdict"] == "kept").any():
        reasons = "; ".join(f"{count}: {reason}" for reason, count in table["reason"].value_counts().items())
        raise UngrayError(
            f"no photo is left after the filter ({reasons}); loosen the section filter of params.yaml"
        )
    return table[COLUMNS]


def _find_duplicates(
    table: pd.DataFrame, params: Params, signatures: pd.Series, *, stay: pd.Series, overruled: pd.Series
) -> None:
    """Fill ``group``; fill ``check``, ``reason`` and ``duplicate_of`` of all duplicates but the best.

    Duplicates are found by :func:`ungray.imaging.duplicates.near`. A group also contains photos that were cut
    from the same photo, mirrored, turned or framed: they may be trained on, but must be in the same split.

    Photos that ``stay`` are kept even if they are duplicates. Photos that are ``overruled``, which means kept
    by hand although they failed a check, do not cause others to be rejected.
    """
    usable = table.index[table["check"] == ""]
    part = table.loc[usable]
    tell(f"filter: looking for copies among {len(part)} photos")
    same_bytes = duplicates.same(part["sha256"].tolist())
    distance = params.near_duplicate_distance
    near = same_bytes + duplicates.near(part["phash"].tolist(), distance=distance)
    duplicate_set = pd.Series(duplicates.components(len(part), near), index=usable)
    copies = duplicates.copies(signatures[usable].tolist(), distance=distance) + duplicates.same(
        part["photograph"].tolist()
    )
    groups = pd.Series(duplicates.components(len(part), near + copies), index=usable)
    # The name of a group is its smallest checksum, so it does not depend on the order of files.
    table.loc[usable, "group"] = part.groupby(groups)["sha256"].transform("min").str[:16]
    ranked = part.assign(
        duplicate=duplicate_set,
        overruled=overruled[usable],
        order=part["split"].map(SPLIT_ORDER).fillna(len(SPLIT_ORDER)),
        pixels=-part["width"] * part["height"],
        compression=-part["bytes"],  # of the same number of pixels, the less compressed one
    ).sort_values(["overruled", "order", "pixels", "compression", "sha256", "file"])
    best = ranked.drop_duplicates("duplicate").set_index("duplicate").loc[duplicate_set].set_index(usable)
    # A decision to keep a photo does not keep a second file with the same bytes.
    by_hand = stay[usable] & part["file"].isin(ranked.drop_duplicates("sha256")["file"])
    rejected = usable[(part["file"] != best["file"]) & ~by_hand]
    better = best.loc[rejected]
    exact = part.loc[rejected, "sha256"] == better["sha256"]
    kind = exact.map({True: "exact", False: "near"})
    table.loc[rejected, "check"] = kind + "_duplicate"
    table.loc[rejected, "reason"] = kind + " duplicate of " + better["file"]
    table.loc[rejected, "duplicate_of"] = better["file"]

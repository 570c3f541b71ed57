"""Where the photos came from, as a table for the report."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePosixPath
from urllib.parse import unquote, urlsplit

import pandas as pd


def photo_names(manifest: pd.DataFrame) -> Mapping[str, str]:
    """Return each photo's name at its source, by the first 16 digits of its SHA-256.

    Args:
        manifest: data/manifest.csv.
    """
    kept = manifest[(manifest["status"] == "kept") & (manifest["url"] != "")]
    return {
        checksum[:16]: name
        for checksum, url in zip(kept["sha256"], kept["url"].map(urlsplit), strict=True)
        if (name := unquote(PurePosixPath(url.path).name) + ("#" + url.fragment if url.fragment else ""))
    }


def origins_table(manifest: pd.DataFrame, index: pd.DataFrame) -> pd.DataFrame:
    """Return one row per source and query: photos fetched, their number in each split, licenses as stated.

    Args:
        manifest: data/manifest.csv.
        index: data/prepared/index.csv.
    """
    kept = manifest[manifest["status"] == "kept"]
    counts = index[index["copy"] == 0].groupby(["query", "split"]).size()
    rows = []
    for (source, query), part in kept.groupby(["source", "query"]):
        licenses = sorted(set(part["license"]) - {""})
        rows.append(
            {
                "source": source,
                "query": query,
                "fetched": len(part),
                **{split: int(counts.get((query, split), 0)) for split in ("train", "val", "test")},
                "license": "; ".join(licenses) or "none stated",
            }
        )
    return pd.DataFrame(rows)

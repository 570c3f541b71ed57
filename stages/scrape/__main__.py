"""Gather photos into data/raw and list every attempt in data/manifest.csv.

The source is `scrape.source` in params.yaml. Examples:

  python -m stages.scrape                                     as set in params.yaml
  dvc repro scrape                                            the same, if anything changed
  dvc exp run -S scrape.source=folder -S scrape.folder=/photos
  dvc exp run -S scrape.source=bing -S scrape.license=share   photos that may be shared, according to Bing
  dvc exp run -S scrape.refresh=1                             search again, and keep what was found before
"""

from pathlib import Path

import pandas as pd

from stages.command import run_stage
from stages.params import load
from stages.scrape import blocking, gather, last_commit, manifest, summary
from stages.scrape.params import Params
from stages.storage import cache, tables
from ungray.system.files import whole_folder
from ungray.system.terminal import tell

MANIFEST = Path("data/manifest.csv")


def main() -> None:
    """Run the stage."""
    params = load("scrape", Params)
    taken_out = blocking.TakenOut.here()
    with whole_folder(Path("data/raw")) as raw:
        attempts = gather.run(params, raw, taken_out=taken_out)
    manifest.write(attempts, MANIFEST)
    kept = sum(attempt.status == "kept" for attempt in attempts)
    queries = len({attempt.query for attempt in attempts})
    tell(f"scrape: {kept} photos for {queries} queries from {params.source}")
    tell(*summary.table(attempts, asked=params.limit if params.source == "bing" else None).split("\n"))
    # DVC deletes the manifest before it runs the stage, so the rows of each run are cached for the next one.
    cached_rows = cache.folder("scrape", "before") / "rows.csv"
    message = summary.left(_before(cached_rows), attempts, cached=params.source in ("bing", "urls"))
    tell(*([message] if message else []))
    tables.write_table(
        tables.read_table(MANIFEST, made_by="scrape")[["source", "query", "status"]], cached_rows
    )


def _before(cached_rows: Path) -> pd.DataFrame:
    """Return source, query and status of the rows of the last run, else of the last commit, else none."""
    if cached_rows.exists():
        return tables.read_table(cached_rows, made_by="scrape")
    last = last_commit.read_last_commit()
    return last.manifest if last else pd.DataFrame(columns=["source", "query", "status"])


if __name__ == "__main__":
    run_stage("scrape", main, doc=__doc__)

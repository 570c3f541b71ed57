"""Gather photos into data/raw and list every attempt in data/manifest.csv.

The source is `scrape.source` in params.yaml. Examples:

  python -m stages.scrape                                     what params.yaml says
  dvc repro scrape                                            the same, if anything changed
  dvc exp run -S scrape.source=folder -S scrape.folder=/photos
  dvc exp run -S scrape.source=bing -S scrape.license=share   photos that may be shared, says Bing
  dvc exp run -S scrape.refresh=1                             search again, and keep what was found before
"""

from pathlib import Path

import pandas as pd

from stages.command import run_stage
from stages.params import load
from stages.scrape import blocklist, gather, last_commit, manifest, summary
from stages.scrape.params import Params
from stages.storage import cache
from stages.storage.tables import read, write
from ungray.system.files import whole_folder
from ungray.system.terminal import tell

MANIFEST = Path("data/manifest.csv")


def main() -> None:
    """Run the stage."""
    params = load("scrape", Params)
    taken_out = blocklist.TakenOut.here()
    with whole_folder(Path("data/raw")) as raw:
        attempts = gather.run(params, raw, taken_out=taken_out)
    manifest.write(attempts, MANIFEST)
    kept = sum(attempt.status == "kept" for attempt in attempts)
    queries = len({attempt.query for attempt in attempts})
    tell(f"scrape: {kept} photos for {queries} queries from {params.source}")
    tell(*summary.table(attempts, asked=params.limit if params.source == "bing" else None).split("\n"))
    # DVC deletes the manifest before it runs the stage, so the cache notes what a run kept for the next one.
    noted = cache.folder("scrape", "before") / "rows.csv"
    told = summary.left(_before(noted), attempts, cached=params.source in ("bing", "urls"))
    tell(*([told] if told else []))
    write(read(MANIFEST, made_by="scrape")[["source", "query", "status"]], noted)


def _before(noted: Path) -> pd.DataFrame:
    """Return source, query and status of the rows of the run before, else of the last commit, else none."""
    if noted.exists():
        return read(noted, made_by="scrape")
    last = last_commit.read()
    return last.manifest if last else pd.DataFrame(columns=["source", "query", "status"])


if __name__ == "__main__":
    run_stage("scrape", main, doc=__doc__)

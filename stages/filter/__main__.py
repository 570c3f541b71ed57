"""Decide which photos of data/raw are kept; write data/verdicts.csv, and a summary to reports/filter.

Examples:

  python -m stages.filter
  python -m stages.filter review              view the photos; keep or reject by hand
  dvc exp run -S filter.min_chroma_p95=10     stricter about muted photos
"""

from pathlib import Path

from stages.command import run_stage
from stages.filter import measurements, report, verdicts
from stages.filter.params import Params
from stages.filter.review.decisions import Decisions
from stages.params import Machine, load
from stages.storage import blocklist, tables
from ungray.system.terminal import tell

REPORTS = Path("reports/filter")


def main() -> None:
    """Run the stage."""
    params, machine = load("filter", Params), load("machine", Machine)
    raw = Path("data/raw")
    table = verdicts.run(
        params,
        tables.read_table(Path("data/manifest.csv"), made_by="scrape"),
        raw,
        workers=machine.photo_workers,
        decisions=Decisions(Path("data/review.csv")).all(),
        blocked=blocklist.read_blocklist(),
        cache_folder=measurements.folder(),
    )
    tables.write_table(table, Path("data/verdicts.csv"))
    counts = report.counts(table)
    tables.write_table(counts, REPORTS / "counts.csv")
    tables.write_table(report.queries(table), REPORTS / "queries.csv")
    report.write_sheets(table, raw, REPORTS / "sheets", max_photos=params.sheet_photos)
    kept = table[table["verdict"] == "kept"]
    tell(f"filter: {len(kept)} of {len(table)} photos kept, in {kept['group'].nunique()} groups")
    for check, count in zip(counts["check"], counts["count"], strict=True):
        if check != "kept" and count:
            tell(f"  rejected {count}: {check}")


if __name__ == "__main__":
    run_stage("filter", main, doc=__doc__, tools={"review": "stages.filter.review.command:main"})

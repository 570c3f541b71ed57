"""What the search shows: one line per trial as it finishes, the table so far, and the report."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
from optuna.trial import FrozenTrial

from stages.command import TIMINGS
from stages.tune.report import best, table, write_tables
from stages.tune.study import results
from stages.tune.trial import Search
from ungray.imaging.metrics import DECISIVE
from ungray.system.files import whole_file
from ungray.system.progress import Bar
from ungray.system.terminal import tell


class Progress:
    """Shows one line per trial as it finishes, whichever process ran it, and the progress of the search."""

    def __init__(self, search: Search) -> None:
        self._search = search
        self._known = set(results(search.study, search.params.trials))
        total = search.params.trials
        self.bar = Bar(total=total, initial=len(self._known), desc="tune", unit="trial")

    def __call__(self) -> None:
        """Show the trials that have finished since the last call."""
        found = results(self._search.study, self._search.params.trials)
        new = sorted(found.keys() - self._known)
        self._known |= found.keys()
        rows = table(found, self._search.params).set_index("trial")
        for slot in new:
            with Bar.external_write_mode():
                tell(self._line(slot, rows.loc[slot].to_dict(), found))
        self.bar.update(len(new))

    def _line(self, slot: int, row: Mapping[Any, Any], found: Mapping[int, FrozenTrial]) -> str:
        first, space = best(found), self._search.params.space
        drawn = ", ".join(f"{key.removeprefix('train.')} {row[key]}" for key in space)
        if row["state"] == "failed":
            return f"tune: trial {slot} failed: {row['note']}; {drawn}"
        leader = "" if first is None else f", best {found[first].value:.3f} (trial {first})"
        note = f" ({row['note']})" if row["note"] else ""
        return (
            f"tune: trial {slot} {row['state']}{note}: {DECISIVE.title} {found[slot].value:.3f} "
            f"(gray {row['gray_ciede2000']:.3f}){leader}; {drawn}"
        )


def table_so_far(search: Search) -> str:
    """Return the table of finished trials as text: complete ones first, and of these the best first."""
    found = results(search.study, search.params.trials)
    if not found:
        return "no trial is finished yet"
    rows = table(found, search.params).sort_values(["state", "ciede2000"], kind="stable")
    rows.insert(5, "minutes", [f"{_seconds(found[slot]) / 60:.1f}" for slot in rows["trial"]])
    rows.columns = pd.Index([name.removeprefix("train.") for name in rows.columns])
    return rows.fillna("").to_string(index=False)


def write_report(search: Search, folder: Path) -> None:
    """Write tables and charts to ``folder``, and the total seconds of the trials to the timings file."""
    found = results(search.study, search.params.trials)
    write_tables(found, search.params, folder)
    from stages.tune.charts import draw_charts  # takes seconds to import; workers draw nothing

    draw_charts(table(found, search.params), search.study, search.params, folder)
    known = json.loads(TIMINGS.read_text()) if TIMINGS.exists() else {}
    seconds = round(sum(map(_seconds, found.values())), 1)
    with whole_file(TIMINGS) as partial:
        partial.write_text(json.dumps(known | {"tune": seconds}, indent=2) + "\n")


def _seconds(trial: FrozenTrial) -> float:
    return trial.duration.total_seconds() if trial.duration else 0.0

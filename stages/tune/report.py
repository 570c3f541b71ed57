"""The results of a search: the table of trials, and the best one as a small overlay on params.yaml."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
from optuna.trial import FrozenTrial, TrialState
from ruamel.yaml import YAML

from stages.params import put
from stages.storage import tables
from stages.tune.params import Params
from stages.tune.space import Combination
from stages.tune.study import combination
from ungray.imaging.metrics import DECISIVE
from ungray.system.files import whole_file

STATES = {TrialState.COMPLETE: "complete", TrialState.PRUNED: "pruned", TrialState.FAIL: "failed"}
LEADING = ["trial", "state", "ciede2000", "gray_ciede2000", "epochs"]


def table(found: Mapping[int, FrozenTrial], params: Params) -> pd.DataFrame:
    """Return one row per finished trial.

    Columns: ``trial`` (its slot, from 0), ``state`` (complete, pruned, failed), ``ciede2000`` (on val photos,
    of the epoch that training keeps; for a pruned trial that of the last epoch; empty for a failed one),
    ``gray_ciede2000`` (of the gray photos), ``epochs``, one column per key of the space, and ``note``: why
    the trial failed, or which trial it repeats.
    """
    rows = []
    for slot, trial in found.items():
        about = trial.user_attrs
        score = None if trial.state == TrialState.FAIL else trial.value
        row = {
            "trial": slot,
            "state": STATES[trial.state],
            "ciede2000": None if score is None else round(score, 4),
            "gray_ciede2000": about.get("gray"),
            "epochs": about.get("epochs", 0),
            **combination(trial.params, params.space),
            "note": about.get("error", f"as trial {about['same_as']}" if "same_as" in about else ""),
        }
        rows.append(row)
    # Integers stay integers even if a failed trial has none.
    return pd.DataFrame(rows, columns=[*LEADING, *params.space, "note"], dtype=object)


def best(found: Mapping[int, FrozenTrial]) -> int | None:
    """Return the slot of the complete trial with the lowest CIEDE2000, or None; in a tie, the first one."""
    complete = [slot for slot, trial in found.items() if trial.state == TrialState.COMPLETE]
    return min(complete, key=lambda slot: (found[slot].value, slot), default=None)


def best_values(found: Mapping[int, FrozenTrial], slot: int, params: Params) -> Combination:
    """Return the fixed values and those drawn by the trial of ``slot``, by dotted key."""
    return {**params.fixed, **combination(found[slot].params, params.space)}


def write_tables(found: Mapping[int, FrozenTrial], params: Params, folder: Path) -> None:
    """Write trials.csv and, once a trial is complete, best.yaml to ``folder``."""
    tables.write_table(table(found, params), folder / "trials.csv")
    slot = best(found)
    if slot is None:
        (folder / "best.yaml").unlink(missing_ok=True)
        return
    about = found[slot]
    content = io.StringIO()
    content.write(
        f"# Trial {slot}, the best of {len(found)}: val {DECISIVE.title} {about.value:.4f}, gray "
        f"{about.user_attrs['gray']:.4f}, after {about.user_attrs['epochs']} epochs.\n"
        "# `python -m stages.tune apply` writes these values into params.yaml.\n"
    )
    YAML().dump(nested(best_values(found, slot, params)), content)
    with whole_file(folder / "best.yaml") as partial:
        partial.write_text(content.getvalue(), encoding="utf-8", newline="\n")


def nested(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the ``values``, given by dotted key, nested as in params.yaml."""
    content: dict[str, Any] = {}
    for key, value in values.items():
        put(content, key, value)
    return content

"""Runs trials until all slots are done, in this process or in workers."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import TrialState

from stages.params import Machine
from stages.storage import cache, tables
from stages.train.params import Params as TrainParams
from stages.tune.params import Params
from stages.tune.space import check_each_value, check_keys, defaults, overlay, typed
from stages.tune.study import (
    explained,
    open_study,
    queue_open_slot,
    results,
    storage_url,
    turn,
    under_way,
)
from stages.tune.trial import POLL_SECONDS, FailedError, Search
from ungray.errors import UngrayError


def prepare(params: Params, train: TrainParams, machine: Machine, *, prepared: Path) -> tuple[Search, str]:
    """Open the study for these settings and data; return the search and a sentence on the study.

    Raises:
        UngrayError: the space is not valid, or there are no prepared photos or no database.
    """
    check_keys("space", params.space)
    check_keys("fixed", params.fixed)
    budget = {"train.epochs": params.epochs, "train.minutes": params.minutes, "train.steps": 0}
    base = overlay(train.model_dump(), {**params.fixed, **budget})
    try:
        typed(base)
    except UngrayError as error:
        raise UngrayError(f"params.yaml: tune.fixed: {error}") from None
    check_each_value(base, params.space)
    index = tables.read_table(prepared / "index.csv", made_by="prepare")
    same = dict.fromkeys(params.space, "drawn")
    parts = {
        "data": index[["file", "digest"]].values.tolist(),
        "space": params.space,
        # Values that the space sets are left out, so that `apply` does not start a new study.
        "train": overlay(base, same),
        "seed": params.seed,
    }
    settings = {name: cache.fingerprint(part) for name, part in parts.items()}
    folder = cache.folder("tune", cache.fingerprint(settings))
    study, sentence = open_study(params, settings, folder.parent)
    # Nobody views the progress grids of trials.
    shown = {"train.grid_every": 10**6, "train.grid_photos": 1}
    lock = turn(storage_url(params, folder.parent), folder.parent)
    return Search(params, overlay(base, shown), machine, prepared, folder, study, lock), sentence


def work(search: Search, told: Callable[[], None]) -> None:
    """Run trials until every slot is done, by this process or another; call ``told`` after each.

    Raises:
        KeyboardInterrupt: the search was stopped, after the current trial was saved.
        UngrayError: the database can no longer be reached.
    """
    with explained(storage_url(search.params, search.folder.parent)):
        while True:
            if not _one_trial(search):
                if not under_way(search.study, TrialState.RUNNING):
                    break
                time.sleep(POLL_SECONDS)
            told()


def _one_trial(search: Search) -> bool:
    """Take a trial, if there is one, and run it; return whether there was one."""
    search.turn.acquire()
    try:
        first = defaults(search.base, search.params.space)
        if not queue_open_slot(search.study, search.params.trials, first=first):
            return False
        search.study.optimize(search.objective, n_trials=1, catch=(FailedError,))
    except (UpdateFinishedTrialError, ValueError) as error:
        # If this process sent no heartbeat for long (a closed laptop), another one took over the trial.
        if isinstance(error, ValueError) and not str(error).startswith("Cannot tell a"):
            raise
    finally:
        search.turn.release()
    return True


def finished(search: Search) -> bool:
    """Return whether every slot has a result."""
    return len(results(search.study, search.params.trials)) == search.params.trials

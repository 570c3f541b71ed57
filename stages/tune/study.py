"""The study: trials in a database that any number of processes and machines share.

The search has ``tune.trials`` slots, and each slot needs one trial. A trial's draws depend only on
``tune.seed`` and the slot's number, so it does not matter which process runs it. Slot 0 takes the defaults
instead: the values of the section ``train``, as far as the space contains them. A process that needs work
queues a trial for an open slot and takes the first one in the queue. PostgreSQL and MySQL lock the row, so
only one process gets the trial; SQLite does not (two processes have been seen to get the same one), so a
process holds :func:`turn` while it takes a trial. If two machines queue the same slot at the same moment,
both run it, with the same result, and the first trial counts. If a process dies during a trial, its slot is
open again after :data:`GRACE_SECONDS`.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import optuna
from filelock import FileLock
from optuna.distributions import BaseDistribution
from optuna.exceptions import ExperimentalWarning
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, Trial, TrialState
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from stages.storage import cache
from stages.tune.params import Params
from stages.tune.space import Combination, as_label, short, whole
from ungray.errors import UngrayError

HEARTBEAT_SECONDS = 5
"""Interval at which a running trial sends a heartbeat to the database."""

GRACE_SECONDS = 30
"""A trial without a heartbeat for this long is considered dead, and its slot is open again."""

DEATHS = 3
"""A slot whose process died this many times is recorded as failed: the trial may be the cause."""

PRUNE_AFTER = 5
"""Number of finished trials that the median pruner needs before it ends one early."""

optuna.logging.set_verbosity(optuna.logging.ERROR)  # the search itself reports its trials
warnings.filterwarnings("ignore", category=ExperimentalWarning)


class BySlot(BaseSampler):
    """Draws like Optuna's random or TPE sampler, with a generator seeded by the trial's slot."""

    def __init__(self, sampler: str, seed: int) -> None:
        self._sampler, self._seed = sampler, seed

    def _seeded(self, trial: FrozenTrial, name: str) -> BaseSampler:
        seed = int(cache.fingerprint(self._seed, trial.user_attrs.get("slot"), name)[:8], 16)
        return TPESampler(seed=seed, constant_liar=True) if self._sampler == "tpe" else RandomSampler(seed)

    def infer_relative_search_space(
        self, study: optuna.Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """Return no parameters: each one is drawn independently."""
        return {}

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Return no values, as there are no relative parameters."""
        return {}

    def sample_independent(
        self,
        study: optuna.Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        """Return the value drawn for one parameter."""
        sampler = self._seeded(trial, param_name)
        return sampler.sample_independent(study, trial, param_name, param_distribution)


def draw(trial: Trial, space: Mapping[str, Any]) -> Combination:
    """Draw a value for every key of ``space``."""
    for key, values in space.items():
        if isinstance(values, list):
            trial.suggest_categorical(key, [as_label(choice) for choice in values])
        elif whole(values):
            trial.suggest_int(key, **values)
        else:
            trial.suggest_float(key, **values)
    return combination(trial.params, space)


def combination(drawn: Mapping[str, Any], space: Mapping[str, Any]) -> Combination:
    """Return the ``drawn`` values of a trial as params.yaml has them, in the order of ``space``."""
    found = {}
    for key, values in space.items():
        if key not in drawn:
            continue
        value = drawn[key]
        if isinstance(values, list):
            value = next(choice for choice in values if as_label(choice) == value)
        elif not whole(values):
            value = short(value, values)
        found[key] = value
    return found


def storage_url(params: Params, folder: Path) -> str:
    """Return the database URL: ``tune.storage`` with $NAMES replaced; by default SQLite in ``folder``."""
    return os.path.expandvars(params.storage) or f"sqlite:///{folder / 'studies.db'}"


def turn(url: str, folder: Path) -> FileLock:
    """Return the lock to hold while taking a trial: next to SQLite's file, otherwise in ``folder``."""
    database = make_url(url).database if url.startswith("sqlite") else None
    if not database:
        return FileLock(folder / "studies.lock")
    if not Path(database).absolute().parent.is_dir():  # the lock would create it
        raise UngrayError(f"tune.storage: {database} can't be used: there is no such folder")
    return FileLock(f"{database}.lock")


def open_study(params: Params, settings: Mapping[str, str], folder: Path) -> tuple[optuna.Study, str]:
    """Return the study of ``settings``, created if there is none, and a sentence on whether it is new.

    Args:
        params: settings of the search.
        settings: by name, fingerprints of everything that must be the same for trials to be comparable.
        folder: where SQLite's file and the lock are by default.

    Raises:
        UngrayError: the database can't be reached, or its URL is not valid.
    """
    url = storage_url(params, folder)
    name = "ungray-" + cache.fingerprint(dict(settings))
    with explained(url), turn(url, folder):
        storage = RDBStorage(
            url,
            engine_kwargs={"connect_args": {"timeout": 60}} if url.startswith("sqlite") else {},
            heartbeat_interval=HEARTBEAT_SECONDS,
            grace_period=GRACE_SECONDS,
        )
        summaries = optuna.get_all_study_summaries(storage)
        before = [summary for summary in summaries if "settings" in summary.user_attrs]
        study = optuna.create_study(
            storage=storage,
            study_name=name,
            sampler=BySlot(params.sampler, params.seed),
            pruner=_pruner(params),
            direction="minimize",
            load_if_exists=True,
        )
        if any(earlier.study_name == name for earlier in before):
            return study, "resuming the search with these settings"
        study.set_user_attr("settings", dict(settings))
    if not before:
        return study, "a new search"
    last = before[-1].user_attrs["settings"]
    changed = [part for part, fingerprint in settings.items() if last.get(part) != fingerprint]
    return (
        study,
        f"{' and '.join(changed)} changed since the last search, so a new one begins; the old is kept",
    )


def _pruner(params: Params) -> optuna.pruners.BasePruner:
    if params.pruner == "median":
        return optuna.pruners.MedianPruner(n_startup_trials=PRUNE_AFTER, n_warmup_steps=2)
    if params.pruner == "hyperband":
        return optuna.pruners.HyperbandPruner(min_resource=1, max_resource=params.epochs)
    return optuna.pruners.NopPruner()


@contextmanager
def explained(url: str) -> Iterator[None]:
    """Turn a database's errors into an UngrayError whose sentence does not show the password."""
    try:
        yield
    except (SQLAlchemyError, optuna.exceptions.StorageInternalError, ImportError) as error:
        reason = str(error.__cause__ or error).strip().splitlines()[0]
        if isinstance(error, ArgumentError):
            reason = "an address looks like sqlite:////path/file.db or postgresql://user:$PASSWORD@host/name"
        elif isinstance(error, ImportError):
            reason = f"{reason}; install the database's driver with pip"
        shown = url.rpartition("@")[2] if "@" in url else url
        raise UngrayError(f"tune.storage: {shown} can't be used: {reason}") from None


# Slots


def done(trial: FrozenTrial) -> bool:
    """Return whether a trial has a result; a failed trial without an error sentence is one that died."""
    return trial.state in (TrialState.COMPLETE, TrialState.PRUNED) or (
        trial.state == TrialState.FAIL and "error" in trial.user_attrs
    )


def results(study: optuna.Study, trials: int) -> dict[int, FrozenTrial]:
    """Return the finished trial of each slot that has one, sorted by slot; only slots under ``trials``."""
    found: dict[int, FrozenTrial] = {}
    for trial in study.get_trials(deepcopy=False):
        slot = trial.user_attrs.get("slot", trials)
        if slot < trials and done(trial):
            found.setdefault(slot, trial)
    return dict(sorted(found.items()))


def under_way(study: optuna.Study, state: TrialState) -> list[FrozenTrial]:
    """Return the trials that are RUNNING or WAITING, as ``state`` says."""
    return [
        trial for trial in study.get_trials(deepcopy=False, states=(state,)) if "slot" in trial.user_attrs
    ]


def queue_open_slot(study: optuna.Study, trials: int, *, first: Combination) -> bool:
    """Queue a trial for the first open slot unless one is queued; return whether a trial is now waiting.

    Slot 0 takes the values ``first`` instead of drawing them.
    """
    fail_the_dead(study)
    if under_way(study, TrialState.WAITING):
        return True
    taken = {trial.user_attrs["slot"] for trial in under_way(study, TrialState.RUNNING)}
    taken |= results(study, trials).keys()
    slot = next((slot for slot in range(trials) if slot not in taken), None)
    if slot is not None:
        labels = {key: as_label(value) for key, value in first.items()} if slot == 0 else {}
        study.enqueue_trial(labels, user_attrs={"slot": slot})
    return slot is not None


def fail_the_dead(study: optuna.Study) -> None:
    """Mark running trials as failed that have had no heartbeat for :data:`GRACE_SECONDS`."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        optuna.storages.fail_stale_trials(study)
    # Optuna does not notice a process that died before its first heartbeat.
    latest = datetime.now() - timedelta(seconds=GRACE_SECONDS)
    for trial in under_way(study, TrialState.RUNNING):
        if "began" not in trial.user_attrs and trial.datetime_start and trial.datetime_start < latest:
            study.tell(trial.number, state=TrialState.FAIL, skip_if_finished=True)


def deaths(study: optuna.Study, slot: int) -> int:
    """Return how many times a process died while it ran a trial of ``slot``."""
    return sum(
        trial.state == TrialState.FAIL
        and trial.user_attrs.get("slot") == slot
        and not {"error", "stopped"} & trial.user_attrs.keys()
        for trial in study.get_trials(deepcopy=False)
    )

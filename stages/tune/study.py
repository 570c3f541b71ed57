"""The study: trials in a database that any number of processes and machines share.

The search has ``tune.trials`` slots. A slot is done by one trial; its draws follow from ``tune.seed`` and the
slot's number, so it does not matter which process takes it. A process that wants work queues a trial for an
open slot and takes the first one of the queue. PostgreSQL and MySQL give it to one taker only, as they lock
its row; SQLite does not (two takers were seen), so takers hold :func:`turn`. Where two machines have queued
the same slot at the same moment, both do it, with the same result, and the first trial counts. A trial whose
process died without a word leaves its slot open again, after :data:`GRACE_SECONDS`.
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
"""A running trial signs in at the database so often."""

GRACE_SECONDS = 30
"""A trial that has not signed in for so long is taken for dead, and its slot is open again."""

DEATHS = 3
"""A slot whose process died so often is recorded as failed: it may be what kills it."""

PRUNE_AFTER = 5
"""The median of so many finished trials is what the median pruner wants before it ends one early."""

optuna.logging.set_verbosity(optuna.logging.ERROR)  # trials are told by the search itself
warnings.filterwarnings("ignore", category=ExperimentalWarning)


class BySlot(BaseSampler):
    """Draws as Optuna's random or TPE sampler does, from a generator seeded by the trial's slot."""

    def __init__(self, sampler: str, seed: int) -> None:
        self._sampler, self._seed = sampler, seed

    def _seeded(self, trial: FrozenTrial, name: str) -> BaseSampler:
        seed = int(cache.fingerprint(self._seed, trial.user_attrs.get("slot"), name)[:8], 16)
        return TPESampler(seed=seed, constant_liar=True) if self._sampler == "tpe" else RandomSampler(seed)

    def infer_relative_search_space(
        self, study: optuna.Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """Return no parameters: each is drawn for itself."""
        return {}

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Return no values."""
        return {}

    def sample_independent(
        self,
        study: optuna.Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        """Return the value of one parameter."""
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
    """Return what a trial has ``drawn`` as params.yaml would hold it, in the order of ``space``."""
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
    """Return the address: ``tune.storage``, $NAMES in it replaced; by default SQLite in ``folder``."""
    return os.path.expandvars(params.storage) or f"sqlite:///{folder / 'studies.db'}"


def turn(url: str, folder: Path) -> FileLock:
    """Return the lock to hold while taking a trial: it lies beside SQLite's file, else in ``folder``."""
    database = make_url(url).database if url.startswith("sqlite") else None
    if not database:
        return FileLock(folder / "studies.lock")
    if not Path(database).absolute().parent.is_dir():  # the lock would make it
        raise UngrayError(f"tune.storage: {database} can't be used: there is no such folder")
    return FileLock(f"{database}.lock")


def open_study(params: Params, settings: Mapping[str, str], folder: Path) -> tuple[optuna.Study, str]:
    """Return the study of ``settings``, made where there is none, and a sentence on whether it is new.

    Args:
        params: of the search.
        settings: fingerprints of what must be the same for trials to be comparable, by name.
        folder: where SQLite's file and the lock lie by default.

    Raises:
        UngrayError: the database can't be reached, or its address is no address.
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
            return study, "going on with the search of these settings"
        study.set_user_attr("settings", dict(settings))
    if not before:
        return study, "a new search"
    last = before[-1].user_attrs["settings"]
    changed = [part for part, fingerprint in settings.items() if last.get(part) != fingerprint]
    return study, f"{' and '.join(changed)} changed since the last search, so a new one begins; the old stays"


def _pruner(params: Params) -> optuna.pruners.BasePruner:
    if params.pruner == "median":
        return optuna.pruners.MedianPruner(n_startup_trials=PRUNE_AFTER, n_warmup_steps=2)
    if params.pruner == "hyperband":
        return optuna.pruners.HyperbandPruner(min_resource=1, max_resource=params.epochs)
    return optuna.pruners.NopPruner()


@contextmanager
def explained(url: str) -> Iterator[None]:
    """Turn what a database may answer into one sentence that does not show its password."""
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
    """Say whether a trial has a result; a failed one without its sentence is one whose process died."""
    return trial.state in (TrialState.COMPLETE, TrialState.PRUNED) or (
        trial.state == TrialState.FAIL and "error" in trial.user_attrs
    )


def results(study: optuna.Study, trials: int) -> dict[int, FrozenTrial]:
    """Return the finished trial of each slot that has one, sorted by slot; at most ``trials``."""
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


def queue_open_slot(study: optuna.Study, trials: int) -> bool:
    """Queue a trial for the first open slot, if there is one and nothing is queued; say whether one waits."""
    fail_the_dead(study)
    if under_way(study, TrialState.WAITING):
        return True
    taken = {trial.user_attrs["slot"] for trial in under_way(study, TrialState.RUNNING)}
    taken |= results(study, trials).keys()
    slot = next((slot for slot in range(trials) if slot not in taken), None)
    if slot is not None:
        study.enqueue_trial({}, user_attrs={"slot": slot})
    return slot is not None


def fail_the_dead(study: optuna.Study) -> None:
    """Mark running trials as failed that have not signed in for :data:`GRACE_SECONDS`."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        optuna.storages.fail_stale_trials(study)
    # A process that died between taking a trial and its first sign of life left none to miss.
    latest = datetime.now() - timedelta(seconds=GRACE_SECONDS)
    for trial in under_way(study, TrialState.RUNNING):
        if "began" not in trial.user_attrs and trial.datetime_start and trial.datetime_start < latest:
            study.tell(trial.number, state=TrialState.FAIL, skip_if_finished=True)


def deaths(study: optuna.Study, slot: int) -> int:
    """Return how often a process died while it did ``slot``."""
    return sum(
        trial.state == TrialState.FAIL
        and trial.user_attrs.get("slot") == slot
        and not {"error", "stopped"} & trial.user_attrs.keys()
        for trial in study.get_trials(deepcopy=False)
    )

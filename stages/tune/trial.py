"""One trial: a combination of values is drawn, checked, trained, and scored by val CIEDE2000.

This project's predecessor compared trials by accuracy, the share of predictions that are exactly right. Color
is a continuous value per pixel, so accuracy counts chance hits: it is near 0 for any network, is the same for
small and large errors, and is highest for photos that are gray anyway. CIEDE2000 (CIE 142, 2001) is the color
difference that people perceive, in units of about one just noticeable difference.
"""

from __future__ import annotations

import math
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import optuna
from filelock import FileLock
from optuna.trial import Trial, TrialState

from stages.params import Machine
from stages.tune.params import Params
from stages.tune.space import Combination, overlay, typed
from stages.tune.study import DEATHS, deaths, draw, fail_the_dead, under_way
from ungray.errors import UngrayError
from ungray.imaging.metrics import DECISIVE

if TYPE_CHECKING:
    from ungray.networks import Model

POLL_SECONDS = 1.0
"""Interval at which to check what other processes are doing."""

WINNER = "winner"
"""The folder, in that of the search, of the best trial's model."""

SCORE, GRAY = f"{DECISIVE.name}/val", f"{DECISIVE.name}/gray"
"""Names in training's log of the score and of the gray photo's score; lower is better."""


class FailedError(Exception):
    """The trial failed and its error sentence is recorded; the search continues."""


@dataclass(frozen=True)
class Search:
    """What every trial needs.

    ``base`` is the section ``train`` as plain values, with everything that is the same for all trials. Trials
    write logs and reports to ``folder``. A process holds the lock ``turn`` while it takes a trial.
    """

    params: Params
    base: dict[str, Any]
    machine: Machine
    prepared: Path
    folder: Path
    study: optuna.Study
    turn: FileLock

    def objective(self, trial: Trial) -> float:
        """Run one trial and return its val CIEDE2000.

        Raises:
            FailedError: training failed or the combination is not allowed, and the sentence is recorded; or
                the trial has no slot.
            TrialPruned: the pruner ended it.
            KeyboardInterrupt: it was stopped; its checkpoint is saved and its slot is open again.
        """
        slot = trial.user_attrs.get("slot", self.params.trials)
        if slot >= self.params.trials:
            raise FailedError("another machine took the queued trial first")
        if (died := deaths(self.study, slot)) >= DEATHS:
            raise _failed(trial, f"its process died {died} times, most likely because memory ran out")
        trial.set_user_attr("began", True)
        drawn = draw(trial, self.params.space)
        self.turn.release()  # this trial is taken and drawn, so the next process may take one
        try:
            self._wait_for_twins(trial)
            if (twin := self._twin(trial)) is not None:
                for name in ("gray", "epochs"):
                    trial.set_user_attr(name, twin.user_attrs[name])
                trial.set_user_attr("same_as", twin.user_attrs["slot"])
                return float(twin.value)  # type: ignore[arg-type]
            return self._train(trial, drawn)
        except KeyboardInterrupt:
            trial.set_user_attr("stopped", True)
            raise
        except (UngrayError, RuntimeError, MemoryError) as error:
            if isinstance(error, optuna.exceptions.OptunaError):
                raise
            reason = str(error).strip() or f"{type(error).__name__}, most likely because memory ran out"
            raise _failed(trial, reason.splitlines()[0]) from error

    def _wait_for_twins(self, trial: Trial) -> None:
        """Wait until no earlier trial with the same values is running: both would train in one folder."""
        while any(
            other.number < trial.number and other.params == trial.params
            for other in under_way(self.study, TrialState.RUNNING)
        ):
            fail_the_dead(self.study)
            time.sleep(POLL_SECONDS)

    def _twin(self, trial: Trial) -> optuna.trial.FrozenTrial | None:
        """Return a completed trial with the same values, if any: training again would give the same model."""
        complete = self.study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        return next((other for other in complete if other.params == trial.params), None)

    def _train(self, trial: Trial, drawn: Combination) -> float:
        # PyTorch takes seconds to import, and the process that starts workers trains nothing itself.
        from stages.train.run import run
        from stages.train.stopping import EndedError

        params = typed(overlay(self.base, drawn))

        def on_epoch(epoch: int, record: dict[str, float]) -> None:
            trial.set_user_attr("gray", round(record[GRAY], 4))
            trial.set_user_attr("epochs", epoch)
            if not math.isfinite(record[SCORE]):
                raise UngrayError(f"val {DECISIVE.title} is {record[SCORE]} after epoch {epoch}")
            trial.report(record[SCORE], epoch)
            if trial.should_prune():
                raise EndedError

        folder = self.folder / f"trial-{trial.user_attrs['slot']:04}"
        folder.mkdir(parents=True, exist_ok=True)
        try:
            with _written_to(folder / "train.log"):
                result = run(
                    params, self.machine, prepared=self.prepared, report=folder / "report", on_epoch=on_epoch
                )
        except EndedError:
            raise optuna.TrialPruned from None
        shutil.rmtree(result.work, ignore_errors=True)
        chosen = result.state.measured(result.model.provenance["epoch"])  # whose weights were kept
        # Also for a trial that was killed after its last epoch: it has no epoch left to report.
        trial.set_user_attr("gray", round(chosen[GRAY], 4))
        trial.set_user_attr("epochs", result.state.epoch)
        self._keep_winner(trial, result.model, chosen[SCORE])
        return chosen[SCORE]

    def _keep_winner(self, trial: Trial, model: Model, score: float) -> None:
        """Keep ``model`` in the folder :data:`WINNER`, and no other, if no trial before had a better one.

        ``python -m stages.evaluate board`` judges it. If several machines share the search, it is on the one
        that ran the trial.
        """
        from ungray.networks import save_model

        with self.turn:  # two workers may end at the same time
            others = self.study.get_trials(deepcopy=False)
            if any(score >= other.user_attrs.get("kept", math.inf) for other in others):
                return
            path = self.folder / WINNER / f"trial-{trial.user_attrs['slot']:04}.safetensors"
            save_model(path, model)
            for old in path.parent.glob("trial-*.safetensors"):
                if old != path:
                    old.unlink()
            trial.set_user_attr("kept", score)


def _failed(trial: Trial, sentence: str) -> FailedError:
    trial.set_user_attr("error", sentence)
    return FailedError(sentence)


@contextmanager
def _written_to(path: Path) -> Iterator[None]:
    """Redirect printed output to the file at ``path``, because the search shows one line per trial."""
    with path.open("a", buffering=1, encoding="utf-8") as log, redirect_stdout(log), redirect_stderr(log):
        yield

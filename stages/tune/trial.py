"""One trial: a combination is drawn, checked and trained, and scored by val CIEDE2000.

The ancestor chose by accuracy. That is the share of predictions that hit their class exactly, but color is a
number per pixel and has no class: what is counted is hits by chance, near 0 for any network, the same whether
a color is a little wrong or grossly, and most where a photo is gray anyway. CIEDE2000 (CIE 142, 2001) is the
color difference that people see, in units of about one just noticeable step.
"""

from __future__ import annotations

import math
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
from filelock import FileLock
from optuna.trial import Trial, TrialState

from stages.params import Machine
from stages.train.loop import EndedError
from stages.train.run import run as train
from stages.tune.params import Params
from stages.tune.space import Combination, overlay, typed
from stages.tune.study import DEATHS, deaths, draw, fail_the_dead, under_way
from ungray.errors import UngrayError
from ungray.imaging.metrics import DECISIVE

POLL_SECONDS = 1.0
"""Between two looks at what others are doing."""

SCORE, GRAY = f"{DECISIVE.name}/val", f"{DECISIVE.name}/gray"
"""What is searched for and the gray photo's, as training logs them; lower is better."""


class FailedError(Exception):
    """The trial failed, its sentence is recorded; the search goes on."""


@dataclass(frozen=True)
class Search:
    """What every trial needs.

    ``base`` is the section ``train`` as plain values with all that is the same for every trial; trials write
    what they show to ``folder``. ``turn`` is held while a trial is taken.
    """

    params: Params
    base: dict[str, Any]
    machine: Machine
    prepared: Path
    folder: Path
    study: optuna.Study
    turn: FileLock

    def objective(self, trial: Trial) -> float:
        """Do one trial and return its val CIEDE2000.

        Raises:
            FailedError: training went wrong or the combination is not allowed, and the sentence is recorded;
                or the trial does no slot.
            TrialPruned: the pruner ended it.
            KeyboardInterrupt: stopped; training's checkpoint is saved and the slot open again.
        """
        slot = trial.user_attrs.get("slot", self.params.trials)
        if slot >= self.params.trials:
            raise FailedError("another machine was quicker to take what was queued")
        if (died := deaths(self.study, slot)) >= DEATHS:
            raise _failed(trial, f"its process died {died} times, most likely for want of memory")
        trial.set_user_attr("began", True)
        drawn = draw(trial, self.params.space)
        self.turn.release()  # it is taken and drawn, the next process may take one
        try:
            self._wait_for_twins(trial)
            if (twin := self._twin(trial)) is not None:
                for name in ("gray", "epochs"):
                    trial.set_user_attr(name, twin.user_attrs[name])
                trial.set_user_attr("same_as", twin.user_attrs["slot"])
                return float(twin.value)  # type: ignore[arg-type]
            return self._train(trial, drawn)
        except EndedError:
            raise optuna.TrialPruned from None
        except KeyboardInterrupt:
            trial.set_user_attr("stopped", True)
            raise
        except (UngrayError, RuntimeError, MemoryError) as error:
            if isinstance(error, optuna.exceptions.OptunaError):
                raise
            reason = str(error).strip() or f"{type(error).__name__}, most likely for want of memory"
            raise _failed(trial, reason.splitlines()[0]) from error

    def _wait_for_twins(self, trial: Trial) -> None:
        """Wait until no earlier trial that drew the same is under way: both would train in one folder."""
        while any(
            other.number < trial.number and other.params == trial.params
            for other in under_way(self.study, TrialState.RUNNING)
        ):
            fail_the_dead(self.study)
            time.sleep(POLL_SECONDS)

    def _twin(self, trial: Trial) -> optuna.trial.FrozenTrial | None:
        """Return a completed trial that drew the same: training again would give the same model."""
        complete = self.study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        return next((other for other in complete if other.params == trial.params), None)

    def _train(self, trial: Trial, drawn: Combination) -> float:
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
        with _written_to(folder / "train.log"):
            result = train(
                params, self.machine, prepared=self.prepared, report=folder / "report", on_epoch=on_epoch
            )
        shutil.rmtree(result.work, ignore_errors=True)
        chosen = result.state.measured(result.model.provenance["epoch"])  # whose weights training kept
        # Also of a trial that was killed after its last epoch, which then had no epoch left to tell of.
        trial.set_user_attr("gray", round(chosen[GRAY], 4))
        trial.set_user_attr("epochs", result.state.epoch)
        return chosen[SCORE]


def _failed(trial: Trial, sentence: str) -> FailedError:
    trial.set_user_attr("error", sentence)
    return FailedError(sentence)


@contextmanager
def _written_to(path: Path) -> Iterator[None]:
    """Send what is printed to the file at ``path``: the search shows one line a trial."""
    with path.open("a", buffering=1, encoding="utf-8") as log, redirect_stdout(log), redirect_stderr(log):
        yield

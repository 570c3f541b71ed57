"""The number of training steps, the learning rate schedule, the pace, and when a checkpoint is due."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable

from stages.params import Machine
from stages.train.params import Params
from stages.train.state import State

TIMED_STEPS = 20
"""Number of steps, warm-up included, before the number of steps that fit into train.minutes is planned."""


def settled_steps(params: Params) -> int:
    """Return the first step whose learning rate depends on the total number of steps.

    It is the same whether that number is known from the start or planned during training. So a training that
    was limited by minutes can be repeated exactly by giving its number of steps.
    """
    return max(params.warmup_steps, TIMED_STEPS)


def most_steps(params: Params, batches_an_epoch: int) -> int:
    """Return the number of steps that ``train.epochs`` and ``train.steps`` allow."""
    by_epochs = params.epochs * batches_an_epoch
    return min(by_epochs, params.steps) if params.steps else by_epochs


def planning_is_due(params: Params, *, step: int, seconds: float) -> bool:
    """Return whether to plan the total number of steps from ``train.minutes`` before ``step`` (from 0).

    With the schedule "stable" this is when all of the time but the decay's share is used: until then the
    learning rate does not depend on the total.
    """
    if params.schedule == "stable":
        return step >= settled_steps(params) and seconds >= 60 * params.minutes * (1 - params.decay)
    return step == settled_steps(params)


def plan_steps(
    params: Params,
    *,
    batches_an_epoch: int,
    done: int,
    seconds: float,
    seconds_a_step: float,
    seconds_a_validation: float,
) -> int:
    """Return the total number of steps that fit into ``train.minutes``, at least one more than ``done``.

    Args:
        params: their ``minutes`` must be over 0.
        batches_an_epoch: number of steps between two validations.
        done: number of steps taken so far, at least :func:`settled_steps`.
        seconds: how long training took so far.
        seconds_a_step: how long a step takes.
        seconds_a_validation: how long a validation takes.
    """
    if params.schedule == "stable" and params.decay < 1:  # the decay begins now
        return min(max(done + 1, math.ceil(done / (1 - params.decay))), most_steps(params, batches_an_epoch))
    a_step = seconds_a_step + seconds_a_validation / batches_an_epoch
    fitting = done + int((60 * params.minutes - seconds) / a_step)
    return min(max(done + 1, fitting), most_steps(params, batches_an_epoch))


def lr_factor(params: Params, step: int, steps: int) -> float:
    """Return the factor of the learning rate in ``step`` (from 0) of ``steps``, over 0 and at most 1.

    All schedules begin with a linear warm-up. "constant" then stays at 1. "cosine" falls to 0 (Loshchilov and
    Hutter, "SGDR", 2017, without restarts), from the end of the warm-up, but not before step 20; see
    :func:`settled_steps`. "stable" stays at 1 and falls to 0 linearly in the last steps (Haegele and others,
    "Scaling laws and compute-optimal training beyond fixed training durations", 2024), so the length of the
    training can be decided at any time before the fall.
    """
    if step < params.warmup_steps:
        return (step + 1) / (params.warmup_steps + 1)
    settled = settled_steps(params)
    # The steps of a shorter training are never planned from minutes.
    start = settled if steps > settled else params.warmup_steps
    if params.schedule == "constant" or step < start:
        return 1.0
    if params.schedule == "stable":
        return min(1.0, (steps - step) / (params.decay * steps))
    return 0.5 * (1 + math.cos(math.pi * (step - start) / (steps - start)))


def decay_begins(params: Params, step: int, steps: int) -> bool:
    """Return whether ``step`` (from 0) of ``steps`` is the first with a lower learning rate in "stable"."""
    if params.schedule != "stable" or step <= params.warmup_steps:
        return False
    return lr_factor(params, step - 1, steps) == 1 > lr_factor(params, step, steps)


PACE_STEPS = 10
"""Number of latest steps that the pace is measured on; the first steps of a training are slower."""


class Clock:
    """Times the steps of a training that begins at, or resumes from, ``state``."""

    def __init__(self, state: State, machine: Machine) -> None:
        self._state, self.machine, self._before = state, machine, state.seconds
        self._started = self._step_began = self._saved = time.monotonic()
        self._steps_since_save = 0

    def seconds(self) -> float:
        """Return the seconds that training took so far, including the runs before it was interrupted."""
        return self._before + time.monotonic() - self._started

    def step(self) -> None:
        """Record that a step has ended."""
        now = time.monotonic()
        self._state.pace = [*self._state.pace, now - self._step_began][-PACE_STEPS:]
        self._step_began = now
        self._steps_since_save += 1

    def pause(self) -> None:
        """Exclude the time since the last step from the time of the next one."""
        self._step_began = time.monotonic()

    def seconds_a_step(self) -> float:
        """Return the median duration of the latest steps."""
        return statistics.median(self._state.pace)

    def seconds_of(self, work: Callable[[], object]) -> float:
        """Run ``work`` and return how many seconds it took; they do not count as part of a step."""
        start = time.monotonic()
        work()
        self.pause()
        return time.monotonic() - start

    def checkpoint_is_due(self) -> bool:
        """Return whether the steps or minutes between checkpoints, as set in ``machine``, have passed."""
        if self.machine.checkpoint_steps:
            return self._steps_since_save >= self.machine.checkpoint_steps
        return time.monotonic() - self._saved > 60 * self.machine.checkpoint_minutes

    def saved(self) -> None:
        """Record that a checkpoint was saved; that took no part of the next step's time."""
        self.pause()
        self._saved, self._steps_since_save = time.monotonic(), 0

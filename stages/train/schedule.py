"""How long training goes on, the learning rate shaped to it, its pace, and when it saves."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable

from stages.params import Machine
from stages.train.checkpoints import Checkpoint
from stages.train.params import Params
from stages.train.state import State

TIMED_STEPS = 20
"""Steps, warm-up included, that are taken before the number of steps in train.minutes is planned."""


def settled_steps(params: Params) -> int:
    """Return the first step whose learning rate depends on the number of all steps.

    It is the same whether that number is known from the start or planned on the way, so a training that was
    planned by minutes is repeated exactly by its number of steps.
    """
    return max(params.warmup_steps, TIMED_STEPS)


def most_steps(params: Params, batches_an_epoch: int) -> int:
    """Return the number of steps that ``train.epochs`` and ``train.steps`` allow."""
    by_epochs = params.epochs * batches_an_epoch
    return min(by_epochs, params.steps) if params.steps else by_epochs


def planning_is_due(params: Params, *, step: int, seconds: float) -> bool:
    """Return whether the number of all steps is to be planned by ``train.minutes`` before ``step`` (from 0).

    With the schedule "stable" that is when all but the decay's share of the time is spent: until then the
    learning rate does not depend on it.
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
    """Return the number of all steps that fit into ``train.minutes``, at least one more than ``done``.

    Args:
        params: ``minutes`` of them is over 0.
        batches_an_epoch: steps between two validations.
        done: steps taken so far, :func:`settled_steps` of them or more.
        seconds: what training took so far.
        seconds_a_step: what a step takes.
        seconds_a_validation: what a validation takes.
    """
    if params.schedule == "stable" and params.decay < 1:  # the decay begins now
        return min(max(done + 1, math.ceil(done / (1 - params.decay))), most_steps(params, batches_an_epoch))
    a_step = seconds_a_step + seconds_a_validation / batches_an_epoch
    fitting = done + int((60 * params.minutes - seconds) / a_step)
    return min(max(done + 1, fitting), most_steps(params, batches_an_epoch))


def lr_factor(params: Params, step: int, steps: int) -> float:
    """Return what the learning rate is multiplied by in ``step`` (from 0) of ``steps``, over 0 and at most 1.

    Linear warm-up, then constant, or a cosine that falls to 0 (Loshchilov and Hutter, "SGDR", 2017, without
    restarts) and begins where the warm-up has ended, at step 20 at the earliest; see :func:`settled_steps`.
    "stable" is constant but for the last steps, in which it falls to 0 in a straight line (Haegele and
    others, "Scaling laws and compute-optimal training beyond fixed training durations", 2024): how long it
    goes on can be decided at any time before these.
    """
    if step < params.warmup_steps:
        return (step + 1) / (params.warmup_steps + 1)
    settled = settled_steps(params)
    # A training shorter than that never has its steps planned by minutes.
    start = settled if steps > settled else params.warmup_steps
    if params.schedule == "constant" or step < start:
        return 1.0
    if params.schedule == "stable":
        return min(1.0, (steps - step) / (params.decay * steps))
    return 0.5 * (1 + math.cos(math.pi * (step - start) / (steps - start)))


def decay_begins(params: Params, step: int, steps: int) -> bool:
    """Return whether ``step`` (from 0) of ``steps`` is the first whose learning rate "stable" makes fall."""
    if params.schedule != "stable" or step <= params.warmup_steps:
        return False
    return lr_factor(params, step - 1, steps) == 1 > lr_factor(params, step, steps)


PACE_STEPS = 10
"""Last steps whose time is known; the first steps of a training are slower."""


class Clock:
    """Times the steps of a training that goes on from ``place``."""

    def __init__(self, state: State, machine: Machine) -> None:
        self._state, self.machine, self._before = state, machine, state.seconds
        self._started = self._step_began = self._saved = time.monotonic()
        self._steps_since_save = 0

    def seconds(self) -> float:
        """Return what training took, all of its processes after each other."""
        return self._before + time.monotonic() - self._started

    def step(self) -> None:
        """Note that a step has ended."""
        now = time.monotonic()
        self._state.pace = [*self._state.pace, now - self._step_began][-PACE_STEPS:]
        self._step_began = now
        self._steps_since_save += 1

    def pause(self) -> None:
        """Leave what was since the last step out of the next one's time."""
        self._step_began = time.monotonic()

    def seconds_a_step(self) -> float:
        """Return the median of the last steps' times."""
        return statistics.median(self._state.pace)

    def seconds_of(self, work: Callable[[], object]) -> float:
        """Return what ``work`` takes, which is no part of a step."""
        start = time.monotonic()
        work()
        self.pause()
        return time.monotonic() - start

    def checkpoint_is_due(self) -> bool:
        """Say whether as many steps or minutes as ``machine`` says have passed since the last checkpoint."""
        if self.machine.checkpoint_steps:
            return self._steps_since_save >= self.machine.checkpoint_steps
        return time.monotonic() - self._saved > 60 * self.machine.checkpoint_minutes

    def save(self, checkpoint: Checkpoint) -> None:
        """Save a checkpoint."""
        self._state.seconds = self.seconds()
        checkpoint.save(self._state)
        self.pause()
        self._saved, self._steps_since_save = time.monotonic(), 0

"""When training saves, and how fast it goes."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

from stages.params import Machine
from stages.train.checkpoints import Checkpoint
from stages.train.place import Place

PACE_STEPS = 10
"""Last steps whose time is known; the first steps of a training are slower."""


class Clock:
    """Times the steps of a training that goes on from ``place``."""

    def __init__(self, place: Place, machine: Machine) -> None:
        self._place, self.machine, self._before = place, machine, place.seconds
        self._started = self._step_began = self._saved = time.monotonic()
        self._steps_since_save = 0

    def seconds(self) -> float:
        """Return what training took, all of its processes after each other."""
        return self._before + time.monotonic() - self._started

    def step(self) -> None:
        """Note that a step has ended."""
        now = time.monotonic()
        self._place.pace = [*self._place.pace, now - self._step_began][-PACE_STEPS:]
        self._step_began = now
        self._steps_since_save += 1

    def pause(self) -> None:
        """Leave what was since the last step out of the next one's time."""
        self._step_began = time.monotonic()

    def seconds_a_step(self) -> float:
        """Return the median of the last steps' times."""
        return statistics.median(self._place.pace)

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
        self._place.seconds = self.seconds()
        checkpoint.save(self._place)
        self.pause()
        self._saved, self._steps_since_save = time.monotonic(), 0

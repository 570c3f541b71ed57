"""How far a running training is: a file beside its checkpoint in the working cache, for whoever watches it.

It is no output of the stage: it names a process and a machine, and it goes with the checkpoint when the
training has ended.
"""

from __future__ import annotations

import json
import os
import socket
import time
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import psutil

from ungray.system.files import whole_file

FILE = "status.json"

EVERY_SECONDS = 2.0
"""Smallest interval between two writings within an epoch."""

FRESH_SECONDS = 120.0
"""A training on another machine counts as running if it wrote its status within so many seconds."""


@dataclass(frozen=True)
class Status:
    """How far a training is, as it wrote last."""

    report: str
    """Absolute path of the folder with its curves and grids."""
    experiment: str = ""
    """Name of DVC's experiment, if it is one."""
    host: str = ""
    process: int = 0
    process_began: float = 0.0
    """Seconds since 1970; the system gives a process's number to another one later."""
    updated: float = 0.0
    """Seconds since 1970."""
    epoch: int = 0
    """Number of finished epochs."""
    step: int = 0
    """Number of steps taken."""
    steps: int = 0
    """Total number of steps, 0 while it is not known."""
    epochs: int = 0
    """Total number of epochs, 0 while it is not known."""
    pace: float = 0.0
    """Photos per second since this process began, validation included; 0 while it is not known."""
    seconds_left: float = 0.0
    """By that pace; 0 while it is not known."""
    record: dict[str, float] = field(default_factory=dict)
    """What was measured in the last epoch."""
    stopped: bool = False
    """Whether it ended by an error or Ctrl-C, though its process may go on with something else."""

    @classmethod
    def load(cls, path: Path) -> Status | None:
        """Return the status in ``path``; None if it has just gone, or is no status of this version."""
        try:
            return cls(**json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return None

    def is_running(self) -> bool:
        """Return whether its process still trains."""
        if self.stopped:
            return False
        if self.host != socket.gethostname():
            return time.time() - self.updated < FRESH_SECONDS
        try:
            process = psutil.Process(self.process)
            # A clock that is set meanwhile moves the second figure a little.
            return process.status() != psutil.STATUS_ZOMBIE and (
                abs(process.create_time() - self.process_began) < 2
            )
        except psutil.Error:
            return False


class StatusFile:
    """Writes the status of one training to its folder ``work`` in the working cache."""

    def __init__(self, work: Path, report: Path) -> None:
        self._path, self._written = work / FILE, 0.0
        process = psutil.Process()
        self._status = Status(
            report=str(report.resolve()),
            experiment=os.environ.get("DVC_EXP_NAME", ""),
            host=socket.gethostname(),
            process=process.pid,
            process_began=process.create_time(),
        )

    def write(self, *, at_once: bool = True, **changes: object) -> None:
        """Write the status with ``changes``; unless ``at_once``, at most every :data:`EVERY_SECONDS`."""
        now = time.time()
        if not at_once and 0 <= now - self._written < EVERY_SECONDS:
            return
        self._written = now
        self._status = replace(self._status, updated=now, **changes)  # type: ignore[arg-type]
        # No training must end because it cannot be watched. Of a full disk, checkpoints complain.
        with suppress(OSError), whole_file(self._path) as partial:
            partial.write_text(json.dumps(asdict(self._status)), encoding="utf-8")

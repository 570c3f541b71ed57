"""A training with the schedule ``stable`` goes on from where the rate of a shorter one began to fall.

When it begins to fall, all of the training is kept in the working cache, keyed by every setting that decides
about weights but how long it is. A later training that is longer begins there, and gives the same bytes as if
it had taken all steps itself.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from stages.storage import cache
from stages.train import checkpoints, schedule
from stages.train.params import Params
from ungray.system.files import whole_folder
from ungray.system.terminal import say, tell

HOW_LONG = {f"train.{name}" for name in ("epochs", "steps", "minutes", "decay")}
"""Settings that change nothing of a training before the learning rate falls."""

TILES = "tiles-*.npz"
"""The pictures of progress grids, beside a checkpoint."""


def folder(work: Path, settings: dict[str, Any]) -> Path:
    """Return the folder of all that trainings with these ``settings`` have kept, however long they were.

    ``work`` is the folder of one of them in the working cache.
    """
    shared = {name: value for name, value in settings.items() if name not in HOW_LONG}
    return work.parent.with_name("legs") / cache.fingerprint(shared)


def keep(checkpoint: Path, legs: Path, *, step: int) -> None:
    """Copy ``checkpoint`` and the progress grids beside it to ``legs``, as those after ``step`` steps."""
    with whole_folder(legs / str(step)) as kept:
        for path in [checkpoint, *checkpoint.parent.glob(TILES)]:
            shutil.copy2(path, kept)


def begin(params: Params, checkpoint: Path, legs: Path, *, fingerprint: str, batches_an_epoch: int) -> None:
    """Make the longest of ``legs`` that this training goes beyond its ``checkpoint``, and say so.

    The learning rate must not have fallen by then, nor fall just there: the same training again is a whole
    one. Does nothing where there is a checkpoint.
    """
    if params.schedule != "stable" or checkpoint.exists():
        return
    most = schedule.most_steps(params, batches_an_epoch)
    for kept in sorted(legs.glob("[0-9]*"), key=lambda path: -int(path.name)):
        if schedule.lr_factor(params, int(kept.name), most) < 1:
            continue
        try:
            saved = checkpoints.read(kept / checkpoint.name)
        except checkpoints.UNREADABLE as error:
            say(f"train: {kept} is damaged ({error}) and is not used")
            continue
        state = saved["state"]
        if params.minutes and state["seconds"] >= 60 * params.minutes * (1 - params.decay):
            continue
        for path in kept.glob(TILES):
            shutil.copy2(path, checkpoint.parent)
        state["planned_steps"] = 0  # that was the shorter one's
        checkpoints.write(checkpoint, saved | {"fingerprint": fingerprint})
        tell(f"train: the first {kept.name} steps are those of a shorter training with the same settings")
        return

"""With the schedule ``stable``, a longer training begins where the learning rate of a shorter one fell.

When the rate begins to fall, the state of the training is saved in the working cache, keyed by every setting
that the weights depend on, except its length. A later, longer training begins there and gives the same bytes
as if it had taken all steps itself.
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
"""Settings that have no effect on a training before the learning rate falls."""

TILES = "tiles-*.npz"
"""Files of the photos in progress grids, next to a checkpoint."""


def folder(work: Path, settings: dict[str, Any]) -> Path:
    """Return the folder of saved states of trainings with these ``settings``, whatever their length.

    ``work`` is the folder of one of these trainings in the working cache.
    """
    shared = {name: value for name, value in settings.items() if name not in HOW_LONG}
    return work.parent.with_name("legs") / cache.fingerprint(shared)


def keep(checkpoint: Path, legs: Path, *, step: int) -> None:
    """Copy ``checkpoint`` and its progress grids to ``legs``, as the state after ``step`` steps."""
    with whole_folder(legs / str(step)) as kept:
        for path in [checkpoint, *checkpoint.parent.glob(TILES)]:
            shutil.copy2(path, kept)


def begin(params: Params, checkpoint: Path, legs: Path, *, fingerprint: str, batches_an_epoch: int) -> None:
    """Copy the longest usable state in ``legs`` to ``checkpoint``, where this training begins, and report it.

    A state is usable if the learning rate of this training begins to fall after it. So repeating the same
    training takes all of its steps again. Does nothing if there is a checkpoint.
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
        state["planned_steps"] = 0  # it was that of the shorter training
        checkpoints.write(checkpoint, saved | {"fingerprint": fingerprint})
        tell(f"train: the first {kept.name} steps are those of a shorter training with the same settings")
        return

"""Saves all of a training, so that it can be killed at any time and resumes with the same result.

With the schedule ``stable`` a longer training also begins where the learning rate of a shorter one fell: when
the rate begins to fall, the checkpoint is copied in the working cache, keyed by every setting that the
weights depend on, except the training's length. A later, longer training begins there and gives the same
bytes as if it had taken all steps itself.
"""

from __future__ import annotations

import copy
import io
import json
import pickle
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from stages.storage import cache
from stages.train import schedule
from stages.train.devices import gathered
from stages.train.objective import Objective
from stages.train.params import Params
from stages.train.state import OF_EACH_PROCESS, Best, Ema, State
from ungray.system.files import sha256, whole_file, whole_folder
from ungray.system.terminal import say, tell

if TYPE_CHECKING:
    from lightning_fabric import Fabric

UNREADABLE = (
    RuntimeError, KeyError, TypeError, ValueError, IndexError, EOFError, OSError, pickle.UnpicklingError,
)  # fmt: skip

DIGITS = 64
"""Length of the checksum at the start of a checkpoint; PyTorch itself does not notice damaged weights."""

HOW_LONG = {f"train.{name}" for name in ("epochs", "steps", "minutes", "decay")}
"""Settings that have no effect on a training before the learning rate falls."""

TILES = "tiles-*.npz"
"""Files of the photos in progress grids, next to a checkpoint."""


class Checkpoint:
    """The file with all of a training: state, objective, moving average, best weights, random generators."""

    def __init__(
        self,
        path: Path,
        *,
        fingerprint: str,
        objective: Objective,
        ema: Ema | None,
        best: Best,
        fabric: Fabric,
    ) -> None:
        self.path, self._fingerprint = path, fingerprint
        self._objective, self._ema, self._best, self._fabric = objective, ema, best, fabric

    def save(self, state: State) -> None:
        """Write the file, completely or not at all. All processes must call this; the first one writes."""
        mine = {
            **{name: getattr(state, name) for name in OF_EACH_PROCESS},
            "generators": _generators(self._fabric.device),
        }
        ranks = gathered(self._fabric, mine)
        if not self._fabric.is_global_zero:
            return
        saved = {
            "fingerprint": self._fingerprint,
            "state": asdict(state),
            "ranks": ranks,
            "objective": self._objective.state_dict(),
            "ema": self._ema.network.state_dict() if self._ema else None,
            "best": self._best.weights,
        }
        write(self.path, saved)

    def restore(self) -> State:
        """Load the file into all parts of the training; return its state, a new one if there is no file.

        A file that is damaged or belongs to another training is renamed to ``<name>.damaged``, with a
        message, and training starts from the beginning.
        """
        if not self.path.exists():
            return State()
        untrained = copy.deepcopy(self._objective.state_dict())
        unaveraged = copy.deepcopy(self._ema.network.state_dict()) if self._ema else None
        try:
            saved = read_checkpoint(self.path)
            if saved["fingerprint"] != self._fingerprint:
                raise ValueError("it belongs to a training with other params, data or code")
            mine = saved["ranks"][self._fabric.global_rank]
            state = State(**saved["state"])
            for name in OF_EACH_PROCESS:
                setattr(state, name, mine[name])
            self._objective.load_state_dict(saved["objective"])
            if self._ema:
                self._ema.network.load_state_dict(saved["ema"])
            self._best.weights = saved["best"]
            _set_generators(mine["generators"])
        except UNREADABLE as error:
            self._objective.load_state_dict(untrained)
            if self._ema and unaveraged:
                self._ema.network.load_state_dict(unaveraged)
            self._set_aside(error)
            return State()
        return state

    def _set_aside(self, error: Exception) -> None:
        self._fabric.barrier()  # by now every process has tried to read it
        if not self._fabric.is_global_zero:
            return
        aside = self.path.with_suffix(".damaged")
        self.path.replace(aside)
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        say(f"train: the checkpoint is damaged ({reason}) and now {aside}; training starts over")


def write(path: Path, saved: dict[str, Any]) -> None:
    """Write a checksum and ``saved``, which must have types that ``torch.load(weights_only)`` reads."""
    content = io.BytesIO()  # torch.save to a path turns a full disk into a RuntimeError
    torch.save(saved, content)
    with whole_file(path) as partial, partial.open("wb") as file:
        file.write(sha256(content.getbuffer()).encode())
        file.write(content.getbuffer())


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Return what :func:`write` wrote.

    Raises:
        ValueError: the file is damaged.
    """
    content = memoryview(path.read_bytes())
    if bytes(content[:DIGITS]) != sha256(content[DIGITS:]).encode():
        raise ValueError("its checksum does not match")
    saved: dict[str, Any] = torch.load(io.BytesIO(content[DIGITS:]), map_location="cpu", weights_only=True)
    return saved


def report_differences(work: Path, settings: dict[str, Any]) -> None:
    """Report it if a stopped training had other ``settings``, because its checkpoint is then not used.

    Writes ``settings`` (plain JSON values, with lists instead of tuples) to ``work`` for the next comparison.
    """
    own = work / "settings.json"
    others = [path for path in work.parent.glob("*/settings.json") if path.parent != work]
    stopped = [path for path in others if (path.parent / "checkpoint.pt").exists()]
    if stopped and not (work / "checkpoint.pt").exists():
        newest = max(stopped, key=lambda path: (path.parent / "checkpoint.pt").stat().st_mtime)
        theirs = json.loads(newest.read_text())
        if theirs.get("report") == settings["report"]:
            changed = sorted(name for name in settings | theirs if settings.get(name) != theirs.get(name))
            say(
                f"train: the checkpoint in {newest.parent} is of a training with other {', '.join(changed)} "
                "and is not used; training starts over"
            )
    with whole_file(own) as partial:
        partial.write_text(json.dumps(settings, indent=2))


def legs_folder(work: Path, settings: dict[str, Any]) -> Path:
    """Return the folder of saved states of trainings with these ``settings``, whatever their length.

    ``work`` is the folder of one of these trainings in the working cache.
    """
    shared = {name: value for name, value in settings.items() if name not in HOW_LONG}
    return work.parent.with_name("legs") / cache.fingerprint(shared)


def keep_leg(checkpoint: Path, legs: Path, *, step: int) -> None:
    """Copy ``checkpoint`` and its progress grids to ``legs``, as the state after ``step`` steps."""
    with whole_folder(legs / str(step)) as kept:
        for path in [checkpoint, *checkpoint.parent.glob(TILES)]:
            shutil.copy2(path, kept)


def begin_leg(
    params: Params, checkpoint: Path, legs: Path, *, fingerprint: str, batches_an_epoch: int
) -> None:
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
            saved = read_checkpoint(kept / checkpoint.name)
        except UNREADABLE as error:
            say(f"train: {kept} is damaged ({error}) and is not used")
            continue
        state = saved["state"]
        if params.minutes and state["seconds"] >= 60 * params.minutes * (1 - params.decay):
            continue
        for path in kept.glob(TILES):
            shutil.copy2(path, checkpoint.parent)
        state["planned_steps"] = 0  # it was that of the shorter training
        write(checkpoint, saved | {"fingerprint": fingerprint})
        tell(f"train: the first {kept.name} steps are those of a shorter training with the same settings")
        return


def _generators(device: torch.device) -> dict[str, torch.Tensor]:
    """Return the states of the torch generators that training uses, by device type."""
    states = {"cpu": torch.get_rng_state()}
    if device.type == "cuda":
        states["cuda"] = torch.cuda.get_rng_state(device)
    elif device.type == "mps":
        states["mps"] = torch.mps.get_rng_state()
    return states


def _set_generators(states: dict[str, torch.Tensor]) -> None:
    torch.set_rng_state(states["cpu"])
    if "cuda" in states:
        torch.cuda.set_rng_state(states["cuda"])
    if "mps" in states:
        torch.mps.set_rng_state(states["mps"])

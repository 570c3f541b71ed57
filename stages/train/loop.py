"""The training loop, readable from top to bottom: all epochs, one epoch, one step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from stages.params import Machine
from stages.train import devices, schedule
from stages.train.checkpoints import Checkpoint, keep_leg
from stages.train.data import Pixels, Streamed, ahead, batch_count, mixed_batches
from stages.train.hints import Hints
from stages.train.objective import build_objective
from stages.train.params import Params
from stages.train.progress import NoProgress
from stages.train.schedule import Clock
from stages.train.state import Best, Ema, State
from stages.train.stopping import check_loss, check_val, memory_named, stoppable
from stages.train.validation import Validation
from ungray.networks.base import Network

if TYPE_CHECKING:
    from lightning_fabric import Fabric

    from stages.train.augmentation import Augmentation

OnEpoch = Callable[[int, dict[str, float]], None]


@dataclass(frozen=True)
class Photos:
    """The photos used for training and validation."""

    train: Sequence[Pixels | Streamed]
    """Train photos, one array or stream for each size."""
    files: Sequence[str]
    """Names of the train photos, in the order of ``train``, size after size."""
    val: Pixels
    augmentation: Augmentation | None = None
    """Applied to the network's view of the train photos, if given; val photos are not changed."""
    hints: Hints | None = None
    """Makes hints of the train photos' colors for the network, if given."""

    @classmethod
    def drawn(
        cls, params: Params, *, train: Sequence[Pixels | Streamed], files: Sequence[str], val: Pixels
    ) -> Self:
        """Return these photos with the augmentation and the hints that ``params`` ask for."""
        augmentation = None
        if params.tones or params.degradation:
            from stages.train.augmentation import Augmentation  # albumentations takes seconds to import

            augmentation = Augmentation(params)
        hints = Hints(params.hints, seed=params.seed) if params.network().get("hints") else None
        return cls(train=train, files=files, val=val, augmentation=augmentation, hints=hints)


class Training:
    """One training of ``network``, in place: it resumes from ``checkpoint`` if there is one.

    ``checkpoint`` is written as often as ``machine`` says, when training is interrupted, and before the
    learning rate of the schedule ``stable`` falls; in that case it is copied to ``legs`` too, see
    :mod:`stages.train.checkpoints`.
    """

    def __init__(
        self,
        params: Params,
        machine: Machine,
        network: Network,
        *,
        photos: Photos,
        fabric: Fabric,
        checkpoint: Path,
        fingerprint: str,
        progress: NoProgress,
        legs: Path | None = None,
    ) -> None:
        self.params, self.machine, self.photos, self.fabric, self.progress = (
            params,
            machine,
            photos,
            fabric,
            progress,
        )
        self.legs = legs
        self.objective = build_objective(params, network, fabric)
        self.ema = Ema(network, params.ema) if params.ema else None
        self.network = network
        self.shown = self.ema.network if self.ema else network
        self.best = Best(params)
        self.validate = Validation(
            photos.val, objective=self.objective, batch_size=params.batch_size, fabric=fabric
        )
        self.checkpoint = Checkpoint(
            checkpoint,
            fingerprint=fingerprint,
            objective=self.objective,
            ema=self.ema,
            best=self.best,
            fabric=fabric,
        )
        self.state = self.checkpoint.restore()
        self.clock = Clock(self.state, machine)
        self.batches_an_epoch = batch_count(photos.train, params.batch_size)
        self.most_steps = schedule.most_steps(params, self.batches_an_epoch)
        if not params.minutes or self.most_steps <= schedule.settled_steps(params):
            self.state.planned_steps = self.most_steps

    def run(self, on_epoch: OnEpoch | None) -> State:
        """Train until the budget is used up or patience runs out; return the final state.

        The network then has the weights that ``train.keep`` and ``train.ema`` ask for. ``on_epoch`` is called
        with each epoch's number and record and may raise to end the training.

        Raises:
            KeyboardInterrupt: on Ctrl-C or SIGTERM, after a checkpoint was saved.
            UngrayError: the loss is not finite or has exploded, or there is not enough memory.
        """
        state = self.state
        with stoppable() as stop, memory_named(self.params), self.progress:
            if self.params.start_from == "base" and not state.before:
                state.before = self.validate(self.shown)
                self.best.consider(self.shown, state)
            self.progress.start(state, self.shown, steps=state.planned_steps)
            threads = torch.get_num_threads()
            if not self.is_over() and self.fabric.device.type == "cpu" and threads not in state.threads:
                state.threads.append(threads)
            while not self.is_over():
                self._train_epoch(stop)
                devices.share_buffers(self.fabric, self.shown)
                last_step = min((state.epoch + 1) * self.batches_an_epoch, self.steps) - 1
                measured = self.validate(self.shown)
                self._save_if_due(stop)  # no later step would handle it after the last epoch
                state.end_epoch(
                    devices.summed(self.fabric, {"photos": state.photos, **state.sums}),
                    measured,
                    learning_rate=self.params.lr * schedule.lr_factor(self.params, last_step, self.steps),
                )
                check_val(state)
                self.best.consider(self.shown, state)
                self.progress.epoch(state, self.shown, last=self.is_over())
                if on_epoch:
                    on_epoch(state.epoch, state.log[-1])
        self.network.load_state_dict(self.best.weights or self.shown.state_dict())
        return state

    def _train_epoch(self, stop: list[int]) -> None:
        """Take the remaining steps of this epoch, or fewer if the budget ends within it."""
        state, params = self.state, self.params
        drawn = mixed_batches(
            self.photos.train,
            batch_size=params.batch_size,
            seed=params.seed,
            epoch=state.epoch,
            flip=params.flip,
            shuffle=params.shuffle,
            skip=state.batch,
        )
        self.objective.train()
        for numbers, batch in ahead(drawn):
            if self.step == self.steps:
                break
            if schedule.decay_begins(params, self.step, self.steps):
                self._keep_leg()
            self._train_step(batch, numbers)
            self.progress.step(len(batch))
            self.clock.step()
            if not state.planned_steps and self._planning_is_due():
                self._plan()
            self._save_if_due(stop)

    def _keep_leg(self) -> None:
        """Save the state that a longer training can begin from."""
        self._save()
        if self.legs and self.fabric.is_global_zero:
            keep_leg(self.checkpoint.path, self.legs, step=self.step)
        self.clock.pause()

    def _save_if_due(self, stop: list[int]) -> None:
        """Save a checkpoint if one is due; end the training if a signal asked for it."""
        stopping, due = devices.any_of(self.fabric, bool(stop), self.clock.checkpoint_is_due())
        if stopping or due:
            self._save()
        if stopping:
            raise KeyboardInterrupt

    def _save(self) -> None:
        self.state.seconds = self.clock.seconds()
        self.checkpoint.save(self.state)
        self.clock.saved()

    def _train_step(self, batch: Tensor, numbers: NDArray[np.int64]) -> None:
        """Take one step on a global batch, the photos ``numbers`` as uint8 RGB (batch, height, width, 3)."""
        state, params = self.state, self.params
        factor = schedule.lr_factor(params, self.step, self.steps)
        shares = devices.shares(
            len(batch),
            ranks=self.fabric.world_size,
            rank=self.fabric.global_rank,
            accumulation=self.machine.accumulation,
        )
        for turn, (where, share) in enumerate(shares, start=1):
            photos = batch[where]
            seen, hints = self._drawn(photos, numbers[where])
            found = self.objective.step(
                photos, seen, hints=hints, lr_factor=factor, share=share, last=turn == len(shares)
            )
            values = {name: value.item() for name, value in found.items()}
            if share:
                check_loss(
                    values["loss"],
                    state,
                    step=self.step + 1,
                    lr=params.lr * factor,
                    files=[self.photos.files[number] for number in numbers[where]],
                )
            state.add(values, photos=len(photos) if share else 0)
        if self.ema:
            self.ema.update(self.network, step=self.step + 1)
        state.batch += 1

    def _drawn(self, photos: Tensor, numbers: NDArray[np.int64]) -> tuple[Tensor | None, Tensor | None]:
        """Return what the network sees instead of ``photos``, and their hints; each None if not used."""
        epoch, source = self.state.epoch, self.photos
        return (
            source.augmentation.batch(photos, numbers=numbers, epoch=epoch) if source.augmentation else None,
            source.hints.batch(photos, numbers=numbers, epoch=epoch) if source.hints else None,
        )

    def _planning_is_due(self) -> bool:
        due = schedule.planning_is_due(self.params, step=self.step, seconds=self.clock.seconds())
        return devices.any_of(self.fabric, due)[0]

    def _plan(self) -> None:
        """Fix the total number of steps by the pace so far, and show it."""
        params, state = self.params, self.state
        devices.share_buffers(self.fabric, self.shown)
        seconds = self.clock.seconds_of(lambda: self.validate(self.shown))
        self.objective.train()
        planned = schedule.plan_steps(
            params,
            batches_an_epoch=self.batches_an_epoch,
            done=self.step,
            seconds=self.clock.seconds(),
            seconds_a_step=self.clock.seconds_a_step(),
            seconds_a_validation=seconds,
        )
        state.planned_steps = self.fabric.broadcast(planned)
        self.progress.plan(state.planned_steps)

    @property
    def step(self) -> int:
        """Number of steps taken so far."""
        return self.state.epoch * self.batches_an_epoch + self.state.batch

    @property
    def steps(self) -> int:
        """Total number of steps, as known so far."""
        return self.state.planned_steps or self.most_steps

    def is_over(self) -> bool:
        """Return whether the budget is used up or patience has run out."""
        if self.state.batch:
            return False  # an epoch that was stopped after its last step must still be validated
        return self.step >= self.steps or self.best.patience_is_over(self.state)

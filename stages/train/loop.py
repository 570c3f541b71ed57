"""The training loop, readable from top to bottom."""

from __future__ import annotations

import math
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.optim import Optimizer
from tqdm import tqdm

from stages.errors import UngrayError
from stages.networks.base import Colorizer
from stages.train import checkpoints
from stages.train.checkpoints import Place
from stages.train.data import Pixels, batch_count, batches, mixed_batches, to_rgb
from stages.train.losses import Loss, build_loss
from stages.train.params import Params
from stages.train.show import Show

if TYPE_CHECKING:
    from stages.train.degrade import OldScans


def fit(
    params: Params,
    network: Colorizer,
    *,
    train: Sequence[Pixels],
    val: Pixels,
    fabric: Fabric,
    checkpoint: Path,
    checkpoint_seconds: float,
    wear: OldScans | None,
    show: Show,
) -> Place:
    """Train ``network`` in place on photos of one or more sizes, and return where it ended.

    Goes on from ``checkpoint`` if there is one, saves one every ``checkpoint_seconds`` and when interrupted.
    What the network sees of the train photos goes through ``wear``, if given; val photos stay as they are.

    Raises:
        KeyboardInterrupt: Ctrl-C or SIGTERM, after a checkpoint was saved.
        UngrayError: the loss is no longer a number.
    """
    photos_an_epoch = sum(map(len, train))
    batches_an_epoch = batch_count(train, params.batch_size)
    steps = params.epochs * batches_an_epoch
    network.to(memory_format=torch.channels_last)
    plain_optimizer = torch.optim.Adam(network.parameters(), lr=params.lr, weight_decay=params.weight_decay)
    module, optimizer = fabric.setup(network, plain_optimizer)
    loss_of = build_loss(params, network)
    place = checkpoints.restore(checkpoint, network=network, optimizer=plain_optimizer)
    show.start(place, network)
    saved = time.monotonic()
    seen = place.epoch * photos_an_epoch + min(place.batch * params.batch_size, photos_an_epoch)
    bar = tqdm(total=params.epochs * photos_an_epoch, initial=seen, desc="train", unit="photo", disable=None)
    with _stoppable() as stop, bar:
        while place.epoch < params.epochs:
            module.train()
            drawn = mixed_batches(
                train,
                batch_size=params.batch_size,
                seed=params.seed,
                epoch=place.epoch,
                flip=params.flip,
                skip=place.batch,
            )
            for numbers, batch in drawn:
                worn = wear.batch(batch, numbers=numbers, epoch=place.epoch) if wear else None
                step = place.epoch * batches_an_epoch + place.batch
                lr = learning_rate(params, step, steps)
                _set_lr(optimizer, lr)
                loss = train_step(module, network, optimizer, batch, worn=worn, loss=loss_of, fabric=fabric)
                if not math.isfinite(loss):
                    raise UngrayError(
                        f"train: the loss is {loss} at step {step + 1}, learning rate {lr:g}; lower train.lr"
                    )
                place.loss_sum += loss * len(batch)
                place.batch += 1
                bar.update(len(batch))
                if stop or time.monotonic() - saved > checkpoint_seconds:
                    checkpoints.save(checkpoint, place=place, network=network, optimizer=plain_optimizer)
                    saved = time.monotonic()
                if stop:
                    raise KeyboardInterrupt
            last_lr = learning_rate(params, (place.epoch + 1) * batches_an_epoch - 1, steps)
            losses = validate(module, network, val, batch_size=params.batch_size, loss=loss_of, fabric=fabric)
            place.log.append(
                {"loss/train": place.loss_sum / photos_an_epoch, **losses, "learning_rate": last_lr}
            )
            place = Place(epoch=place.epoch + 1, log=place.log)
            show.epoch(place, network, bar=bar)
    return place


def train_step(
    module: nn.Module,
    network: Colorizer,
    optimizer: Optimizer,
    batch: Tensor,
    *,
    worn: Tensor | None,
    loss: Loss,
    fabric: Fabric,
) -> float:
    """Take one step on ``batch``, uint8 RGB (batch, height, width, 3), and return its loss.

    The network sees the gray of ``worn``, if given, and is to find the colour of ``batch``.
    """
    inputs, targets = network.pairs(to_rgb(fabric.to_device(batch)))
    if worn is not None:
        inputs, _ = network.pairs(to_rgb(fabric.to_device(worn)))
    # The network runs in the chosen precision, the loss in fp32.
    value = loss(module(inputs).float(), targets)
    optimizer.zero_grad()
    fabric.backward(value)
    optimizer.step()
    return value.item()


@torch.no_grad()
def validate(
    module: nn.Module, network: Colorizer, val: Pixels, *, batch_size: int, loss: Loss, fabric: Fabric
) -> dict[str, float]:
    """Return the mean loss over ``val``, of the network and of the gray photo, in the network's units."""
    module.eval()
    sums = {"loss/val": 0.0, "loss/gray": 0.0}
    for _, batch in batches(val, batch_size=batch_size, seed=0, epoch=0, flip=False):
        rgb = to_rgb(fabric.to_device(batch))
        inputs, targets = network.pairs(rgb)
        gray = network.gray_target(inputs, targets)
        sums["loss/val"] += loss(module(inputs).float(), targets).item() * len(batch)
        sums["loss/gray"] += loss(gray, targets).item() * len(batch)
    return {name: total / len(val) for name, total in sums.items()}


def learning_rate(params: Params, step: int, steps: int) -> float:
    """Return the learning rate of ``step`` (from 0) of ``steps``: linear warm-up, then constant or cosine."""
    warm = min(1.0, (step + 1) / (params.warmup_steps + 1))
    if params.schedule == "constant":
        return params.lr * warm
    return params.lr * warm * 0.5 * (1 + math.cos(math.pi * step / steps))


def _set_lr(optimizer: Optimizer, lr: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = lr


@contextmanager
def _stoppable() -> Iterator[list[int]]:
    """Yield a list that is empty until Ctrl-C or SIGTERM comes, so that the step at hand can end."""
    signals: list[int] = []

    def stop(number: int, frame: Any) -> None:
        if signals:
            raise KeyboardInterrupt  # the second time: at once
        signals.append(number)

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield signals
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

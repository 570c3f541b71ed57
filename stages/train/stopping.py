"""What stops a training before its end: Ctrl-C, a loss that is not finite, too little memory, a callback.

Errors are one sentence that names the cause and the remedy.
"""

from __future__ import annotations

import math
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch

from stages.train.params import Params
from stages.train.state import State
from ungray.errors import UngrayError

EXPLODED = 1000.0
"""A loss more than this many times that of the first step will not recover."""

NAMED_PHOTOS = 64
"""Largest number of photos named of the batch at which training failed."""


class EndedError(Exception):
    """Raised by an ``on_epoch`` callback: the training ends and will not be resumed."""


@contextmanager
def stoppable() -> Iterator[list[int]]:
    """Yield a list that stays empty until Ctrl-C or SIGTERM arrives, so that the current step can finish."""
    signals: list[int] = []

    def stop(number: int, frame: Any) -> None:
        if signals:
            raise KeyboardInterrupt  # a second signal ends it at once
        signals.append(number)

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield signals
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def check_loss(loss: float, state: State, *, step: int, lr: float, files: Sequence[str]) -> None:
    """Raise an UngrayError if ``loss``, of ``step`` (from 1) on ``files``, is not finite or has exploded.

    The first loss is stored in ``state``; later ones are compared with it.
    """
    if not state.first_loss:
        state.first_loss = loss
    if math.isfinite(loss) and abs(loss) <= EXPLODED * abs(state.first_loss):
        return
    named = ", ".join(files[:NAMED_PHOTOS])
    more = f" and {len(files) - NAMED_PHOTOS} more" if len(files) > NAMED_PHOTOS else ""
    raise UngrayError(
        f"train: the loss is {loss:g} at step {step}, learning rate {lr:g}, on the photos {named}{more}; "
        "lower train.lr or set train.clip_norm to 1.0"
    )


def check_val(state: State) -> None:
    """Raise an UngrayError if the loss of the val photos in the latest epoch is not finite."""
    record = state.log[-1]
    if not math.isfinite(record["loss/val"]):
        raise UngrayError(
            f"train: the loss of the val photos is {record['loss/val']:g} after epoch {state.epoch}, "
            f"learning rate {record['learning_rate']:g}; lower train.lr or set train.clip_norm to 1.0"
        )


@contextmanager
def memory_named(params: Params) -> Iterator[None]:
    """Turn the errors that torch and NumPy raise when memory runs out into an UngrayError."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        # The GPU's error has its own class, a RuntimeError; the CPU allocator's is known only by its text.
        words = str(error)
        cpu = "DefaultCPUAllocator" in words or "not enough memory" in words or "bad_alloc" in words
        if not (isinstance(error, MemoryError | torch.OutOfMemoryError) or cpu):
            raise
        raise UngrayError(
            f"train: out of memory with train.batch_size = {params.batch_size}; lower it or "
            "train.working_size, or raise machine.accumulation, which splits the batch and keeps its size"
        ) from error

"""Saving the state of training so that it can be killed at any moment and goes on as if it never was."""

from __future__ import annotations

import copy
import io
import pickle
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

from stages.files import whole_file


@dataclass
class Place:
    """Where training is: finished epochs, finished batches of the next one, and what was measured so far.

    Order of photos, flips and learning rate follow from the place alone, so no generator's state is needed.
    """

    epoch: int = 0
    batch: int = 0
    loss_sum: float = 0.0
    log: list[dict[str, float]] = field(default_factory=list)


def save(path: Path, *, place: Place, network: nn.Module, optimizer: Optimizer) -> None:
    """Write a checkpoint, whole or not at all."""
    state = {"place": asdict(place), "network": network.state_dict(), "optimizer": optimizer.state_dict()}
    content = io.BytesIO()  # torch.save to a path turns a full disk into a RuntimeError
    torch.save(state, content)
    with whole_file(path) as partial:
        partial.write_bytes(content.getbuffer())


def restore(path: Path, *, network: nn.Module, optimizer: Optimizer) -> Place:
    """Load the checkpoint at ``path`` into network and optimizer; return its place, the start if none.

    A damaged checkpoint is set aside as ``<name>.damaged`` and said so; training starts afresh.
    """
    if not path.exists():
        return Place()
    untrained = copy.deepcopy(network.state_dict())
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        place = Place(**state["place"])
        network.load_state_dict(state["network"])
        optimizer.load_state_dict(state["optimizer"])
    except (
        RuntimeError,
        KeyError,
        TypeError,
        ValueError,
        EOFError,
        OSError,
        pickle.UnpicklingError,
    ) as error:
        aside = path.with_suffix(".damaged")
        path.replace(aside)
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        print(
            f"train: the checkpoint is damaged ({reason}), now {aside}; training starts afresh",
            file=sys.stderr,
        )
        network.load_state_dict(untrained)
        return Place()
    return place

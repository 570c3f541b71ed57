"""Starting from a trained model instead of from nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm

from ungray import networks
from ungray.errors import UngrayError
from ungray.networks import Network
from ungray.system.files import sha256

FILE = "colorizer.safetensors"
"""Name of the model's file in the folder ``train.base``."""


def warm_start(network: Network, folder: Path, *, freeze_batch_norm: bool = True) -> dict[str, Any]:
    """Give ``network`` the weights of the model in ``folder``, where names and shapes match.

    Layers of the network that the model lacks (another head, other channels, another architecture) keep the
    weights they were built with. With ``freeze_batch_norm``, batch-norm layers whose weights are copied keep
    their statistics during training: a few hundred photos of one kind have other statistics, and using those,
    batch by batch, costs more than such photos can teach.

    Returns:
        Entries for the trained model's provenance: ``sha256`` of the model's file, its ``architecture``, and
        ``new``, the layers that start new ("all" if no layer of the model fits).

    Raises:
        UngrayError: there is no model, or it is damaged.
    """
    path = folder / FILE
    if not path.is_file():
        raise UngrayError(
            f"train.start_from is base, but {path} does not exist; fetch it with `dvc pull`, or set "
            "train.start_from: nothing in params.yaml"
        )
    base = networks.load_model(path).network
    known, wanted = base.state_dict(), network.state_dict()
    fitting = {
        name: value for name, value in known.items() if name in wanted and wanted[name].shape == value.shape
    }
    network.load_state_dict(wanted | fitting)
    if freeze_batch_norm:
        network.fixed_statistics = [
            name
            for name, layer in network.named_modules()
            if isinstance(layer, _BatchNorm) and f"{name}.running_mean" in fitting
        ]
    new = sorted({name.rpartition(".")[0] for name in wanted.keys() - fitting.keys()}) if fitting else "all"
    return {"sha256": sha256(path.read_bytes()), "architecture": base.ARCHITECTURE, "new": new}


def half_weights(network: Network) -> dict[str, Tensor]:
    """Return a copy of the weights in fp16, as a model's file stores them."""
    return {
        name: value.half().cpu().clone()
        for name, value in network.state_dict().items()
        if value.is_floating_point()
    }


def describe(start: dict[str, Any], network: Network) -> str:
    """Return a sentence on what :func:`warm_start` did; ``start`` is its result."""
    if not start["new"]:
        return f"starts from the base model ({start['architecture']})"
    if start["new"] == "all":
        return f"no layer of the base model ({start['architecture']}) fits, so it starts from nothing"
    layers = {name.rpartition(".")[0] for name in network.state_dict()}
    return (
        f"starts from the base model ({start['architecture']}); {len(start['new'])} of its {len(layers)} "
        f"layers start new: {', '.join(start['new'])}"
    )

"""The architectures, built from a saved configuration alone, and the file format of trained models."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from ungray.errors import UngrayError
from ungray.imaging.color import ExtractFeatures, Float, PredictAb
from ungray.networks.base import Network
from ungray.networks.cnn import Cnn
from ungray.networks.dense_autoencoder import DenseAutoencoder
from ungray.networks.lab_autoencoder import LabAutoencoder
from ungray.networks.lite_unet import LiteUNet
from ungray.networks.plain_autoencoder import PlainAutoencoder
from ungray.networks.resnet18 import ResNet18
from ungray.networks.small_cnn import SmallCnn
from ungray.networks.unet import UNet
from ungray.system.files import whole_file

ARCHITECTURES: dict[str, type[Network]] = {
    architecture.ARCHITECTURE: architecture
    for architecture in (
        UNet,
        LiteUNet,
        Cnn,
        LabAutoencoder,
        DenseAutoencoder,
        PlainAutoencoder,
        ResNet18,
        SmallCnn,
    )
}


@dataclass(frozen=True)
class Model:
    """A trained network and its metadata, as JSON values.

    ``provenance`` is what training recorded, ``quality`` how good the model is; see :mod:`ungray.quality`.
    """

    network: Network
    provenance: dict[str, Any]
    quality: dict[str, Any] = field(default_factory=dict)


def build(configuration: dict[str, Any]) -> Network:
    """Build the untrained network that ``configuration`` (architecture and its arguments) describes."""
    arguments = dict(configuration)
    return ARCHITECTURES[arguments.pop("architecture")](**arguments)


def save_model(path: Path, model: Model) -> None:
    """Write a model as safetensors: parameters in fp16, what is known of it in the metadata."""
    parameters = {name for name, _ in model.network.named_parameters()}
    # Buffers (batch-norm statistics) stay fp32: a variance can exceed the range of fp16.
    tensors = {
        name: (value.half() if name in parameters else value).detach().cpu().contiguous()
        for name, value in model.network.state_dict().items()
    }
    metadata = {
        "format": "ungray-1",
        "configuration": json.dumps(model.network.configuration, sort_keys=True),
        "provenance": json.dumps(model.provenance, sort_keys=True),
        **({"quality": json.dumps(model.quality, sort_keys=True)} if model.quality else {}),
    }
    with whole_file(path) as partial:
        partial.write_bytes(_in_fixed_order(save(tensors, metadata)))


def load_model(path: Path) -> Model:
    """Load a model, ready to use: fp32, in eval mode, on the CPU.

    Raises:
        UngrayError: the file is missing, damaged, or not a model of ungray.
    """
    if not path.is_file():
        raise UngrayError(f"{path} not found; `dvc repro train` makes a model, `dvc pull` fetches one")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
        network = build(json.loads(metadata["configuration"]))
        network.load_state_dict(tensors)
        provenance = json.loads(metadata["provenance"])
        quality = json.loads(metadata.get("quality", "{}"))
    except (SafetensorError, KeyError, TypeError, ValueError, RuntimeError, OSError) as error:
        reason = str(error).splitlines()[0]
        raise UngrayError(
            f"{path} is damaged or not a model of ungray ({reason}); fetch it again with `dvc pull`, or "
            "train it again with `dvc repro --force train`"
        ) from None
    return Model(network.eval(), provenance, quality)


def predictor(network: Network) -> PredictAb:
    """Return ``network`` as a function on arrays, in eval mode, on its own device and in fp32."""
    network.eval()
    device = next(network.parameters()).device

    @torch.inference_mode()
    def predict_ab(lightness: Float, hints: Float | None = None) -> Float:
        given = None if hints is None else torch.from_numpy(hints).to(device)
        return network.predict_ab(torch.from_numpy(lightness).to(device), given).cpu().numpy()

    return predict_ab


def feature_extractor(network: Network) -> ExtractFeatures | None:
    """Return a function from lightness to the features of ``network``; None if it has none.

    See :meth:`Network.predict_with_features`; used as :func:`predictor`.
    """
    if not network.feature_channels:
        return None
    network.eval()
    device = next(network.parameters()).device

    @torch.inference_mode()
    def features(lightness: Float) -> Float:
        return network.predict_with_features(torch.from_numpy(lightness).to(device))[1].cpu().numpy()

    return features


def _in_fixed_order(content: bytes) -> bytes:
    """Return safetensors ``content`` with sorted header keys: the library's order of metadata varies."""
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    fixed = json.dumps(header, sort_keys=True, separators=(",", ":")).encode()
    fixed += b" " * (-len(fixed) % 8)
    return len(fixed).to_bytes(8, "little") + fixed + content[8 + length :]


def parameter_count(network: torch.nn.Module) -> int:
    """Return the number of trainable parameters."""
    return sum(parameter.numel() for parameter in network.parameters() if parameter.requires_grad)

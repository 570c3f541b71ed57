"""Where and in which precision training runs."""

from __future__ import annotations

import logging
from typing import Any

import torch
from lightning_fabric import Fabric

from stages.cluster import cores
from stages.params import Machine

FABRIC_PRECISION: dict[str, Any] = {"bf16": "bf16-mixed", "fp32": "32-true"}


def multiplies_bf16(device: str) -> bool:
    """Say whether ``device`` (cpu, cuda, mps) multiplies bf16 natively: AMX, AVX512-BF16, or the GPU."""
    if device == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device == "cpu":
        return bool(torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported())
    return False


def choose(machine: Machine) -> tuple[str, str]:
    """Return the device (cpu, cuda, mps) and the precision (bf16, fp32) that ``machine`` means here."""
    device: str = machine.device
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "mps" if torch.mps.is_available() else "cpu"
    precision: str = machine.precision
    if precision == "auto":
        precision = "bf16" if multiplies_bf16(device) else "fp32"
    return device, precision


def start_fabric(device: str, precision: str) -> Fabric:
    """Return the Fabric that trains there, with one thread a core and deterministic algorithms.

    Weights are fp32 in both precisions; in bf16 the network's multiplications are cast (autocast).
    """
    torch.set_num_threads(cores())
    torch.use_deterministic_algorithms(True, warn_only=True)
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)  # the stage says the precision itself
    fabric = Fabric(accelerator=device, devices=1, precision=FABRIC_PRECISION[precision])
    fabric.launch()
    return fabric

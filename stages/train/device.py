"""The device and the precision in which training runs."""

from __future__ import annotations

import logging
import os
import shutil
from typing import Any, cast

import torch
from lightning_fabric import Fabric
from lightning_fabric.utilities.exceptions import MisconfigurationException
from torch import nn
from torch.optim import Optimizer

from stages.params import Machine
from ungray.errors import UngrayError
from ungray.system import memory
from ungray.system.cgroups import cores

FABRIC_PRECISION: dict[str, Any] = {"bf16": "bf16-mixed", "fp32": "32-true"}


class CompilingFabric(Fabric):
    """A Fabric that compiles every network it sets up (torch.compile).

    The network itself is not changed, so that running it on photos of other sizes does not compile anything.
    """

    def setup(self, module: nn.Module, *optimizers: Optimizer, **options: Any) -> Any:
        """See :meth:`Fabric.setup`."""
        return super().setup(cast(nn.Module, torch.compile(module, dynamic=False)), *optimizers, **options)


def multiplies_bf16(device: str) -> bool:
    """Return whether ``device`` (cpu, cuda, mps) multiplies bf16 natively: AMX, AVX512-BF16, or the GPU."""
    if device == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device == "cpu":
        has = torch.cpu.get_capabilities()  # only those of this type of processor
        return has.get("amx_bf16", False) or has.get("avx512_bf16", False)
    return False


def choose(machine: Machine) -> tuple[str, str]:
    """Return the device (cpu, cuda, mps) and the precision (bf16, fp32) that ``machine`` selects here."""
    device: str = machine.device
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "mps" if torch.mps.is_available() else "cpu"
    precision: str = machine.precision
    if precision == "auto":
        precision = "bf16" if multiplies_bf16(device) else "fp32"
    return device, precision


def start_fabric(machine: Machine) -> tuple[Fabric, str, str]:
    """Return the Fabric that trains as ``machine`` says, with its device and precision.

    Algorithms are deterministic. Weights are fp32 in both precisions; with bf16 the network's multiplications
    are cast (autocast). On the CPU, the processes of this machine divide its cores, with one thread per core,
    unless ``machine.threads`` sets the number of threads per process. Under ``torchrun``, the number of
    processes is the one that it has started.

    Raises:
        UngrayError: this machine does not have what ``machine`` asks for.
    """
    device, precision = choose(machine)
    devices, nodes = _started_by_torchrun() or (machine.devices, machine.nodes)
    torch.set_num_threads(machine.threads or max(1, cores() // (devices if device == "cpu" else 1)))
    torch.use_deterministic_algorithms(True, warn_only=True)
    # Without it CUDA's matrix products are not deterministic; it is read before the first one.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    # It would fill all new memory: a fifth of a step, only for code that reads memory before setting it.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)  # the stage itself reports the precision
    if device == "cpu":
        memory.keep_freed()
    if machine.compile:
        _demand_compiler()
    try:
        fabric = (CompilingFabric if machine.compile else Fabric)(
            accelerator=device,
            devices=devices,
            num_nodes=nodes,
            strategy=machine.strategy,
            precision=FABRIC_PRECISION[precision],
        )
    except (MisconfigurationException, ValueError, RuntimeError) as error:
        raise UngrayError(
            f"machine: devices = {devices}, nodes = {nodes}, strategy = {machine.strategy} cannot run on "
            f"{device} here ({str(error).splitlines()[0]}); change machine in params.yaml"
        ) from None
    fabric.launch()
    return fabric, device, precision


def _demand_compiler() -> None:
    named = os.environ.get("CXX")
    if not any(map(shutil.which, [named] if named else ["g++", "clang++"])):
        raise UngrayError(
            f"machine.compile is true, but the C++ compiler it needs ({named or 'g++ or clang++'}) is not "
            "here; install it, or set machine.compile to false"
        )


def _started_by_torchrun() -> tuple[int, int] | None:
    """Return the numbers of processes per node and of nodes if torchrun started this process; else None."""
    if not (torch.distributed.is_available() and torch.distributed.is_torchelastic_launched()):
        return None
    here = int(os.environ["LOCAL_WORLD_SIZE"])
    return here, int(os.environ["WORLD_SIZE"]) // here

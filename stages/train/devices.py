"""Where training runs: the device, its precision, and what several processes share."""

from __future__ import annotations

import logging
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from torch import nn
from torch.optim import Optimizer

from stages.params import Machine
from ungray.errors import UngrayError
from ungray.system import memory
from ungray.system.cgroups import cores

if TYPE_CHECKING:
    from lightning_fabric import Fabric

FABRIC_PRECISION: dict[str, Any] = {"bf16": "bf16-mixed", "fp32": "32-true"}


def fabric_class(*, compiles: bool) -> type[Fabric]:
    """Return Fabric; if it ``compiles``, a Fabric that compiles every network it sets up (torch.compile).

    The network itself is not changed, so that running it on photos of other sizes does not compile anything.
    """
    with _hidden("torchmetrics"):
        from lightning_fabric import Fabric
    if not compiles:
        return Fabric

    class CompilingFabric(Fabric):
        def setup(self, module: nn.Module, *optimizers: Optimizer, **options: Any) -> Any:
            compiled = cast(nn.Module, torch.compile(module, dynamic=False))
            return super().setup(compiled, *optimizers, **options)

    return CompilingFabric


@contextmanager
def _hidden(package: str) -> Iterator[None]:
    """Make ``package`` look as if it were not installed, unless it has been imported before.

    Fabric asks for the version of torchmetrics by importing it, and with it SciPy, matplotlib and
    torchvision: seconds of every start of a training, for a class that is not used here.
    """
    if package in sys.modules:
        yield
        return
    sys.modules[package] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules[package]


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
    make = fabric_class(compiles=machine.compile)
    from lightning_fabric.utilities.exceptions import MisconfigurationException

    try:
        fabric = make(
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
            "installed; install it, or set machine.compile to false"
        )


def _started_by_torchrun() -> tuple[int, int] | None:
    """Return the numbers of processes per node and of nodes if torchrun started this process; else None."""
    if not (torch.distributed.is_available() and torch.distributed.is_torchelastic_launched()):
        return None
    here = int(os.environ["LOCAL_WORLD_SIZE"])
    return here, int(os.environ["WORLD_SIZE"]) // here


def shares(photos: int, *, ranks: int, rank: int, accumulation: int) -> list[tuple[slice, float]]:
    """Return the micro-batches of process ``rank``, as slices of a global batch, with their weights.

    With these weights, the gradient (summed over micro-batches, averaged over processes) is that of the mean
    over all ``photos`` photos of the global batch, even if they do not divide evenly. A process without a
    photo of its own gets one with weight 0, because it must take part in every step.
    """
    mine = np.array_split(np.arange(photos), ranks)[rank]
    chunks = [chunk for chunk in np.array_split(mine, accumulation) if len(chunk)]
    if not chunks:
        return [(slice(0, 1), 0.0)]
    return [(slice(int(chunk[0]), int(chunk[-1]) + 1), ranks * len(chunk) / photos) for chunk in chunks]


def summed(fabric: Fabric, figures: dict[str, float]) -> dict[str, float]:
    """Return the sum of each of ``figures`` over all processes."""
    if fabric.world_size == 1:
        return figures
    total = torch.tensor(list(figures.values()), dtype=torch.float64, device=fabric.device)
    everywhere: Any = fabric.all_reduce(total, reduce_op="sum")
    return dict(zip(figures, everywhere.tolist(), strict=True))


def any_of(fabric: Fabric, *flags: bool) -> list[bool]:
    """Return for each of ``flags`` whether it is true in any process."""
    return [total > 0 for total in summed(fabric, {str(n): float(f) for n, f in enumerate(flags)}).values()]


def share_buffers(fabric: Fabric, network: nn.Module) -> None:
    """Copy the buffers of ``network``, such as batch-norm statistics, from the first process to all others.

    Each process has the statistics of its own photos, but all must validate the network that is saved.
    """
    if fabric.world_size > 1:
        for buffer in network.buffers():
            torch.distributed.broadcast(buffer, src=0)


def gathered(fabric: Fabric, mine: Any) -> list[Any]:
    """Return the values ``mine`` of all processes, in the order of their ranks."""
    if fabric.world_size == 1:
        return [mine]
    everything: list[Any] = [None] * fabric.world_size
    torch.distributed.all_gather_object(everything, mine)
    return everything

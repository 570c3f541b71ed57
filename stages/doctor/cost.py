"""Measures what a training costs: the real training loop runs for some seconds on generated photos."""

from __future__ import annotations

import math
import multiprocessing
import signal
import statistics
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from stages.doctor.machine import BUSY, peak_memory
from stages.params import Machine
from stages.train.devices import start_fabric
from stages.train.loop import Photos, Training
from stages.train.params import Params
from stages.train.progress import NoProgress
from ungray import networks
from ungray.errors import UngrayError
from ungray.networks import Model, parameter_count
from ungray.system.terminal import take_charge

PROBES = (2, 8)
"""Sizes of the batches that show how memory grows, before the real batch is tried."""

LEAST_STEPS = 3
"""Smallest number of timed steps. The first step is not timed: it reserves memory and tunes or compiles."""

GENERATED = 100_000
"""Number of photos in an epoch; all of them are the same one, so they take no memory."""


@dataclass(frozen=True)
class Cost:
    """What a training step costs on this machine. Sizes are in bytes."""

    device: str
    precision: str
    parameters: int
    measured_batch: int
    """Number of photos in the timed batch: ``train.batch_size``, or fewer if there is not enough memory."""
    photos_per_second: float
    validated_per_second: float
    memory: int
    """Peak memory of the process; predicted if a smaller batch was timed."""
    gpu_memory: int | None
    fits: bool
    """Whether there is enough memory for ``train.batch_size``."""
    largest_batch: int | None
    """Approximate number of photos in the largest batch that fits; None if unknown."""
    model_file: int
    checkpoint_file: int
    threads: int = 1
    """Number of threads of the process, when measured on a CPU."""
    single_thread: float | None = None
    """Photos per second with one thread, measured if other programs keep cores busy; else None."""


class _EnoughError(Exception):
    """Ends the loop when it was timed long enough."""


class _Timer(NoProgress):
    """Times the steps of a training and ends it after ``seconds`` seconds."""

    def __init__(self, seconds: float) -> None:
        self._enough, self._last, self._begin = seconds, 0.0, 0.0
        self.seconds: list[float] = []

    def step(self, photos: int) -> None:
        """Record how long the step took; the first step only starts the clock."""
        now = time.perf_counter()
        if self._last:
            self.seconds.append(now - self._last)
        else:
            self._begin = now
        self._last = now
        if len(self.seconds) >= LEAST_STEPS and now - self._begin >= self._enough:
            raise _EnoughError


def cost(params: Params, machine: Machine, *, seconds: float, free_memory: int, busy: float = 0.0) -> Cost:
    """Measure, in a separate process, what training with ``params`` costs here, on one device.

    Args:
        params: what to train.
        machine: where to train; only one of several devices is measured.
        seconds: how long to time steps.
        free_memory: bytes; a batch that would need more is not tried on the CPU.
        busy: number of cores that other programs keep busy; from half a core, one thread is timed too.

    Raises:
        UngrayError: training is not possible here; the sentence says why.
    """
    here, there = multiprocessing.Pipe(duplex=False)
    # Not fork: a forked child inherits the locks of torch's threads and can hang.
    process = multiprocessing.get_context("spawn").Process(
        target=_send, args=(there, params, machine, seconds, free_memory, busy), daemon=True
    )
    process.start()
    there.close()
    try:
        found = here.recv()
    except EOFError:
        raise UngrayError(
            "doctor: the trial training was killed, most likely because memory ran out; "
            f"lower train.batch_size = {params.batch_size} or train.working_size = {params.working_size}"
        ) from None
    finally:
        process.kill()
        process.join()
    if isinstance(found, str):
        raise UngrayError(found)
    return found


def _send(
    there: Connection, params: Params, machine: Machine, seconds: float, free_memory: int, busy: float
) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which ends this process
    take_charge()
    try:
        there.send(measure(params, machine, seconds=seconds, free_memory=free_memory, busy=busy))
    except UngrayError as error:
        there.send(str(error))


def measure(params: Params, machine: Machine, *, seconds: float, free_memory: int, busy: float = 0.0) -> Cost:
    """Measure the same in this process; see :func:`cost`."""
    machine = machine.model_copy(update={"devices": 1, "nodes": 1, "strategy": "auto"})
    found = _measure(params, machine, seconds=seconds, free_memory=free_memory)
    if busy < BUSY or found.device != "cpu" or found.threads == 1:
        return found
    single = machine.model_copy(update={"threads": 1} | ({} if found.fits else {"accumulation": 1}))
    timed = _time(params, single, batch=found.measured_batch, seconds=seconds)
    if isinstance(timed, UngrayError):
        raise timed
    return replace(found, single_thread=timed.photos_per_second)


def _measure(params: Params, machine: Machine, *, seconds: float, free_memory: int) -> Cost:
    before = peak_memory()  # memory already taken, so not part of the free memory
    # Memory depends on the size of the parts in which a batch is computed.
    part = math.ceil(params.batch_size / machine.accumulation)
    whole_machine, machine = machine, machine.model_copy(update={"accumulation": 1})
    probes: list[Cost] = []
    for batch in (size for size in PROBES if size < part):
        probe = _time(params, machine, batch=batch, seconds=0)
        if isinstance(probe, UngrayError):
            raise UngrayError(f"doctor: not even a batch of {batch} photos can be trained: {probe}")
        probes.append(probe)
    wanted, largest = 0, None
    if len(probes) == len(PROBES) and probes[0].device == "cpu":
        room, peak = free_memory + before, probes[1].memory
        each = max(1.0, (peak - probes[0].memory) / (PROBES[1] - PROBES[0]))
        wanted = int(peak + each * (part - PROBES[1]))
        largest = max(PROBES[0], int(PROBES[1] + (room - peak) / each))
        if wanted > room:
            return _smaller(params, machine, PROBES[1], seconds=seconds, largest=largest, memory=wanted)
    whole = _time(params, whole_machine, batch=params.batch_size, seconds=seconds)
    if isinstance(whole, Cost):
        return replace(whole, largest_batch=largest)
    if not probes:
        raise whole
    # On a GPU, trying is harmless: the allocator raises an error, and the process continues.
    return _smaller(params, machine, PROBES[len(probes) - 1], seconds=seconds, largest=largest, memory=wanted)


def _smaller(
    params: Params, machine: Machine, batch: int, *, seconds: float, largest: int | None, memory: int
) -> Cost:
    """Return the cost measured with a smaller ``batch``, because the real one is too large."""
    timed = _time(params, machine, batch=batch, seconds=seconds)
    if isinstance(timed, UngrayError):
        raise timed
    return replace(timed, fits=False, largest_batch=largest, memory=max(memory, timed.memory))


def _time(params: Params, machine: Machine, *, batch: int, seconds: float) -> Cost | UngrayError:
    """Run the training loop on batches of ``batch`` photos; return the cost, or the error if memory ran out.

    With ``seconds`` 0 it takes the fewest steps.
    """
    # No limit, and a warm-up so long that weights hardly change: generated photos teach nothing.
    free = {"batch_size": batch, "epochs": 10**6, "steps": 0, "minutes": 0.0, "patience": 0}
    trial = params.model_copy(update=free | {"warmup_steps": 10**9})
    fabric, device, precision = start_fabric(machine)
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    torch.manual_seed(params.seed)
    configuration = params.network()
    if "pretrained" in configuration:
        configuration["pretrained"] = False  # the weights do not affect time, and may need a download
    network = networks.build(configuration)
    timer = _Timer(seconds)
    try:
        with tempfile.TemporaryDirectory() as folder:
            training = Training(
                trial,
                machine,
                network,
                photos=_photos(trial),
                fabric=fabric,
                checkpoint=Path(folder) / "checkpoint.pt",
                fingerprint="doctor",
                progress=timer,
            )
            with suppress(_EnoughError):
                training.run(None)
            start = time.perf_counter()
            training.validate(training.shown)
            validation = time.perf_counter() - start
            if params.keep == "best":
                training.best.weights = training.shown.state_dict()
            training.checkpoint.save(training.state)
            networks.save_model(Path(folder) / "model.safetensors", Model(training.shown, {}))
            files = [(Path(folder) / name).stat().st_size for name in ("model.safetensors", "checkpoint.pt")]
    except UngrayError as error:
        if isinstance(error.__cause__, MemoryError | RuntimeError):
            return error
        raise
    return Cost(
        device=device,
        precision=precision,
        parameters=parameter_count(network),
        measured_batch=batch,
        photos_per_second=batch / statistics.median(timer.seconds),
        validated_per_second=batch / validation,
        memory=peak_memory(),
        gpu_memory=_gpu_memory(device),
        fits=True,
        largest_batch=None,
        model_file=files[0],
        checkpoint_file=files[1],
        threads=torch.get_num_threads(),
    )


def _gpu_memory(device: str) -> int | None:
    if device == "cuda":
        return int(torch.cuda.max_memory_reserved())
    return int(torch.mps.driver_allocated_memory()) if device == "mps" else None


def _photos(params: Params) -> Photos:
    """Return train photos and one batch of val photos, all of them the same generated photo, uint8 RGB."""
    side = params.working_size
    blocks = np.random.default_rng(params.seed).integers(0, 256, (8, 8, 3)).astype(np.uint8)
    photo: NDArray[np.uint8] = np.asarray(cv2.resize(blocks, (side, side), interpolation=cv2.INTER_CUBIC))
    return Photos.drawn(
        params,
        train=[np.broadcast_to(photo, (GENERATED, side, side, 3))],
        files=["a generated photo"] * GENERATED,
        val=np.broadcast_to(photo, (params.batch_size, side, side, 3)),
    )

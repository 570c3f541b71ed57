"""What the user should know or do, in plain sentences."""

from __future__ import annotations

import math
from typing import Any

from stages.doctor.cost import Cost
from stages.doctor.page import duration, filesize
from stages.doctor.plan import PhotoCounts, Plan
from stages.params import Machine
from stages.train.params import Params

GIB = 2**30

LONG_MINUTES = 12 * 60
"""A longer training gets a sentence of advice."""

ROOM = 1.2
"""Factor by which free disk space should exceed what is needed."""


def machine_advice(machine: dict[str, Any], caches: dict[str, Any]) -> list[str]:
    """Return advice about the machine and its caches."""
    said = []
    if machine["nvidia_driver"] and not machine["gpus"]:
        said.append(
            "there is an NVIDIA driver but torch finds no GPU: torch is a CPU build, or the container was "
            "started without --gpus all"
        )
    working = sum(entry["bytes"] for name, entry in caches.items() if name.startswith(".cache/"))
    if machine["disk_free"][".cache"] < max(working, 5 * GIB) and working > GIB / 10:
        said.append(
            f"the disk is almost full; `make clean-cache` frees {filesize(working)}, at no cost but time"
        )
    return said


def cost_advice(
    params: Params, machine: Machine, has: dict[str, Any], *, cost: Cost, photos: PhotoCounts, plan: Plan
) -> list[str]:
    """Return advice about the training that params.yaml describes, based on its measured cost."""
    said = [
        _precision(machine, has, cost),
        _threads(has, cost),
        _memory(params, has, cost),
        _disk(has, cost, plan),
    ]
    if machine.devices * machine.nodes > 1:
        said.append(
            f"measured on one of {machine.devices * machine.nodes} devices; all together take less time"
        )
    if photos.source == "assumed":
        said.append(
            f"nothing is prepared yet, so {photos.train} train photos and copies are assumed; "
            "--photos N sets another number, `dvc repro prepare` prepares them"
        )
    if plan.minutes > LONG_MINUTES:
        said.append(
            f"this training takes about {duration(plan.minutes)}; it can be interrupted and resumes when "
            "started again; train.minutes limits its time, and the learning rate adapts to that"
        )
    return [sentence for sentence in said if sentence]


def _precision(machine: Machine, has: dict[str, Any], cost: Cost) -> str:
    native = has["bf16"]["amx"] or has["bf16"]["avx512_bf16"]
    if cost.device == "cpu" and cost.precision == "fp32":
        if native:
            return (
                "machine.precision is fp32, but this processor multiplies bf16 natively: auto uses that and "
                "should be faster; `-S machine.precision=bf16` shows by how much"
            )
        return (
            "training runs in fp32, because the processor has neither AMX nor AVX512-BF16: expect it to be "
            "slower than on one that has, far slower than on a GPU; a smaller train.working_size helps"
        )
    if cost.precision == "bf16" and cost.device == "cpu" and not native:
        return "this processor only emulates bf16, which is slow: set machine.precision to auto"
    return ""


def _threads(has: dict[str, Any], cost: Cost) -> str:
    single = cost.single_thread
    if single is None:
        return ""
    busy = (
        f"other programs keep {has['busy']:.1f} of {has['cores']['usable']} cores busy, and each step waits "
    )
    busy += f"for the slowest thread: {cost.threads} threads do {cost.photos_per_second:.3g} photos a second "
    busy += f"now, one does {single:.3g}"
    if single > cost.photos_per_second:
        return f"{busy}: set machine.threads to 1 while that lasts"
    return f"{busy}; machine.threads sets the number of threads"


def _memory(params: Params, has: dict[str, Any], cost: Cost) -> str:
    if cost.fits:
        return ""
    where = "of the GPU" if cost.gpu_memory is not None else f"({filesize(has['memory']['free'])} free)"
    fitting = (
        cost.measured_batch if cost.largest_batch is None else min(cost.largest_batch, params.batch_size)
    )
    parts = math.ceil(params.batch_size / fitting)
    needs = "" if cost.gpu_memory is not None else f" needs about {filesize(cost.memory)} and"
    return (
        f"a batch of {params.batch_size} at {params.working_size} pixels{needs} does not fit into the memory "
        f"{where}: lower train.batch_size to {fitting}, or set machine.accumulation to {parts}, which "
        f"computes the batch in parts; the pace was measured with {cost.measured_batch}"
    )


def _disk(has: dict[str, Any], cost: Cost, plan: Plan) -> str:
    needed = plan.pixels_file + 2 * cost.checkpoint_file
    free = has["disk_free"][".cache"]
    if free > ROOM * needed:
        return ""
    return (
        f"training needs {filesize(needed)} in .cache (decoded photos, checkpoint) and {filesize(free)} are "
        "free "
        "on that disk: free some, or make .cache a link to a larger one"
    )

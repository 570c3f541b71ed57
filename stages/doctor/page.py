"""The findings as lines of text for people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from stages.doctor.machine import BUSY
from stages.params import Machine
from stages.train.params import Params

if TYPE_CHECKING:  # they import torch, which may be what is broken
    from stages.doctor.cost import Cost
    from stages.doctor.plan import PhotoCounts, Plan


def machine_lines(machine: dict[str, Any], caches: dict[str, Any]) -> list[str]:
    """Return the lines on machine, versions and caches."""
    versions = ", ".join(f"{name} {version or 'missing'}" for name, version in machine["versions"].items())
    lines = ["Machine", _line("system", machine["system"]), _line("processor", machine["processor"])]
    lines += [_line("cores", _cores(machine["cores"], machine["busy"])), _line("bf16", _bf16(machine))]
    for gpu in machine["gpus"]:
        free = f"{filesize(gpu['memory_free'])} of {filesize(gpu['memory'])} free"
        lines.append(_line("GPU", f"{gpu['name']} (compute capability {gpu['capability']}), {free}"))
    if not machine["gpus"]:
        lines.append(_line("GPU", "Apple's (MPS)" if machine["mps"] else "none that torch can use"))
    memory = machine["memory"]
    limited = ", the container's limit" if memory["limited_by_container"] else ""
    lines.append(_line("memory", f"{filesize(memory['free'])} free of {filesize(memory['total'])}{limited}"))
    disks = ", ".join(f"{filesize(free)} where {name} lies" for name, free in machine["disk_free"].items())
    lines += [_line("disk free", disks), _line("versions", versions), "Caches and data"]
    lines += [
        _line(name, f"{filesize(entry['bytes'])} in {entry['files']} files") for name, entry in caches.items()
    ]
    return lines if caches else [*lines, _line("none", "no stage has run here yet")]


def cost_lines(params: Params, machine: Machine, *, cost: Cost, photos: PhotoCounts, plan: Plan) -> list[str]:
    """Return the lines on what the training costs."""
    pace = f"{cost.photos_per_second:.3g} photos a second"
    if cost.measured_batch != params.batch_size:
        pace += f", measured with batches of {cost.measured_batch}"
    sources = {"prepared": "as prepared", "given": "as you say", "assumed": "assumed"}
    epoch = (
        f"{duration(plan.minutes_per_epoch)} for {photos.train} photos and copies, {sources[photos.source]}"
    )
    memory = f"{filesize(cost.memory)}{'' if cost.fits or cost.gpu_memory is not None else ', predicted'}"
    if cost.gpu_memory is not None:
        memory += f", and {filesize(cost.gpu_memory)} of the GPU"
    parts = f" in {machine.accumulation} parts" if machine.accumulation > 1 else ""
    return [
        f"A training with {params.architecture} ({cost.parameters / 1e6:.2f} M parameters) at "
        f"{params.working_size} pixels, {params.loss}, batches of {params.batch_size}{parts}, {cost.device}, "
        f"{cost.precision}{_threads(cost)}",
        _line("pace", pace),
        _line("an epoch", f"{epoch}; of that {duration(plan.validation_minutes)} "
        f"for {photos.val} val photos"),
        _line("in all", f"{duration(plan.minutes)}, {plan.epochs:.3g} epochs"),
        _line("peak memory", memory),
        _line("disk", f"{filesize(plan.pixels_file)} of decoded photos, {filesize(cost.checkpoint_file)} a "
              f"checkpoint, {filesize(cost.model_file)} the model"),
    ]  # fmt: skip


def advice_lines(advice: list[str]) -> list[str]:
    """Return the lines of advice, one sentence each."""
    return ["Advice", *(f"  - {sentence}" for sentence in advice or ["none: training can start"])]


def _threads(cost: Cost) -> str:
    return f", {cost.threads} thread{'' if cost.threads == 1 else 's'}" if cost.device == "cpu" else ""


def _line(name: str, text: str) -> str:
    return f"  {name:<16} {text}"


def _cores(cores: dict[str, Any], busy: float) -> str:
    text = f"{cores['usable']} usable of {cores['installed']}"
    text += f", {busy:.1f} of them busy with other programs" if busy >= BUSY else ""
    return f"{text}, of which the container may use {cores['quota']:g}" if cores["quota"] else text


def _bf16(machine: dict[str, Any]) -> str:
    names = {"amx": "the processor's AMX", "avx512_bf16": "the processor's AVX512-BF16", "gpu": "the GPU"}
    native = [name for key, name in names.items() if machine["bf16"][key]]
    return f"native, by {' and '.join(native)}" if native else "not native"


def filesize(count: float) -> str:
    """Return a number of bytes as text for people, in units of powers of 1000."""
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= scale:
            number = count / scale
            return f"{number:.0f} {unit}" if number >= 100 else f"{number:.2g} {unit}"
    return f"{count:.0f} bytes"


def duration(minutes: float) -> str:
    """Return a duration as text for people."""
    if minutes < 1:
        return f"{60 * minutes:.2g} seconds"
    if minutes < 100:
        return f"{minutes:.2g} minutes"
    return f"{minutes / 60:.2g} hours" if minutes < 100 * 60 else f"{minutes / 1440:.2g} days"

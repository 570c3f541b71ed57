"""Describes the machine: cores, memory, disk, bf16, GPU, and versions of the packages that training uses."""

from __future__ import annotations

import os
import platform
import shutil
from importlib import metadata
from pathlib import Path
from typing import Any

import psutil

from ungray.system.cgroups import cores, limits, number_in

LOOK_SECONDS = 0.5
"""How long to observe the CPU use of other programs."""

BUSY = 0.5
"""From this number of busy cores, the doctor reports it: each step waits for the slowest thread."""

SHOWN = (
    "torch",
    "torchvision",
    "lightning-fabric",
    "numpy",
    "opencv-python",
    "dvc",
    "dvclive",
    "onnxruntime",
)
"""Packages whose versions are reported."""


def describe(places: dict[str, Path]) -> dict[str, Any]:
    """Return a description of the machine as plain JSON values; sizes are in bytes.

    Args:
        places: folders, which need not exist yet, by name; the free disk space is reported for each.
    """
    import torch

    from stages.train.devices import multiplies_bf16

    allowed = limits()
    processor = torch.cpu.get_capabilities()
    memory = psutil.virtual_memory()
    total, free = memory.total, memory.available
    if allowed.memory is not None and allowed.memory < total:
        total, free = allowed.memory, max(0, min(free, allowed.memory - (allowed.memory_used or 0)))
    return {
        "system": f"{platform.system()} {platform.release()}, {platform.machine()}",
        "processor": _processor(),
        "busy": _busy(),
        "cores": {"usable": cores(), "quota": allowed.cores, "installed": os.cpu_count()},
        "memory": {"total": total, "free": free, "limited_by_container": total < memory.total},
        "disk_free": {name: shutil.disk_usage(_existing(path)).free for name, path in places.items()},
        "bf16": {
            "amx": processor.get("amx_bf16", False),
            "avx512_bf16": processor.get("avx512_bf16", False),
            "gpu": bool(torch.cuda.is_available() and multiplies_bf16("cuda")),
        },
        "gpus": [_gpu(number) for number in range(torch.cuda.device_count())],
        "mps": bool(torch.mps.is_available()),
        "versions": {"python": platform.python_version()} | {name: _version(name) for name in SHOWN},
        "nvidia_driver": Path("/proc/driver/nvidia/version").exists()
        or shutil.which("nvidia-smi") is not None,
    }


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _busy() -> float:
    """Return the number of cores, among those this process may use, that other programs keep busy."""
    usable = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else None
    percent = psutil.cpu_percent(interval=LOOK_SECONDS, percpu=True)
    return round(sum(part for core, part in enumerate(percent) if usable is None or core in usable) / 100, 2)


def peak_memory() -> int:
    """Return the peak memory of this process so far, in bytes."""
    try:
        # Not getrusage: in a child process it starts with the peak of the parent.
        return int(number_in(Path("/proc/self/status"), "VmHWM:") * 1024) or _peak_elsewhere()
    except OSError:
        return _peak_elsewhere()


def _peak_elsewhere() -> int:
    info = psutil.Process().memory_info()
    if hasattr(info, "peak_wset"):  # Windows
        return int(info.peak_wset)
    import resource

    scale = 1 if platform.system() == "Darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * scale


def _gpu(number: int) -> dict[str, Any]:
    import torch

    about = torch.cuda.get_device_properties(number)
    free, total = torch.cuda.mem_get_info(number)
    return {
        "name": about.name,
        "capability": f"{about.major}.{about.minor}",
        "memory": total,
        "memory_free": free,
    }


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _existing(path: Path) -> Path:
    path = path.resolve()
    return next(place for place in (path, *path.parents) if place.exists())

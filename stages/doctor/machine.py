"""What the machine has: cores, memory, disk, bf16, GPU."""

from __future__ import annotations

import math
import os
import platform
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil

from stages.cluster import cores

CGROUPS, OWN_CGROUPS = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")

UNLIMITED = 2**60
"""Control groups of version 1 write a number beyond this for no limit."""


@dataclass(frozen=True)
class Limits:
    """What the control groups (containers, job schedulers) allow this process; None = no limit."""

    cores: float | None
    memory: int | None
    memory_used: int | None
    """In bytes, without the file cache that gives way."""


def limits(root: Path = CGROUPS, own: Path = OWN_CGROUPS) -> Limits:
    """Return the narrowest limits of the control groups that this process is in, of version 1 or 2."""
    quota, memory, used = math.inf, math.inf, None
    for folder in _groups(root, own):
        quota = min(quota, _quota(folder))
        for name, current, cache in (
            ("memory.max", "memory.current", "inactive_file"),
            ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
        ):
            limit = _number(folder / name)
            if limit is not None and limit < min(memory, UNLIMITED):
                memory = limit
                used = max(0, int((_number(folder / current) or 0) - _entry(folder / "memory.stat", cache)))
    return Limits(
        cores=None if math.isinf(quota) else quota,
        memory=None if math.isinf(memory) else int(memory),
        memory_used=used,
    )


def describe(places: dict[str, Path]) -> dict[str, Any]:
    """Return what the machine has, in plain JSON values; sizes in bytes.

    Args:
        places: folders, or where they will be, by what they are called; the free disk is told for each.
    """
    import torch

    from stages.train.device import multiplies_bf16

    allowed = limits()
    memory = psutil.virtual_memory()
    total, free = memory.total, memory.available
    if allowed.memory is not None and allowed.memory < total:
        total, free = allowed.memory, max(0, min(free, allowed.memory - (allowed.memory_used or 0)))
    return {
        "system": f"{platform.system()} {platform.release()}, {platform.machine()}",
        "processor": _processor(),
        "cores": {"usable": cores(), "quota": allowed.cores, "installed": os.cpu_count()},
        "memory": {"total": total, "free": free, "limited_by_container": total < memory.total},
        "disk_free": {name: shutil.disk_usage(_existing(path)).free for name, path in places.items()},
        "bf16": {
            "amx": bool(torch.cpu._is_amx_tile_supported()),
            "avx512_bf16": bool(torch.cpu._is_avx512_bf16_supported()),
            "gpu": bool(torch.cuda.is_available() and multiplies_bf16("cuda")),
        },
        "gpus": [_gpu(number) for number in range(torch.cuda.device_count())],
        "mps": bool(torch.mps.is_available()),
        "nvidia_driver": Path("/proc/driver/nvidia/version").exists()
        or shutil.which("nvidia-smi") is not None,
    }


def peak_memory() -> int:
    """Return the most memory in bytes that this process has held so far."""
    try:
        # Not getrusage: that of a child starts with what its parent held.
        return int(_entry(Path("/proc/self/status"), "VmHWM:") * 1024) or _peak_elsewhere()
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
    return asdict(_Gpu(about.name, f"{about.major}.{about.minor}", total, free))


@dataclass(frozen=True)
class _Gpu:
    name: str
    capability: str
    memory: int
    memory_free: int


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


def _groups(root: Path, own: Path) -> Iterator[Path]:
    """Yield the folders of the control groups of this process and of all groups around them."""
    try:
        lines = own.read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, name = line.split(":", 2)
        tops = [root / controller for controller in controllers.split(",") if controller] or [
            root,
            root / "unified",
        ]
        for top in tops:
            # In a container the name may be that outside of it: then the top itself is the group.
            group = top / name.strip("/")
            inner = group if ".." not in name and group.is_dir() else top
            yield from (place for place in (inner, *inner.parents) if place.is_relative_to(top))


def _quota(folder: Path) -> float:
    """Return the cores that a control group has time on, infinite if all."""
    try:
        quota, period = (folder / "cpu.max").read_text().split()
    except (OSError, ValueError):
        quota_v1, period_v1 = _number(folder / "cpu.cfs_quota_us"), _number(folder / "cpu.cfs_period_us")
        return quota_v1 / period_v1 if quota_v1 and period_v1 and quota_v1 > 0 else math.inf
    return math.inf if quota == "max" else int(quota) / int(period)


def _number(path: Path) -> float | None:
    try:
        text = path.read_text().strip()
    except OSError:
        return None
    return math.inf if text == "max" else float(text)


def _entry(path: Path, name: str) -> float:
    """Return the number in the line of ``path`` that starts with ``name``; 0 if there is none."""
    for line in path.read_text().splitlines():
        words = line.split()
        if words and words[0] == name:
            return float(words[1])
    return 0.0

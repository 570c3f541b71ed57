"""The cores and the memory that this process may use, as limited by containers and job schedulers."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

CGROUPS, OWN_CGROUPS = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")

UNLIMITED = 2**60
"""Control groups of version 1 report a number above this for no limit."""


@dataclass(frozen=True)
class Limits:
    """The limits that control groups (containers, job schedulers) set for this process; None = no limit."""

    cores: float | None
    memory: int | None
    memory_used: int | None
    """In bytes, without the file cache, which the kernel can reclaim."""


def limits(root: Path = CGROUPS, own: Path = OWN_CGROUPS) -> Limits:
    """Return the tightest limits of the control groups that this process is in, of version 1 or 2."""
    memory, used = math.inf, None
    for folder in _groups(root, own):
        for name, current, cache in (
            ("memory.max", "memory.current", "inactive_file"),
            ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
        ):
            limit = _number(folder / name)
            if limit is not None and limit < min(memory, UNLIMITED):
                reclaimable = number_in(folder / "memory.stat", cache)
                memory, used = limit, max(0, int((_number(folder / current) or 0) - reclaimable))
    quota = _quota(root, own)
    return Limits(
        cores=None if math.isinf(quota) else quota,
        memory=None if math.isinf(memory) else int(memory),
        memory_used=used,
    )


def cores() -> int:
    """Return the number of cores this process may use: those of its CPU affinity, or fewer by its quota.

    A quota of 1.5 cores counts as two.
    """
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return math.ceil(min(available, _quota(CGROUPS, OWN_CGROUPS)))


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
            # In a container, the name may be the one outside of it: then the top itself is the group.
            group = top / name.strip("/")
            inner = group if ".." not in name and group.is_dir() else top
            yield from (folder for folder in (inner, *inner.parents) if folder.is_relative_to(top))


def _quota(root: Path, own: Path) -> float:
    """Return the tightest CPU quota of all groups in cores, infinite if there is none."""
    return min(map(_quota_of, _groups(root, own)), default=math.inf)


def _quota_of(folder: Path) -> float:
    """Return the CPU quota of a control group in cores, infinite if there is none."""
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


def number_in(path: Path, name: str) -> float:
    """Return the number in the line of ``path`` whose first word is ``name``; 0 if there is none."""
    for line in path.read_text().splitlines():
        words = line.split()
        if words and words[0] == name:
            return float(words[1])
    return 0.0

"""What this process does with memory that it has freed."""

from __future__ import annotations

import ctypes
import platform

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_MMAP_MAX, M_ARENA_MAX = -1, -3, -4, -8
"""Numbers of glibc's malloc.h; see mallopt(3)."""

ARENAS = 2
"""Pools of freed memory for all threads together; glibc would have eight a core."""


def keep_freed(kept: bool = True) -> bool:
    """Have this process keep large blocks that it frees for its next ones; return whether that can be said.

    By itself, and with ``kept`` false, glibc takes each block over 32 MiB from the kernel and gives it back
    when it is freed, and the kernel clears every page anew. A training step takes and frees gigabytes in such
    blocks: that was more than half the time of a step of ``cnn`` at 256x256 on 2 cores. Kept blocks leave the
    process as large as it ever was. Other C libraries (macOS, musl) stay as they are.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    settings = (
        {M_MMAP_MAX: 0, M_TRIM_THRESHOLD: -1}
        if kept
        else {M_MMAP_MAX: 1 << 16, M_MMAP_THRESHOLD: 32 << 20, M_TRIM_THRESHOLD: 64 << 20}
    )
    return _set(settings)


def limit_arenas() -> bool:
    """Have threads share few pools of freed memory; return whether that can be said.

    Each pool keeps the room of some photos, so under many visitors a server's memory grows and grows.
    """
    return platform.libc_ver()[0] == "glibc" and _set({M_ARENA_MAX: ARENAS})


def _set(settings: dict[int, int]) -> bool:
    libc = ctypes.CDLL(None)
    return all(libc.mallopt(name, value) for name, value in settings.items())

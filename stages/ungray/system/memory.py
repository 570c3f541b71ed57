"""Settings of the C library's memory allocator."""

from __future__ import annotations

import ctypes
import platform

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_MMAP_MAX, M_ARENA_MAX = -1, -3, -4, -8
"""Numbers of glibc's malloc.h; see mallopt(3)."""

ARENAS = 2
"""The number of memory pools for all threads together; glibc's default is eight per core."""


def keep_freed(kept: bool = True) -> bool:
    """Make this process keep large freed blocks for reuse; return whether this setting is supported.

    By default, and with ``kept`` false, glibc gets each block over 32 MiB from the kernel and returns it when
    it is freed, and the kernel clears every page again. A training step allocates and frees gigabytes in such
    blocks: that was more than half the time of a step of ``cnn`` at 256x256 on 2 cores. With kept blocks, the
    process never gets smaller. Other C libraries (macOS, musl) are not changed.
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
    """Make threads share few memory pools; return whether this setting is supported.

    Each pool retains the memory of some photos, so with many visitors a server's memory would keep growing.
    """
    return platform.libc_ver()[0] == "glibc" and _set({M_ARENA_MAX: ARENAS})


def _set(settings: dict[int, int]) -> bool:
    libc = ctypes.CDLL(None)
    return all(libc.mallopt(name, value) for name, value in settings.items())

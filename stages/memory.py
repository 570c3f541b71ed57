"""What this process does with memory that it has freed."""

from __future__ import annotations

import ctypes
import platform

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_MMAP_MAX = -1, -3, -4
"""Numbers of glibc's malloc.h; see mallopt(3)."""


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
    libc = ctypes.CDLL(None)
    return all(libc.mallopt(name, value) for name, value in settings.items())

"""What this process does with memory that it has freed."""

from __future__ import annotations

import ctypes
import platform

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4
"""Numbers of glibc's malloc.h; see mallopt(3)."""


def keep_freed() -> bool:
    """Have this process keep large blocks that it frees for its next ones; return whether that is so here.

    By itself glibc takes each block over 32 MiB from the kernel and gives it back when it is freed, and the
    kernel clears every page anew. A training step takes and frees gigabytes in such blocks: that was more
    than half the time of a step of ``cnn`` at 256x256 on 2 cores. Kept blocks leave the process as large as
    it ever was. Other C libraries (macOS, musl) stay as they are.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    libc = ctypes.CDLL(None)
    return bool(libc.mallopt(M_MMAP_MAX, 0) and libc.mallopt(M_TRIM_THRESHOLD, -1))

"""Freed memory: a process that keeps it does not have the kernel clear it again and again."""

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from ungray.system import memory

ROOT = Path(__file__).parents[3]

FAULTS_OF_AGAIN = """
import ctypes
import resource
import numpy as np

ctypes.CDLL(None).prctl(41, 1, 0, 0, 0)  # PR_SET_THP_DISABLE: how many pages are huge hangs on where they lie

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(8):
        np.ones(64 << 20, dtype=np.uint8)  # 16384 pages
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

usual = faults()
{keep}
faults()
print(usual, faults())
from ungray.system import memory
memory.keep_freed(False)
print(faults())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc gives each freed block back")
@pytest.mark.parametrize(
    "keep",
    [
        "from ungray.system import memory; assert memory.keep_freed()",
        "from pathlib import Path; from stages import params; from stages.train.devices import start_fabric\n"
        "start_fabric(params.load_all(Path('params.yaml'))['machine'].model_copy(update={'device': 'cpu'}))",
    ],
)
def test_kept_memory_is_cleared_once(keep):
    done = subprocess.run(
        [sys.executable, "-c", FAULTS_OF_AGAIN.format(keep=keep)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    usual, kept, again = map(int, done.stdout.split())
    assert kept < usual / 20
    assert again > usual / 2


def test_other_c_libraries_are_left_alone(monkeypatch):
    monkeypatch.setattr(platform, "libc_ver", lambda: ("", ""))
    monkeypatch.delattr(memory.ctypes, "CDLL")
    assert not memory.keep_freed()
    assert not memory.limit_arenas()


POOLS = """
import threading
from ungray.system import memory
assert {limited} or memory.limit_arenas()

barrier = threading.Barrier(12)
def work():
    held = [bytearray(100_000) for _ in range(20)]  # below the size that has a mapping of its own
    barrier.wait()

threads = [threading.Thread(target=work) for _ in range(12)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
import ctypes, os
libc = ctypes.CDLL(None)
libc.fopen.restype = ctypes.c_void_p
libc.malloc_info.argtypes = [ctypes.c_int, ctypes.c_void_p]
libc.fclose.argtypes = [ctypes.c_void_p]
stream = libc.fopen(b"pools.xml", b"w")
libc.malloc_info(0, stream)
libc.fclose(stream)
print(open("pools.xml").read().count("<heap nr="))
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc has such pools")
def test_threads_share_few_pools_of_freed_memory(tmp_path):
    counts = []
    for limited in (True, False):
        done = subprocess.run(
            [sys.executable, "-c", POOLS.format(limited=limited)],
            cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=True,
        )
        counts.append(int(done.stdout))
    usual, few = counts
    assert few <= memory.ARENAS < usual

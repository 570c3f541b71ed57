"""Freed memory: a process that keeps it does not have the kernel clear it again and again."""

import platform
import subprocess
import sys
from pathlib import Path

import pytest

from stages import memory

ROOT = Path(__file__).parents[1]

FAULTS_OF_AGAIN = """
import resource
import numpy as np

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(8):
        np.ones(64 << 20, dtype=np.uint8)  # 16384 pages
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

usual = faults()
{keep}
faults()
print(usual, faults())
from stages import memory
memory.keep_freed(False)
print(faults())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc gives each freed block back")
@pytest.mark.parametrize(
    "keep",
    [
        "from stages import memory; assert memory.keep_freed()",
        "from pathlib import Path; from stages import params; from stages.train.device import start_fabric\n"
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

"""What the machine has, and what this process has held of it."""

import subprocess
import sys
import time

from stages.doctor import machine
from ungray.system import cgroups


def test_a_containers_memory_is_what_is_told(tmp_path, monkeypatch):
    narrow = cgroups.Limits(cores=1.0, memory=10**9, memory_used=4 * 10**8)
    monkeypatch.setattr(machine, "limits", lambda: narrow)
    has = machine.describe({".cache": tmp_path / "not/there/yet"})
    assert has["memory"] == {"total": 10**9, "free": 6 * 10**8, "limited_by_container": True}
    assert has["disk_free"][".cache"] > 0
    assert has["cores"]["usable"] >= 1
    assert has["bf16"].keys() == {"amx", "avx512_bf16", "gpu"}


def test_the_peak_is_that_of_this_process_and_grows():
    before = machine.peak_memory()
    assert 10**7 < before < 10**11
    block = bytearray(300 * 2**20)
    block[:: 2**12] = b"1" * len(block[:: 2**12])
    assert machine.peak_memory() >= max(before, 300 * 2**20)


def test_other_programs_at_work_are_seen(tmp_path):
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as at_work:
        time.sleep(0.3)
        busy = machine.describe({"here": tmp_path})["busy"]
        at_work.kill()
    assert 0.2 < busy <= cgroups.cores() + 0.1

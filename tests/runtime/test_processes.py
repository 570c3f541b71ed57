import operator
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import Future
from pathlib import Path

import psutil
import pytest

from stages.runtime import processes
from stages.runtime.processes import map_photos

ROOT = Path(__file__).parents[2]


@pytest.fixture
def no_processes(monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("processes were started")

    monkeypatch.setattr(processes, "ProcessPoolExecutor", refuse)


@pytest.mark.parametrize("count", [0, 1, 16, 17, 40, 500])
@pytest.mark.parametrize("workers", [1, 2])
def test_results_come_in_order_whatever_the_number(count, workers):
    found = list(map_photos(operator.neg, range(count), workers=workers, title="t"))
    assert found == [-number for number in range(count)]


def test_results_come_in_order_from_processes(monkeypatch):
    monkeypatch.setattr(processes, "START_SECONDS", 0)
    assert list(map_photos(operator.neg, range(200), workers=2, title="t")) == [-n for n in range(200)]


def test_quick_work_is_done_right_here(no_processes):
    assert len(list(map_photos(operator.neg, range(5000), workers=4, title="t"))) == 5000


def test_one_worker_is_this_process_however_long_it_takes(no_processes):
    list(map_photos(time.sleep, [0.02] * 80, workers=1, title="t"))


def test_a_first_item_that_loads_things_does_not_start_processes(no_processes):
    list(map_photos(time.sleep, [0.5] + [0.001] * 100, workers=4, title="t"))


def test_long_work_starts_processes_after_three_items_or_a_tenth_of_a_second(monkeypatch):
    class StartedError(Exception):
        pass

    def start(*_, **__):
        raise StartedError

    monkeypatch.setattr(processes, "ProcessPoolExecutor", start)
    results = map_photos(time.sleep, [0.06] * 100, workers=2, title="t")
    assert [next(results) for _ in range(3)] == [None] * 3
    with pytest.raises(StartedError):
        next(results)


def test_only_so_many_results_are_under_way_that_nobody_waits(monkeypatch):
    begun = []

    class Pool:
        def __init__(self, *_, **__):
            pass

        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

        def submit(self, *work):
            begun.append(Future())
            begun[-1].set_result(work[0](*work[1:]))
            return begun[-1]

    monkeypatch.setattr(processes, "ProcessPoolExecutor", Pool)
    monkeypatch.setattr(processes, "START_SECONDS", 0)
    monkeypatch.setattr(processes, "CHUNK_SECONDS", 0)
    results = map_photos(operator.neg, range(1000), workers=2, title="t")
    for number in range(processes.FIRST + 1):
        assert next(results) == -number
    assert len(begun) == 2 * processes.AHEAD + 1
    assert list(results) == [-number for number in range(processes.FIRST + 1, 1000)]


def test_what_is_under_way_is_given_up_with_the_results(monkeypatch):
    monkeypatch.setattr(processes, "START_SECONDS", 0)
    monkeypatch.setattr(processes, "CHUNK_SECONDS", 0)
    given_up = []

    class Waiting(Future):
        def cancel(self):
            given_up.append(self)
            return super().cancel()

    monkeypatch.setattr(processes, "_submit", lambda *_: Waiting())
    monkeypatch.setattr(Waiting, "result", lambda _: [0])
    results = map_photos(operator.neg, range(1000), workers=2, title="t")
    for _ in range(processes.FIRST + 1):
        next(results)
    results.close()
    assert len(given_up) == 2 * processes.AHEAD


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_killed_it_leaves_no_worker_behind(how):
    code = "from tests.runtime.works import slow; from stages.runtime.processes import map_photos\n"
    code += "for result in map_photos(slow, range(2000), workers=2, title='t'): print(result[1], flush=True)"
    command, environment = [sys.executable, "-c", code], os.environ | {"PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as begun:
        try:
            while int(begun.stdout.readline()) == begun.pid:
                pass
            started = psutil.Process(begun.pid).children(recursive=True)
            assert len(started) >= 2
        finally:
            begun.send_signal(how)
    left = psutil.wait_procs(started, timeout=20)[1]
    for process in left:
        process.kill()
    assert left == []

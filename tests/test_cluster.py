import operator
import time

import pytest

from stages import cluster
from stages.cluster import map_photos


@pytest.fixture
def no_processes(monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("processes were started")

    monkeypatch.setattr(cluster, "ProcessPoolExecutor", refuse)


@pytest.mark.parametrize("count", [0, 1, 16, 17, 40, 500])
@pytest.mark.parametrize("workers", [1, 2])
def test_results_come_in_order_whatever_the_number(count, workers):
    found = list(map_photos(operator.neg, range(count), workers=workers, title="t"))
    assert found == [-number for number in range(count)]


def test_results_come_in_order_from_processes(monkeypatch):
    monkeypatch.setattr(cluster, "START_SECONDS", 0)
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

    monkeypatch.setattr(cluster, "ProcessPoolExecutor", start)
    results = map_photos(time.sleep, [0.06] * 100, workers=2, title="t")
    assert [next(results) for _ in range(3)] == [None] * 3
    with pytest.raises(StartedError):
        next(results)

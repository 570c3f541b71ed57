"""Ten visitors at once, and one with many photos; more of both in tests/benchmarks/serve.py."""

import asyncio

import httpx
import numpy as np
from skimage import data

from .load import keep_many, load
from .visitor import Server


def test_ten_visitors_get_right_answers_or_hear_that_it_is_busy(models, tmp_path):
    coffee = data.coffee()
    photos = [np.ascontiguousarray(coffee[20 * n : 20 * n + 128, 40 * n : 40 * n + 160]) for n in range(10)]
    server = Server(tmp_path, "--model", models[0], "--queue", 2)
    try:
        counts, wrong, _, memory = asyncio.run(load(server, photos, models[0], seconds=3))
        assert not wrong
        assert counts["right"] >= 3
        assert max(memory) < memory[0] + 1000
        assert httpx.get(server.address).status_code == 200
    finally:
        server.stop()


def test_one_visitor_may_keep_more_photos_than_the_workers_remember(models, tmp_path):
    coffee = data.coffee()
    crops = [np.ascontiguousarray(coffee[3 * n : 3 * n + 64, 4 * n : 4 * n + 80]) for n in range(80)]
    server = Server(tmp_path, "--model", models[0])
    try:
        counts, wrong, _, _ = asyncio.run(keep_many(server, crops, models[0]))
        assert not wrong
        assert (counts["right"], counts["kept at the end"]) == (3 * 80, 80)
    finally:
        server.stop()

"""How time and memory of filter and prepare grow with the number of photos, here and on Dask workers.

    python -m tests.benchmarks.growth                     1,000, 4,000 and 16,000 photos
    python -m tests.benchmarks.growth --counts 200 400

Each figure is of one run in a process of its own, from an empty cache: on one process, on two, and on two
Dask workers that were just started. Seconds are those of the stage's function, with starting its processes or
finding its workers. Memory is the peak of the process that asks, and of the largest one that works for it
(Linux); where two processes would have saved nothing, none was started. In brackets: how many times the
figure of the smallest number that has one. Exits with 1 if results differ between the three.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import psutil

from stages import params
from stages.filter import verdicts
from stages.prepare import build
from stages.scrape import sample
from stages.storage import tables
from ungray.system.files import sha256

ROOT = Path(__file__).parents[2]
SIDE = 256
WAYS = ("one process", "two processes", "two Dask workers")
RAW, VERDICTS, PREPARED, CACHED = (
    Path(f"data/{name}") for name in ("raw", "verdicts.csv", "prepared", "cached")
)


def generate(raw: Path, *, count: int) -> None:
    """Fill ``raw`` with ``count`` JPEGs: the sample's crops, each shaded and grained in a way of its own.

    The shades are large ones, so that no two photos pass for one another.
    """
    draws = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        crops = params.load_all(ROOT / "params.yaml")["scrape"].model_copy(update={"sample_crop_size": SIDE})
        paths = [Path(folder) / attempt.file for attempt in sample.gather(crops, Path(folder))]
        sources = [cv2.imread(str(path)).astype(np.float32) for path in paths]
    raw.mkdir(parents=True)
    for number in range(count):
        shades = draws.uniform(-90, 90, (7, 7, 1)).astype(np.float32)
        photo = 0.6 * sources[number % len(sources)] + 50
        photo += cv2.resize(shades, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)[..., None]
        photo += draws.normal(0, 3, (SIDE, SIDE, 1))
        photo = np.clip(photo, 0, 255).astype(np.uint8)
        (raw / f"{number:06}.jpg").write_bytes(cv2.imencode(".jpg", photo)[1].tobytes())


def manifest(count: int) -> pd.DataFrame:
    """Return the first ``count`` photos as the scrape stage lists them."""
    files = sorted(RAW.iterdir())[:count]
    table = pd.DataFrame(
        {"file": [file.name for file in files], "sha256": [sha256(f.read_bytes()) for f in files]}
    )
    return table.assign(query="", status="kept", rank=1, photograph="", split="")


def peak(process: int | str = "self") -> int:
    """Return the largest memory a process ever had, in MiB.

    Not what getrusage says: that begins with the memory of whoever started the process.
    """
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) // 1024


@contextmanager
def watched(found: dict[str, Any]):
    """Put into ``found`` the peak of the largest process that this one starts meanwhile, or 0."""
    found["largest"], ended = 0, threading.Event()

    def watch() -> None:
        while not ended.wait(0.1):
            for child in psutil.Process().children(recursive=True):
                try:
                    found["largest"] = max(found["largest"], peak(child.pid))
                except (OSError, StopIteration):
                    continue  # it has ended

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def one(stage: str, *, count: int, where: int | str) -> dict[str, Any]:
    """Run one stage in the current folder; return its seconds, peaks, results' checksum and photos kept."""
    shipped: dict[str, Any] = dict(params.load_all(ROOT / "params.yaml"))
    found: dict[str, Any] = {}
    table = manifest(count) if stage == "filter" else tables.read_table(VERDICTS, made_by="filter")
    for folder in (PREPARED, CACHED):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
    with watched(found):
        start = time.perf_counter()
        if stage == "filter":
            table = verdicts.run(shipped["filter"], table, RAW, workers=where)
        else:
            build.run(shipped["prepare"], table, RAW, PREPARED, cached=CACHED, workers=where)
        found["seconds"] = time.perf_counter() - start
    found["peak"] = peak()
    if stage == "filter":
        tables.write_table(table, VERDICTS)
    found["results"] = sha256((VERDICTS if stage == "filter" else PREPARED / "index.csv").read_bytes())
    found["kept"] = int((table["verdict"] == "kept").sum())
    return found


def measure(stage: str, way: str, *, count: int, folder: Path) -> dict[str, Any]:
    """Run :func:`one` in a process of its own, on Dask with a scheduler and workers of its own."""
    # Here, not above: processes that a stage starts import this module too, and should start as its own do.
    from distributed import Client

    from tests.runtime.started import scheduler, workers

    dask = way == WAYS[2]
    with (
        scheduler(folder, "--host", "127.0.0.1") if dask else nullcontext("") as address,
        workers(address, folder, "--nworkers", "2", there=2) if dask else nullcontext(),
    ):
        where = address or str(1 + WAYS.index(way))
        command = [sys.executable, "-m", __spec__.name, "--one", stage, str(count), where]
        environment = os.environ | {"PYTHONPATH": f"{ROOT}:{os.environ.get('PYTHONPATH', '')}"}
        done = subprocess.run(command, cwd=folder, env=environment, stdout=subprocess.PIPE, check=True)
        found: dict[str, Any] = json.loads(done.stdout)
        if dask:
            with Client(address, set_as_default=False) as client:
                found["largest"] = max(client.run(peak).values())
    return found


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--counts", type=int, nargs="+", default=[1000, 4000, 16000])
    parser.add_argument("--one", nargs=3, metavar=("STAGE", "COUNT", "WHERE"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        stage, count, where = options.one
        print(json.dumps(one(stage, count=int(count), where=int(where) if where.isdigit() else where)))
        return
    counts = sorted(options.counts)
    different = False
    titles = ("stage", "photos", "kept", "where", "seconds", "MiB asks", "MiB works")
    print("{:8} {:>7} {:>7} {:17} {:>16} {:>16} {:>16}".format(*titles))
    with tempfile.TemporaryDirectory() as top:
        folder = Path(top)
        generate(folder / RAW, count=counts[-1])
        first: dict[tuple[str, str, str], float] = {}
        for count, stage in itertools.product(counts, ("filter", "prepare")):
            results = set()
            for way in WAYS:
                found = measure(stage, way, count=count, folder=folder)
                results.add(found["results"])
                cells = []
                for key, form in (("seconds", "8.2f"), ("peak", "8"), ("largest", "8")):
                    figure = found[key]
                    times = figure / first.setdefault((stage, way, key), figure) if figure else 0
                    cells.append(f"{figure:{form}} ({times:5.2f})" if figure else f"{'-':>16}")
                print(f"{stage:8} {count:7} {found['kept']:7} {way:17} {' '.join(cells)}", flush=True)
            different |= len(results) > 1
    if different:
        sys.exit("results differ between one process, two, and Dask")


if __name__ == "__main__":
    main()

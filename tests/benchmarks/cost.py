"""What filter and prepare cost beside bare loops that do the same decode, measures or resize, and encode.

    python tests/benchmarks/cost.py                       generated photos only
    python tests/benchmarks/cost.py --photos /my/photos   real ones too, a folder of JPEGs
    python tests/benchmarks/cost.py --runs 5 --workers 4

Stage and loop take turns on the same photos with as many processes, each time from an empty cache; each
starts its own processes, and that counts for both. The share is the loop's median seconds over the stage's.
Exits with 1 if one is under 0.75.
"""

from __future__ import annotations

import argparse
import io
import multiprocessing
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
from PIL import Image
from skimage import data
from sklearn.datasets import load_sample_image

from stages import params
from stages.filter import verdicts
from stages.filter.measures import measure
from stages.prepare import build
from stages.prepare.geometry import angles
from stages.prepare.split import split
from ungray.imaging import photos
from ungray.system.cgroups import cores
from ungray.system.files import sha256

ROOT = Path(__file__).parents[2]
ENOUGH = 0.75
SIZE = 256
JPEG = [
    cv2.IMWRITE_JPEG_QUALITY,
    95,
    cv2.IMWRITE_JPEG_SAMPLING_FACTOR,
    cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444,
]


# The bare loops


def decode(content: bytes) -> photos.Rgb:
    return np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))


def bare_measure(path: Path) -> None:
    photos.read_rgb = decode  # type: ignore[assignment]
    measure(path)


def bare_prepare(job: tuple[Path, Path, list[float]]) -> None:
    path, folder, turns = job
    rgb = decode(path.read_bytes())
    small = resize(rgb, 2 * SIZE) if min(rgb.shape[:2]) > 2 * SIZE else rgb
    height, width = small.shape[:2]
    for number, degrees in enumerate([0.0, *turns]):
        photo = rgb
        if number:
            turn = cv2.getRotationMatrix2D((width / 2, height / 2), degrees, 1)
            whole = cv2.warpAffine(
                small, turn, (width, height), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101
            )
            edge = int(min(width, height) * np.sin(np.radians(abs(degrees))) / 2.4)
            photo = whole[edge : height - edge, edge : width - edge]
        photo = resize(photo, SIZE)
        top, left = (photo.shape[0] - SIZE) // 2, (photo.shape[1] - SIZE) // 2
        square = cv2.cvtColor(photo[top : top + SIZE, left : left + SIZE], cv2.COLOR_RGB2BGR)
        (folder / f"{path.stem}_{number}.jpg").write_bytes(cv2.imencode(".jpg", square, JPEG)[1].tobytes())


def resize(rgb: photos.Rgb, short_side: int) -> photos.Rgb:
    scale = short_side / min(rgb.shape[:2])
    size = (round(rgb.shape[1] * scale), round(rgb.shape[0] * scale))
    return cv2.resize(rgb, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)


def loop(work: Callable[[Any], None], items: list[Any], *, workers: int) -> None:
    if workers == 1:
        for item in items:
            work(item)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(
        workers, mp_context=context, initializer=cv2.setNumThreads, initargs=(1,)
    ) as pool:
        for _ in pool.map(work, items, chunksize=8):
            pass


# The photos


def generate(folder: Path, *, count: int, width: int, height: int) -> Path:
    """Fill ``folder`` with JPEGs of ``width`` x ``height``: pieces of photos, enlarged, with some grain."""
    draws = np.random.default_rng(0)
    sources = [data.astronaut(), data.coffee(), data.rocket()]
    sources += [load_sample_image(name) for name in ("china.jpg", "flower.jpg")]
    for number in range(count):
        photo, side = sources[number % len(sources)], int(draws.integers(200, 380))
        top, left = (int(draws.integers(0, limit - side)) for limit in photo.shape[:2])
        piece = photo[top : top + side, left : left + side]
        piece = cv2.resize(piece, (width, height), interpolation=cv2.INTER_CUBIC)
        grainy = np.clip(piece + draws.normal(0, 4, (height, width, 1)), 0, 255).astype(np.uint8)
        Image.fromarray(grainy).save(folder / f"{number:04}.jpg", quality=90)
    return folder


def manifest(folder: Path) -> pd.DataFrame:
    """Return the JPEGs below ``folder`` as the scrape stage lists them, each file once."""
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg"))
    table = pd.DataFrame(
        {
            "file": [path.relative_to(folder).as_posix() for path in files],
            "sha256": [sha256(path.read_bytes()) for path in files],
        }
    ).drop_duplicates("sha256", ignore_index=True)
    return table.assign(query="", status="kept", rank=1, photograph="", split="")


# The race


def race(
    stage: Callable[[], object], bare: Callable[[], object], *, runs: int
) -> tuple[list[float], list[float]]:
    """Return the seconds of each, taken in turns so that both meet the same weather on the machine."""
    seconds: tuple[list[float], list[float]] = ([], [])
    for number in range(runs):
        for which in (0, 1) if number % 2 == 0 else (1, 0):
            start = time.perf_counter()
            (stage, bare)[which]()
            seconds[which].append(time.perf_counter() - start)
    return seconds


def races(folder: Path, *, runs: int, workers: int) -> Iterator[tuple[str, int, list[float], list[float]]]:
    """Yield the stage, the number of photos, and the seconds of stage and bare loop."""
    shipped: dict[str, Any] = dict(params.load_all(ROOT / "params.yaml"))
    table = manifest(folder)
    paths = [folder / file for file in table["file"]]
    yield (
        "filter",
        len(table),
        *race(
            lambda: verdicts.run(shipped["filter"], table, folder, workers=workers),
            lambda: loop(bare_measure, paths, workers=workers),
            runs=runs,
        ),
    )
    kept = table.assign(verdict="kept", group=table["sha256"].str[:16])
    fractions = {name: getattr(shipped["prepare"], name) for name in ("val_fraction", "test_fraction")}
    sides = split(kept, salt=shipped["prepare"].split_salt, **fractions)
    draw = partial(
        angles, copies=shipped["prepare"].rotated_copies, max_degrees=shipped["prepare"].rotation_degrees
    )
    turns = [
        draw(sha[:16]) if side == "train" else [] for sha, side in zip(kept["sha256"], sides, strict=True)
    ]

    def prepare() -> None:
        with tempfile.TemporaryDirectory() as prepared, tempfile.TemporaryDirectory() as cached:
            build.run(shipped["prepare"], kept, folder, Path(prepared), cached=Path(cached), workers=workers)

    def bare() -> None:
        with tempfile.TemporaryDirectory() as out:
            jobs = [(path, Path(out), turn) for path, turn in zip(paths, turns, strict=True)]
            loop(bare_prepare, jobs, workers=workers)

    yield "prepare", len(kept), *race(prepare, bare, runs=runs)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--photos", type=Path, help="a folder of JPEGs of your own")
    parser.add_argument("--count", type=int, default=160, help="generated photos of two megapixels")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--workers", type=int, default=cores())
    options = parser.parse_args()
    too_slow = False
    print(f"{options.workers} processes, medians of {options.runs} runs")
    print(f"{'photos':28} {'stage':8} {'number':>7} {'stage s':>8} {'bare s':>8} {'share':>6}")
    with tempfile.TemporaryDirectory() as generated:
        folders = {
            "1632x1224, generated": generate(Path(generated), count=options.count, width=1632, height=1224)
        }
        if options.photos:
            folders[f"{options.photos.name}, real"] = options.photos
        for name, folder in folders.items():
            for stage, count, ours, theirs in races(folder, runs=options.runs, workers=options.workers):
                seconds, least = statistics.median(ours), statistics.median(theirs)
                share = least / seconds
                too_slow |= share < ENOUGH
                print(f"{name:28} {stage:8} {count:7} {seconds:8.2f} {least:8.2f} {share:6.0%}", flush=True)
    sys.exit(too_slow)


if __name__ == "__main__":
    main()

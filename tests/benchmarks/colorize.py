"""What coloring costs beside what OpenCV takes to decode and encode, and how much memory it needs.

    python tests/benchmarks/colorize.py --model data/models/colorizer.onnx
    python tests/benchmarks/colorize.py --photos 100 --only folder

24 megapixels: JPEG to JPEG in at most 4 times imdecode + imencode at quality 95, with at most 1.2 GB; 100
megapixels with at most 2.5 GB; a folder of photos of 1 megapixel in 2 threads at 70 % or more of the bare
network call and codec: the median of five rounds, in each of which a fifth of the photos is done both ways,
since what else the machine does slows now one, now the other. Start-up does not count, nor the first photo,
which takes its memory from the system (its seconds are shown). Each measurement has a process of its own.
What start-up costs is shown as the whole command's seconds and memory for one small photo, by engine. Exits
with 1 where a bar is missed.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from sklearn.datasets import load_sample_image

from ungray.colorizer import Colorizer, default_model
from ungray.imaging import photo_files
from ungray.system import memory

JPEG = [cv2.IMWRITE_JPEG_QUALITY, 95]
TIMES, SHARE = 4.0, 0.7
GIGABYTES = {24: 1.2, 100: 2.5}
RUNS = 5


COMMAND_AND_PEAK = """
from ungray.cli.main import main
main()
from stages.doctor.machine import peak_memory
print(peak_memory())
"""


def photo(megapixels: float, seed: int = 0) -> bytes:
    """A JPEG of a real photo, brought up, with grain so that it compresses as a photo does."""
    source = load_sample_image("china.jpg")
    factor = (megapixels * 1e6 / (source.shape[0] * source.shape[1])) ** 0.5
    large = cv2.resize(source, None, fx=factor, fy=factor, interpolation=cv2.INTER_CUBIC)
    random = np.random.default_rng(seed)
    for top in range(0, len(large), 256):
        rows = large[top : top + 256]
        grain = random.normal(0, 3, rows.shape[:2])[..., None]
        rows[:] = (rows + grain).clip(0, 255).astype(np.uint8)
    return cv2.imencode(".jpg", large[..., ::-1], JPEG)[1].tobytes()


def codec(content: bytes) -> None:
    cv2.imencode(".jpg", cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR), JPEG)


def color(content: bytes, colorizer: Colorizer) -> None:
    taken = photo_files.read_photo(content)
    photo_files.encode(taken, colorizer.predict(taken).render(), format="jpg")


def seconds(work: Callable[[], Any]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def large(megapixels: int, colorizer: Colorizer, content: bytes) -> dict[str, float]:
    first = seconds(lambda: color(content, colorizer))
    gigabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    ours = statistics.median(seconds(lambda: color(content, colorizer)) for _ in range(RUNS))
    memory.keep_freed(False)  # the command's own doing, not OpenCV's
    codec(content)
    theirs = statistics.median(seconds(lambda: codec(content)) for _ in range(RUNS))
    return {"gigabytes": gigabytes, "theirs": theirs, "first": first, "ours": ours, "times": ours / theirs}


def folder(colorizer: Colorizer, contents: list[bytes]) -> dict[str, float]:
    engine = colorizer._engine
    height, width = colorizer.predict(photo_files.read_photo(contents[0])).fits.shape[:2]
    small = np.full((1, 1, height, width), 50, np.float32)

    def bare(content: bytes) -> None:
        engine.run(small)
        codec(content)

    def many(work: Callable[[bytes], None]) -> float:
        with ThreadPoolExecutor(2) as pool:
            return seconds(lambda: list(pool.map(work, contents)))

    cv2.setNumThreads(1)  # the two photos that are worked on at once use the cores
    rounds = []
    for _ in range(RUNS):
        memory.keep_freed(False)  # the command's own doing, not OpenCV's
        bare_time = many(bare)
        memory.keep_freed()
        rounds.append((bare_time, many(lambda content: color(content, colorizer))))
    theirs, ours = (statistics.median(of) / len(contents) * 1000 for of in zip(*rounds, strict=True))
    share = statistics.median(bare_time / own_time for bare_time, own_time in rounds)
    return {"theirs, ms a photo": theirs, "ours": ours, "share": share}


def start(model: Path, engine: str) -> dict[str, float]:
    """The command for a photo of a tenth of a megapixel, from its start to its end."""
    found = []
    with tempfile.TemporaryDirectory() as folder:
        small = Path(folder, "small.jpg")
        small.write_bytes(photo(0.1))
        command = [sys.executable, "-c", COMMAND_AND_PEAK, str(small), "--overwrite"]
        for _ in range(RUNS):
            begun = time.perf_counter()
            peak = subprocess.run(
                [*command, "--model", str(model), "--engine", engine],
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                check=True,
            ).stdout
            found.append((time.perf_counter() - begun, int(peak) / 1e9))
    return dict(zip(("seconds", "gigabytes"), map(statistics.median, zip(*found, strict=True)), strict=True))


def measure(what: str, model: Path, photos: int) -> dict[str, float]:
    """What a process of its own is asked for; the photo is made in another, whose memory does not count."""
    # As the command does.
    memory.keep_freed()
    colorizer = Colorizer.load(model, threads=1 if what == "folder" else 0)
    if what == "folder":
        return folder(colorizer, [photo(1, seed) for seed in range(10)] * (photos // 10 // RUNS))
    return large(int(what), colorizer, sys.stdin.buffer.read())


def progress(what: str, found: dict[str, float]) -> None:
    print(f"{what:20}" + ", ".join(f"{name} {value:.2f}" for name, value in found.items()), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", type=Path, default=default_model())
    parser.add_argument("--photos", type=int, default=500, help="of the folder")
    parser.add_argument("--only", choices=["start", "24", "100", "folder"])
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.measure:
        print(json.dumps(measure(chosen.measure, chosen.model, chosen.photos)))
        return
    missed = False
    for what in [chosen.only] if chosen.only else ["start", "24", "100", "folder"]:
        if what == "start":
            for engine in ("onnxruntime", "torch"):
                progress(f"start, {engine}", start(chosen.model, engine))
            continue
        command = [sys.executable, __file__, "--measure", what, "--model", str(chosen.model)]
        ran = subprocess.run(
            [*command, "--photos", str(chosen.photos)],
            input=photo(int(what)) if what.isdigit() else b"",
            stdout=subprocess.PIPE,
            check=True,
        )
        found = json.loads(ran.stdout)
        progress(what, found)
        missed |= what == "24" and found["times"] > TIMES
        missed |= what.isdigit() and found["gigabytes"] > GIGABYTES.get(int(what), 0)
        missed |= what == "folder" and found["share"] < SHARE
    sys.exit(int(missed))


if __name__ == "__main__":
    main()

"""Many visitors of the web page at once: right answers, busy ones, how long, and the server's memory.

    python -m tests.benchmarks.serve --model data/models/colorizer.safetensors
    python -m tests.benchmarks.serve --model MODEL --clients 50 --seconds 60 --queue 32
    python -m tests.benchmarks.serve --model MODEL --photos 300

Each visitor brings a photo of its own, 512x384, opens it, moves a control, downloads it at full size, leaves
and comes again. Every picture is compared with what the Python API makes of that photo, the download to the
bit. With --photos one visitor brings that many, looks at each, keeps all, and downloads each. Exits with 1 if
an answer was wrong, or if memory in the last third of the time was over a tenth and 50 MiB more than in the
second third (the first is warming up).
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import tempfile
from pathlib import Path

import numpy as np
from skimage import data
from sklearn.datasets import load_sample_image

from tests.ungray.page.load import keep_many, load
from tests.ungray.page.visitor import Server

WIDTH, HEIGHT = 512, 384


def crops(count: int) -> list[np.ndarray]:
    """Different crops of the sample's photographs, some mirrored."""
    rng = np.random.default_rng(0)
    scenes = [data.astronaut(), data.coffee(), *map(load_sample_image, ("china.jpg", "flower.jpg"))]
    found = []
    for number in range(count):
        scene = scenes[number % len(scenes)]
        top, left = (
            rng.integers(0, max(1, a - b)) for a, b in zip(scene.shape, (HEIGHT, WIDTH), strict=False)
        )
        crop = scene[top : top + HEIGHT, left : left + WIDTH][:, :: rng.choice([1, -1])]
        found.append(np.ascontiguousarray(crop))
    return found


def main() -> None:
    shape = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=shape)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--queue", type=int, default=32)
    parser.add_argument("--photos", type=int, default=0, help="of one visitor, instead of many visitors")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as top:
        server = Server(Path(top), "--model", chosen.model, "--queue", chosen.queue)
        try:
            counts, wrong, took, memory = asyncio.run(
                keep_many(server, crops(chosen.photos), chosen.model)
                if chosen.photos
                else load(server, crops(chosen.clients), chosen.model, seconds=chosen.seconds)
            )
        finally:
            server.stop()
        said = server.said()
    thirds = [max(part) for part in np.array_split(memory, 3)]
    flat = thirds[2] <= 1.1 * thirds[1] + 50
    who = f"{chosen.photos} photos" if chosen.photos else f"{chosen.clients} visitors, {chosen.seconds:g} s"
    print(f"{who}: {dict(counts)}; load averages {', '.join(f'{one:.1f}' for one in os.getloadavg())}")
    print(
        f"seconds an answer took: median {np.median(took):.2f}, 95th percentile {np.quantile(took, 0.95):.2f}"
    )
    print(f"memory, MiB: {memory[0]:.0f} first, at most {', '.join(f'{m:.0f}' for m in thirds)} by thirds")
    for line in wrong[:5]:
        print("wrong:", line)
    if wrong or not flat:
        print(said[-2000:])
        sys.exit(1)


if __name__ == "__main__":
    main()

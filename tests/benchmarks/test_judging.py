"""What judging costs beside what no judging can do without: the network and the metrics libraries' own calls.

    python tests/benchmarks/test_judging.py 1000     the figures for so many test photos
    python -m pytest -m benchmark tests/benchmarks   fewer photos, and the share must hold

The whole stage runs, from reading the index to the last byte of the report, on crops and mirrored crops of
the sample's photographs, with eight train photos for each test photo. All is counted in processor seconds of
this process on one core, so that other work on the machine does not count.
"""

import contextlib
import os
import resource
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
import torch
from skimage import data
from sklearn.datasets import load_sample_image

from stages import params
from stages.evaluate.__main__ import main
from stages.storage import tables
from ungray import networks
from ungray.imaging import metrics, photos
from ungray.imaging.grids import write_jpeg

ROOT = Path(__file__).parents[2]
SIZE = 256
MOST = 2.0
LIBRARY_CALLS = ("deltaE_ciede2000", "structural_similarity", "jensenshannon")


def checkout(top: Path, count: int) -> None:
    """Write what the stage reads: ``count`` test photos, each in a group and one of 41 queries."""
    rng = np.random.default_rng(0)
    scenes = [data.astronaut(), data.chelsea(), data.coffee(), data.rocket()]
    scenes += [load_sample_image(name) for name in ("china.jpg", "flower.jpg")]
    rows = []
    for number in range(count):
        scene = scenes[number % len(scenes)]
        height, width = scene.shape[:2]
        y, x = rng.integers(0, height - SIZE + 1), rng.integers(0, width - SIZE + 1)
        crop = scene[y : y + SIZE, x : x + SIZE][:, :: rng.choice([1, -1])]
        photos.write_rgb(top / f"data/prepared/test/{number:016x}.jpg", np.ascontiguousarray(crop))
        rows.append(
            (f"test/{number:016x}.jpg", "test", f"{number:016x}", f"query {number % 41}", str(number), 0)
        )
    index = pd.DataFrame(rows, columns=["file", "split", "photo", "query", "group", "copy"])
    train = pd.concat([index.assign(split="train")] * 8)
    tables.write_table(pd.concat([index, train]), top / "data/prepared/index.csv")
    tables.write_table(
        index[["photo"]].set_axis(["sha256"], axis=1).assign(width=300, height=200), top / "data/verdicts.csv"
    )
    about = index[["query"]].assign(status="kept", source="sample", license="CC0", sha256="", url="")
    tables.write_table(about, top / "data/manifest.csv")
    (top / "params.yaml").write_bytes((ROOT / "params.yaml").read_bytes())
    torch.manual_seed(0)
    network = networks.build(params.load_all(ROOT / "params.yaml")["train"].network())
    networks.save_model(top / "data/models/colorizer.safetensors", networks.Model(network, {}))
    plots = top / "reports/train/plots"
    for name in ("train", "val", "gray"):
        (plots / "metrics/loss").mkdir(parents=True, exist_ok=True)
        (plots / f"metrics/loss/{name}.tsv").write_text(f"step\t{name}\n1\t0.5\n2\t0.4\n")
    write_jpeg(plots / "images/grid/0000.jpg", np.full((100, 100, 3), 99, np.uint8))


def measure(count: int) -> tuple[float, float, float]:
    """Return processor seconds of the stage and of the calls in it, and the megabytes that it added."""
    inside = 0.0

    def timed(call, *arguments, **options):
        nonlocal inside
        start = time.process_time()
        result = call(*arguments, **options)
        inside += time.process_time() - start
        return result

    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as folder:
        checkout(Path(folder), count)
        patch.chdir(folder)
        for name in LIBRARY_CALLS:
            patch.setattr(metrics, name, partial(timed, getattr(metrics, name)))
        network = type(networks.load_model(Path("data/models/colorizer.safetensors")).network)
        # The network alone, without the conversions around it.
        forward = network.forward
        patch.setattr(network, "forward", lambda *inputs: timed(forward, *inputs))
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        start = time.process_time()
        main()
        seconds = time.process_time() - start
        added = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    return seconds, inside, added


@pytest.mark.benchmark
def test_judging_takes_at_most_twice_the_network_and_the_metrics_libraries_in_bounded_memory():
    few, few_inside, _ = measure(20)
    many, many_inside, added = measure(120)
    # What is drawn and written is as much for few photos as for many; at 1,000 it is a few hundredths.
    assert many - few <= MOST * (many_inside - few_inside)
    assert added < 50, "megabytes; a hundred photos with what is made of them would take more"


if __name__ == "__main__":
    os.environ["OMP_NUM_THREADS"] = "1"
    with contextlib.redirect_stdout(sys.stderr):
        measure(10)
        seconds, inside, added = measure(int(sys.argv[1]))
    print(
        f"{sys.argv[1]} photos: {seconds:.1f} s, of which {inside:.1f} s in the network and the metrics "
        f"libraries: {seconds / inside:.2f} times; {added:.0f} MB more"
    )

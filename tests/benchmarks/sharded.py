"""How fast training is that reads shards, beside training from loose files, which decodes each photo once.

    python tests/benchmarks/sharded.py                       unet at 64 and 128 pixels, the built-in sample
    python tests/benchmarks/sharded.py --sizes 96 --repeats 9

Both run the stage's own loop on the same photos of 256x256, JPEG quality 95, in turns, in one process;
shards lie in a folder. Figures are medians over turns of an epoch, and of the ratios turn by turn, since
other work on the machine changes slowly. Where it changes fast, `taskset -c 0` in front, so that no thread
waits for another, makes the ratio of processor time one to trust: nothing is then done beside the network's
work. "Batches alone" is what shards give where no network takes its time: a GPU that is faster waits for
them. The exit code is 1 where the ratio of the rates is under 0.9.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from training_loops import SIDE, Loop, prepare

from stages import params as params_file
from stages.prepare import shards as packing
from stages.storage.shards import Shards
from stages.train import devices, loop
from stages.train.data import Streamed, ahead, mixed_batches
from stages.train.progress import NoProgress
from ungray import networks
from ungray.system.files import sha256

ROOT = Path(__file__).parents[2]
BAR = 0.9


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--photos", type=Path, help="a folder of photos of your own")
    parser.add_argument("--sizes", type=int, nargs="+", default=[64, 128])
    parser.add_argument("--batches", type=int, default=8, help="of an epoch")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--batch-size", type=int, default=30)
    parser.add_argument("--shard-photos", type=int, default=40)
    options = parser.parse_args()
    shipped: dict[str, Any] = dict(params_file.load_all(ROOT / "params.yaml"))
    machine = shipped["machine"].model_copy(update={"checkpoint_minutes": 1e6})
    fabric, where, precision = devices.start_fabric(machine)
    count = options.batches * options.batch_size
    print(f"unet, {count} photos an epoch, {torch.get_num_threads()} threads, {where}, {precision}")
    missed = False
    with tempfile.TemporaryDirectory() as folder:
        paths = prepare(options.photos, Path(folder), count=count, shipped=shipped)
        for size in options.sizes:
            update = {
                "architecture": "unet", "start_from": "nothing", "working_size": size,
                "batch_size": options.batch_size, "epochs": 10**6, "grid_every": 10**6,
            }  # fmt: skip
            params = shipped["train"].model_copy(update=update)
            loose = Loop(params, machine, paths, fabric=fabric)
            contestants = {"loose": loose.training, "shards": from_shards(loose, paths, options)}
            missed |= race(contestants, size=size, photos=count, repeats=options.repeats) < BAR
    sys.exit(missed)


def from_shards(loose: Loop, paths: list[Path], options: argparse.Namespace) -> loop.Training:
    """Return the training of ``loose``, on the same photos in shards."""
    own, folder = loose.training, paths[0].parent
    index = pd.DataFrame({"file": [f"train/{path.name}" for path in paths], "split": "train", "size": SIDE})
    index["digest"] = [sha256(path.read_bytes())[:16] for path in paths]
    index["shard"] = packing.assign(index, photos=options.shard_photos)
    (folder / "train").mkdir()
    for path in paths:
        (folder / "train" / path.name).hardlink_to(path)
    packing.pack(index, folder)
    streamed = Streamed(index, Shards(index, str(folder)), size=own.params.working_size)
    torch.manual_seed(0)
    return loop.Training(
        own.params,
        own.machine,
        networks.build(own.params.network()),
        photos=loop.Photos(train=[streamed], files=own.photos.files, val=own.photos.val),
        fabric=own.fabric,
        checkpoint=folder / "shards.pt",
        fingerprint="",
        progress=NoProgress(),
    )


def race(contestants: dict[str, loop.Training], *, size: int, photos: int, repeats: int) -> float:
    """Print the rates, and return the median ratio of the shards' rate to that of loose files."""
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    processor: dict[str, list[float]] = {name: [] for name in contestants}
    for turn in range(repeats + 1):
        for name in list(contestants)[:: 1 if turn % 2 else -1]:
            training = contestants[name]
            start, worked = time.perf_counter(), time.process_time()
            training._train_epoch([])
            if turn:  # the first warms up
                seconds[name].append(time.perf_counter() - start)
                processor[name].append(time.process_time() - worked)
            training.state.epoch, training.state.batch = training.state.epoch + 1, 0
    rates = {name: photos / statistics.median(taken) for name, taken in seconds.items()}
    ratios, worked_ratios = _ratios(seconds), _ratios(processor)
    print(
        f"{size:4} pixels: loose files {rates['loose']:.1f} photos/s, shards {rates['shards']:.1f}, "
        f"ratio {statistics.median(ratios):.3f} ({min(ratios):.3f} to {max(ratios):.3f}), "
        f"of processor time {statistics.median(worked_ratios):.3f} "
        f"({min(worked_ratios):.3f} to {max(worked_ratios):.3f}); "
        f"batches alone {alone(contestants['shards'], photos):.0f} photos/s",
        flush=True,
    )
    return statistics.median(ratios)


def _ratios(taken: dict[str, list[float]]) -> list[float]:
    return [one / other for one, other in zip(taken["loose"], taken["shards"], strict=True)]


def alone(training: loop.Training, photos: int) -> float:
    """Return photos a second of an epoch of batches that nothing is done with."""
    params = training.params
    start = time.perf_counter()
    drawn = mixed_batches(training.photos.train, batch_size=params.batch_size, seed=1, epoch=0, flip=True)
    for _ in ahead(drawn):
        pass
    return photos / (time.perf_counter() - start)


if __name__ == "__main__":
    main()

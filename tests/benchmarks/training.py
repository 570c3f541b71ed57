"""What training costs, part by part: the loop, the bare step, and the loop of earlier work rebuilt.

    python tests/benchmarks/training.py                       the built-in sample
    python tests/benchmarks/training.py --photos /my/photos   other real photos, a folder of JPEGs
    python tests/benchmarks/training.py --repeats 7 --batches 8

For unet and lite_unet at their working size and cnn at 256, all on the same photos of 256x256, with the same
batch size:

(a) the loop as the stage runs it: batches from decoded photos, flips, Lab, step, bookkeeping;
(b) the bare step on one batch in memory: forward, backward, optimizer, and nothing else;
(c) cnn as it used to be trained: Pillow decodes every photo each epoch and makes it gray; fp32, channels
    first; freed memory goes back to the kernel.

Between (c) and (a) one part after the other is replaced, so that one sees what each costs. All take turns, in
one process with the same threads; figures are medians over the turns. On a processor with AMX the exit code
is 1 if a bar is missed; elsewhere bars are shown and decide nothing.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from training_loops import SIDE, Loop, Step, Times, prepare, rebuilt, with_memory

from stages import params as params_file
from stages.train import devices
from stages.train.data import to_rgb

ROOT = Path(__file__).parents[2]
BARS = {"unet a/b": 0.92, "lite_unet a/b": 0.92, "cnn a/b": 0.85, "cnn a/c": 2.5, "unet a / cnn c": 10.0}


# The race


def race(contestants: dict[str, Callable[[], None]], *, repeats: int) -> Times:
    """Return the seconds of an epoch of each, in turns, every other one backwards; the first warms up."""
    seconds: Times = {name: [] for name in contestants}
    for turn in range(repeats + 1):
        for name in list(contestants)[:: 1 if turn % 2 else -1]:
            start = time.perf_counter()
            contestants[name]()
            if turn:
                seconds[name].append(time.perf_counter() - start)
    return seconds


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--photos", type=Path, help="a folder of photos of your own")
    parser.add_argument("--batches", type=int, default=4, help="of an epoch")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--batch-size", type=int, default=30)
    parser.add_argument("--unet-at-256", action="store_true", help="unet with a working size of 256 as well")
    options = parser.parse_args()
    shipped: dict[str, Any] = dict(params_file.load_all(ROOT / "params.yaml"))
    with tempfile.TemporaryDirectory() as folder:
        count = options.batches * options.batch_size
        paths = prepare(options.photos, Path(folder), count=count, shipped=shipped)
        missed = measure(shipped, paths, options)
    sys.exit(missed and _has_amx())


def _has_amx() -> bool:
    return torch.cpu.get_capabilities().get("amx_bf16", False)


def measure(shipped: dict[str, Any], paths: list[Path], options: argparse.Namespace) -> bool:
    """Run the race, print its tables, and say whether a bar is missed."""
    machine = shipped["machine"].model_copy(update={"device": "cpu", "checkpoint_minutes": 1e6})
    fabric, _, precision = devices.start_fabric(machine)
    usual = {
        "architecture": "unet",
        "start_from": "nothing",
        "batch_size": options.batch_size,
        "epochs": 10**6,
        "grid_every": 10**6,
    }
    sections = {
        "unet": shipped["train"].model_copy(update=usual),
        "lite_unet": shipped["train"].model_copy(update=usual | {"architecture": "lite_unet"}),
        "cnn": shipped["train"].model_copy(
            update=usual | {"architecture": "cnn", "working_size": SIDE, "lr": 5e-4}
        ),
    }
    if options.unet_at_256:
        sections["unet256"] = sections["unet"].model_copy(update={"working_size": SIDE})
    loops, contestants = {}, {}
    for name, params in sections.items():
        loops[name] = Loop(params, machine, paths, fabric=fabric)
        contestants[f"{name} a"] = with_memory(loops[name].epoch, kept=True)
        step = bare(params, loops[name], batches=options.batches, precision=precision)
        contestants[f"{name} b"] = with_memory(step, kept=True)
    contestants |= ladder(sections["cnn"], paths, options.batch_size, loops["cnn"], precision)
    seconds = race(contestants, repeats=options.repeats)
    rates = {name: len(paths) / statistics.median(taken) for name, taken in seconds.items()}
    print(
        f"{len(paths)} photos an epoch, batches of {options.batch_size}, {torch.get_num_threads()} threads, "
        f"{precision}, AMX {_has_amx()}; medians of {options.repeats} (spread)"
    )
    for name, taken in seconds.items():
        spread = f"({len(paths) / max(taken):.1f} to {len(paths) / min(taken):.1f})"
        print(f"{name:58} {rates[name]:8.1f} images/s {spread}")
    return report(rates, loops, contestants, options)


def bare(params: Any, own: Loop, *, batches: int, precision: str) -> Callable[[], None]:
    """Return (b): so many steps on one batch in memory, as the network takes it."""
    step = Step(params, bf16=precision == "bf16", channels_last=True)
    pixels = torch.from_numpy(own.training.photos.train[0][: params.batch_size].copy())
    inputs, targets = step.network.pairs(to_rgb(pixels))
    inputs = step.network.with_hints(inputs, None)

    def epoch() -> None:
        for _ in range(batches):
            step(inputs, targets)

    return epoch


def ladder(
    params: Any, paths: list[Path], batch_size: int, own: Loop, precision: str
) -> dict[str, Callable[[], None]]:
    """Return (c), and (c) with one part after the other replaced; the last step is (a)."""
    decoded = np.array(own.training.photos.train[0])
    bf16 = precision == "bf16"
    batches: dict[str, Any] = {"decoded": decoded, "pil_gray": False}
    rungs = {
        "cnn c": ({"decoded": None, "pil_gray": True}, False, False, False),
        "cnn c, photos decoded once": ({"decoded": decoded, "pil_gray": True}, False, False, False),
        "cnn c, and gray made from the batch": (batches, False, False, False),
        "cnn c, and channels last": (batches, False, True, False),
        "cnn c, and freed memory kept": (batches, False, True, True),
    }
    if bf16:
        rungs["cnn c, and bf16"] = (batches, True, True, True)
    return {
        name: with_memory(
            rebuilt(Step(params, bf16=low, channels_last=last), paths, batch_size=batch_size, **parts),
            kept=kept,
        )
        for name, (parts, low, last, kept) in rungs.items()
    }


def report(rates: dict[str, float], loops: dict[str, Loop], contestants: Any, options: Any) -> bool:
    """Print what each part costs and how the bars stand; say whether one is missed."""
    ladder_names = [name for name in contestants if name.startswith("cnn c")]
    print("\nFrom (c) to (a), cnn: milliseconds a photo, and what each part saves")
    before = None
    for name in [*ladder_names, "cnn a"]:
        cost = 1000 / rates[name]
        print(f"{name:58} {cost:8.1f}" + ("" if before is None else f" {before - cost:+8.1f}"))
        before = cost
    epochs = options.repeats + 1
    for name, own in loops.items():
        whole, photos_seen = 1000 / rates[f"{name} a"], epochs * options.batches * options.batch_size
        print(
            f"\nThe loop of {name}: {whole:.1f} ms a photo, the bare step {1000 / rates[f'{name} b']:.1f}; "
            "of the loop:"
        )
        for part, taken in sorted(own.parts.items(), key=lambda item: -sum(item[1])):
            print(f"  {part:56} {1000 * sum(taken) / photos_seen:8.2f} (mean)")
    ratios = {
        "unet a/b": rates["unet a"] / rates["unet b"],
        "lite_unet a/b": rates["lite_unet a"] / rates["lite_unet b"],
        "cnn a/b": rates["cnn a"] / rates["cnn b"],
        "cnn a/c": rates["cnn a"] / rates["cnn c"],
        "unet a / cnn c": rates["unet a"] / rates["cnn c"],
    }
    print()
    for name, ratio in ratios.items():
        met = "met" if ratio >= BARS[name] else "missed"
        print(f"{name:20} {ratio:6.2f}  bar {BARS[name]:5.2f} on a processor with AMX: {met}")
    print("(unet a / cnn c: unet works on these 256x256 photos at its own working size, cnn at 256)")
    return any(ratio < BARS[name] for name, ratio in ratios.items())


if __name__ == "__main__":
    main()

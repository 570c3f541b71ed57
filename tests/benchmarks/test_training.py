"""The benchmark of training, on a few photos: that it runs, and shows what it promises."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_benchmark_of_training_shows_loop_bare_step_and_what_each_part_costs(tmp_path):
    few = ["--batches", "1", "--repeats", "1", "--batch-size", "2"]
    done = subprocess.run(
        [sys.executable, str(ROOT / "tests/benchmarks/training.py"), *few],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    for row in ("unet a ", "unet b ", "cnn a ", "cnn b ", "cnn c ", "photos decoded once", "channels last"):
        assert row in done.stdout, done.stdout + done.stderr
    for part in ("waiting for batches", "to floats and Lab", "forward", "backward", "optimizer"):
        assert part in done.stdout, done.stdout + done.stderr
    for bar in ("unet a/b", "cnn a/b", "cnn a/c", "unet a / cnn c"):
        assert f"\n{bar}" in done.stdout, done.stdout + done.stderr

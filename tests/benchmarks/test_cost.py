"""The benchmark as `make benchmark` runs it; UNGRAY_PHOTOS names a folder of real JPEGs to take as well."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.benchmark
def test_filter_and_prepare_reach_three_quarters_of_a_bare_loop():
    real = os.environ.get("UNGRAY_PHOTOS")
    command = [sys.executable, str(ROOT / "tests/benchmarks/cost.py"), *(["--photos", real] if real else [])]
    done = subprocess.run(
        command,
        env=os.environ | {"PYTHONPATH": str(ROOT), "NO_ALBUMENTATIONS_UPDATE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    print(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr

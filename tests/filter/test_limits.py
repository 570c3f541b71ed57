"""Photos that the harvest brought, or a folder holds, are measured within limits on time and memory."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from stages.filter.measures import measure

from .. import costly_photos as costly

ROOT = Path(__file__).parents[2]

MEASURE = """
import sys
from pathlib import Path
from stages.runtime import processes as cluster
from ungray.system.console import run_command
from stages.filter.measures import measure

cluster.FIRST, cluster.START_SECONDS = int(sys.argv[1]), 0

def main():
    paths = [Path(name) for name in sys.argv[2:]]
    for measured in cluster.map_photos(measure, paths, workers=2, title="filter"):
        print(measured.width, flush=True)

if __name__ == "__main__":
    run_command(main)
"""


def below(process):
    """The processes that a process has started, and those that they have."""
    found = []
    for children in Path(f"/proc/{process}/task").glob("*/children"):
        for child in children.read_text().split():
            found += [int(child), *below(child)]
    return found


def runs(process):
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_a_photo_is_measured_in_another_process(tmp_path):
    (tmp_path / "a.jpg").write_bytes(costly.encoded("JPEG", size=(200, 100)))
    measured = measure(tmp_path / "a.jpg")
    assert (measured.width, measured.height, measured.damage) == (200, 100, "")
    assert below(os.getpid())


@pytest.mark.parametrize("name", ["bmp of jumps", "progressive jpeg of many scans"])
def test_a_photo_that_costs_much_is_damaged(tmp_path, name):
    (tmp_path / "a").write_bytes(costly.FILES[name]())
    assert measure(tmp_path / "a").damage.startswith("damaged: a ")


@pytest.mark.skipif(not Path(f"/proc/{os.getpid()}/task").exists(), reason="the system lists no children")
@pytest.mark.parametrize("where", ["here", "in processes"])
def test_ctrl_c_ends_within_two_seconds_and_leaves_no_process(tmp_path, where):
    (tmp_path / "quick.jpg").write_bytes(costly.encoded("JPEG", size=(200, 100)))
    (tmp_path / "slow.jpg").write_bytes(costly.slow_jpeg())
    (tmp_path / "measure.py").write_text(MEASURE)
    photos = [str(tmp_path / f"{name}.jpg") for name in ("quick", "slow", "slow")]
    process = subprocess.Popen(
        [sys.executable, str(tmp_path / "measure.py"), {"here": "2", "in processes": "1"}[where], *photos],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    assert process.stdout.readline() == "200\n"
    # Two processes and the one that starts them, of which each has another one decode; and that of the first.
    wanted = {"here": 1, "in processes": 5}[where]
    end = time.monotonic() + 60
    while len(below(process.pid)) < wanted and time.monotonic() < end:
        time.sleep(0.05)
    time.sleep(1)  # at work by now
    started = below(process.pid)
    assert len(started) >= wanted
    process.send_signal(signal.SIGINT)
    start = time.monotonic()
    told, trouble = process.communicate(timeout=60)
    assert time.monotonic() - start < 2
    assert (told, process.returncode) == ("", 130)
    assert "interrupted" in trouble
    assert "Traceback" not in trouble
    end = time.monotonic() + 3
    while any(map(runs, started)) and time.monotonic() < end:
        time.sleep(0.05)
    assert not any(map(runs, started))

"""A trial: two versions of the code run a stage on the same few photos, and the outputs are compared."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from ruamel.yaml import YAML

from stages.params import read_yaml
from stages.storage import tables
from ungray.errors import UngrayError

PHOTOS = 40
"""Number of photos taken from the collection for a trial that does not use the sample."""

AT_MOST = {
    "scrape.sample_crops": 3,
    "filter.sheet_photos": 20,
    "prepare.rotated_copies": 2,
    "prepare.shard_photos": 8,
    "train.working_size": 128,
    "train.batch_size": 4,
    "train.warmup_steps": 2,
    "train.grid_every": 1,
    "train.grid_photos": 2,
    "evaluate.min_groups": 2,
    "evaluate.grid_rows": 2,
    "evaluate.bootstrap_samples": 100,
}
SET = {
    "prepare.val_fraction": 0.2,
    "prepare.test_fraction": 0.2,
    "train.steps": 30,  # schedules begin to fall at step 20, see stages/train/schedule.py
    "train.minutes": 0.0,
    "machine.workers": 1,
    "machine.scheduler": "",
    "machine.stream": "",
    "machine.device": "cpu",
    "machine.precision": "fp32",
    "machine.threads": 1,
    "machine.devices": 1,
    "machine.nodes": 1,
    "machine.compile": False,
}
"""Params that make a trial small and exact. Others stay as they are, so that the code in use is tried."""


class Side:
    """The folder in which one version of the code runs its stages, with its own data and reports."""

    def __init__(self, folder: Path, *, inputs: Iterable[str]) -> None:
        self.folder = folder
        for name in inputs:
            there = Path(name)
            if there.exists() and not there.is_absolute():
                (folder / there).parent.mkdir(parents=True, exist_ok=True)
                (folder / there).symlink_to(there.resolve())

    def start(self, stage: str, code: Path) -> subprocess.Popen[str]:
        """Start ``stage`` with the code of the checkout ``code`` and a reduced version of its params."""
        content = small(read_yaml(code / "params.yaml"))
        YAML().dump(content, self.folder / "params.yaml")
        environment = os.environ | {"PYTHONPATH": str(code), "OMP_NUM_THREADS": "1"}
        return subprocess.Popen(
            [sys.executable, "-m", f"stages.{stage}"],
            cwd=self.folder, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def take(self, outputs: Iterable[str], other: Side) -> None:
        """Replace ``outputs`` with those of ``other``."""
        for name in outputs:
            mine, theirs = self.folder / name, other.folder / name
            remove(mine)
            mine.parent.mkdir(parents=True, exist_ok=True)
            if theirs.is_dir():
                shutil.copytree(theirs, mine)
            elif theirs.exists():
                shutil.copy2(theirs, mine)


def small(content: dict[str, Any]) -> dict[str, Any]:
    """Reduce the params ``content`` in place and return them; missing keys are not added."""
    for key, value in [*AT_MOST.items(), *SET.items()]:
        section, name = key.split(".")
        if name in content.get(section, {}):
            content[section][name] = min(value, content[section][name]) if key in AT_MOST else value
    return content


def take_photos(folder: Path, manifest: Path, raw: Path) -> None:
    """Copy the first photos of each query of the collection to ``folder``, laid out as by scrape.

    Raises:
        UngrayError: the collection is not on this machine.
    """
    table = tables.read_table(manifest, made_by="scrape")
    kept = table[table["status"] == "kept"]
    place = kept.groupby("query").cumcount()
    chosen: pd.DataFrame = kept.loc[place.sort_values(kind="stable").index[:PHOTOS]].sort_index()
    for file in chosen["file"].unique():
        if not (raw / file).is_file():
            raise UngrayError(f"{raw / file} not found; `dvc pull {raw.as_posix()}` fetches the photos")
        (folder / raw / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(raw / file, folder / raw / file)
    tables.write_table(chosen, folder / manifest)


def finish(running: Sequence[subprocess.Popen[str]]) -> list[str]:
    """Wait for stages that run in parallel; return for each the last line of its error, or ""."""
    try:
        said = [process.communicate()[1].strip().splitlines() for process in running]
    finally:
        for process in running:
            if process.poll() is None:
                process.kill()
                process.wait()
    return [
        (lines[-1] if lines else f"exit code {process.returncode}") if process.returncode else ""
        for process, lines in zip(running, said, strict=True)
    ]


def first_difference(outputs: Iterable[str], before: Path, now: Path) -> str:
    """Return the first file of ``outputs`` that differs between both folders, and how; "" if none does.

    Raises:
        UngrayError: there are no files, so nothing was compared.
    """
    names = list(outputs)
    files = sorted({file for folder in (before, now) for name in names for file in _files(folder, name)})
    if not files:
        raise UngrayError(f"accept: {', '.join(names)} contain no files in the trial; nothing was committed")
    for file in files:
        if not all((folder / file).exists() for folder in (before, now)):
            return f"{file} is written by only one of the two versions"
        if (before / file).read_bytes() != (now / file).read_bytes():
            return f"{file} differs"
    return ""


def remove(path: Path) -> None:
    """Remove a file or folder, if it is there."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _files(folder: Path, name: str) -> list[str]:
    paths = (folder / name).rglob("*") if (folder / name).is_dir() else [folder / name]
    return [path.relative_to(folder).as_posix() for path in paths if path.is_file()]

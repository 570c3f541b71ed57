"""Remove what killed experiments left in .dvc/tmp: a copy of the repository each, and tasks that seem to run.

Experiments that ended, and those that wait in the queue, stay. While DVC is at work here, nothing is removed.

  make clean-experiments
  python -m stages.recipes.clean
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import psutil
from dvc.repo import Repo

from ungray.errors import UngrayError
from ungray.system.console import run_command
from ungray.system.files import main_checkout
from ungray.system.terminal import Parser, tell

WORK = ("exp", "repro", "queue", "commit", "checkout", "pull", "stage", "add")
"""Sub-commands of DVC that work in the repository or in a temporary copy of it."""


def main() -> None:
    """Run the command.

    Raises:
        UngrayError: DVC is at work in this repository.
    """
    Parser(prog="python -m stages.recipes.clean", description=__doc__).parse_args()
    top = main_checkout(Path.cwd())
    if (number := _at_work(top)) is not None:
        raise UngrayError(
            f"DVC is at work here (process {number}), so nothing was removed; wait until it has ended, or "
            "stop it: `dvc queue stop --kill` stops a queue"
        )
    tasks = _end_dead_tasks(top)
    copies = [path for path in (top / ".dvc/tmp/exps").glob("**/tmp*") if _is_copy(path)]
    for copy in copies:
        shutil.rmtree(copy)
    for notes in ("run", "standalone/run"):
        shutil.rmtree(top / ".dvc/tmp/exps" / notes, ignore_errors=True)
    _delete_temporary_refs(top)
    removed = [f"{len(copies)} temporary cop{'y' if len(copies) == 1 else 'ies'}"] if copies else []
    removed += [f"the queue's dead tasks {', '.join(tasks)}"] if tasks else []
    tell(f"removed {' and '.join(removed)}" if removed else "no killed experiment left anything")


def _at_work(top: Path) -> int | None:
    """Return the number of a process of DVC in ``top`` or below it, if there is one."""
    for process in psutil.process_iter():
        try:
            line = process.cmdline()
            inside = Path(process.cwd()).is_relative_to(top)
        except psutil.Error:
            continue  # another user's, or it has ended
        named = [Path(word).name for word in line[:3]]
        if inside and process.pid != os.getpid() and "dvc" in named and set(WORK) & set(line[1:4]):
            return process.pid
    return None


def _end_dead_tasks(top: Path) -> list[str]:
    """Remove tasks that the queue lists as running, but whose process is gone; return their names."""
    if not (top / ".dvc/tmp/exps/celery").is_dir():
        return []
    with Repo(str(top)) as repo:
        queue = repo.experiments.celery_queue
        dead = [
            entry
            for entry in queue.iter_active()
            # DVC would kill whatever has that number now.
            if (about := queue.proc.get(entry.stash_rev)) is None or not psutil.pid_exists(about.pid)
        ]
        for entry in dead:
            queue.kill([entry.stash_rev], force=True)
            queue.remove([entry.stash_rev])
    return [entry.name or entry.stash_rev[:7] for entry in dead]


def _is_copy(path: Path) -> bool:
    return path.parent.name in ("exps", "standalone") and (path / ".git").is_dir()


def _delete_temporary_refs(top: Path) -> None:
    """Delete the Git refs by which DVC hands an experiment its commit; no experiment is one of them."""
    listed = subprocess.run(
        ["git", "for-each-ref", "--format=delete %(refname)", "refs/exps/temp"],
        cwd=top, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    subprocess.run(["git", "update-ref", "--stdin"], cwd=top, input=listed, text=True, check=True)


if __name__ == "__main__":
    run_command(main)

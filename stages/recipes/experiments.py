"""The names of DVC's experiments."""

from __future__ import annotations

import subprocess
from itertools import chain, count


def unused(name: str) -> str:
    """Return ``name``, with a number if an experiment on this commit has that name: DVC would refuse it."""
    listed = subprocess.run(
        ["dvc", "exp", "list", "--name-only"], capture_output=True, text=True, check=False
    ).stdout.split()  # empty if DVC fails; the run itself then reports why
    return next(
        free for free in chain([name], (f"{name}-{number}" for number in count(2))) if free not in listed
    )

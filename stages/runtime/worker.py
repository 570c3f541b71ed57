"""The worker's end of :mod:`stages.runtime.scheduler`: how a Dask worker runs the work it receives."""

from __future__ import annotations

import pickle
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import cv2

from stages.storage.cache import code_fingerprint
from ungray.errors import UngrayError
from ungray.imaging import photos
from ungray.system import memory
from ungray.system.terminal import take_charge

LIBRARIES = ("imagehash", *photos.LIBRARIES, "scipy")
"""Another version of one of these could produce other bytes."""


@dataclass(frozen=True)
class Environment:
    """What a worker must have in common with this process, to get the same results in the same folder."""

    folder: str
    token: str
    """The path, relative to the folder, of a file that this run alone has created."""
    code: str
    libraries: dict[str, str]

    @classmethod
    def here(cls, token: Path) -> Environment:
        """Return the environment of this process, which has created the file ``token``."""
        return cls(str(Path.cwd()), str(token), _code(), _libraries())


def mismatch(here: Environment) -> str:
    """Return, in a worker, how its environment differs from ``here``; empty if it does not."""
    try:
        same = Path(here.token).read_text() == Path(here.token).name
    except OSError:
        same = False
    if not same:
        return f"works in another folder, {Path.cwd()}"
    if _code() != here.code:
        return f"runs another version of the code, from {Path(__file__).parents[1]}"
    if other := {name: found for name, found in _libraries().items() if found != here.libraries[name]}:
        return "has " + " and ".join(
            f"{name} {found}, not {here.libraries[name]}" for name, found in other.items()
        )
    return ""


def work_on(packed: bytes, here: Environment) -> list[Any]:
    """Run, in a worker, a pickled pair of work and items; return the results.

    Workers that started after :meth:`Pool.verify`, or replaced one that died, are checked here.
    """
    if found := mismatch(here):
        from distributed import get_worker

        raise UngrayError(f"worker {get_worker().address} {found}; start it in {here.folder}")
    take_charge()
    cv2.setNumThreads(1)
    memory.keep_freed()  # Dask makes its workers return it at once, which doubles the time of filter
    work, items = pickle.loads(packed)
    return [work(item) for item in items]


@cache
def _code() -> str:
    """Return the fingerprint of the code as this process loaded it; cached, since the files may change."""
    return code_fingerprint(Path(__file__).parents[1])


@cache
def _libraries() -> dict[str, str]:
    return {name: version(name) for name in LIBRARIES}

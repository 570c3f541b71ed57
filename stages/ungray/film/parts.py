"""Parts of a film, kept until all are there: what was killed goes on after the last whole one.

They are in a hidden folder next to the output. A part is a file with its pictures and one with its times and
with the state that the next frame needs, so the film is the same bytes with and without a break.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from ungray.film.formats import unfinished
from ungray.imaging.borders import Border, Edge
from ungray.imaging.propagation import State
from ungray.system.files import UNLOCKABLE, lock, sha256, whole_file
from ungray.system.terminal import say

FRAMES = 240
"""Number of frames of a part."""

ABOUT = "about.json"

WAITING = 0.5
"""Seconds after which it is looked again whether another run has ended."""


@dataclass(frozen=True)
class Done:
    """What was done before.

    ``times`` are time and duration of each packet in the order of coding, or of each frame where frames are
    files of their own; ``resume`` is the time of the next frame; ``state`` is what it needs.
    """

    parts: list[Path]
    times: list[tuple[int, int]]
    frames: int
    resume: int | None
    state: State | None


@contextmanager
def opened(output: Path, about: Mapping[str, Any]) -> Iterator[Parts]:
    """Yield the parts of ``output``, which no other run can open meanwhile; if there are none, no folder is
    left."""
    with _held(unfinished(output)) as waited:
        kept = Parts(output, about, waited=waited)
        try:
            yield kept
        finally:
            if not kept.removed and not kept.done().parts:
                kept.remove()


@contextmanager
def _held(folder: Path) -> Iterator[bool]:
    """Lock ``folder``, which is made, for the block; wait while another run has locked it, and yield whether
    one had."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    waited = False
    while True:
        try:
            descriptor = lock(folder, folder=True)
            break
        except BlockingIOError:
            if not waited:
                say(f"another run writes into {folder}; waiting until it has ended")
            waited = True
            time.sleep(WAITING)
        except OSError as error:
            if error.errno not in UNLOCKABLE:
                raise
            descriptor = None
            break
    try:
        yield waited
    finally:
        if descriptor is not None:
            os.close(descriptor)


class Parts:
    """The folder of an unfinished output."""

    def __init__(self, output: Path, about: Mapping[str, Any], *, waited: bool = False) -> None:
        """Open the folder; parts that were made otherwise than ``about`` says are removed.

        ``waited`` is whether another run had it until now.
        """
        self.folder = unfinished(output)
        self.waited, self.removed = waited, False
        self.folder.mkdir(parents=True, exist_ok=True)
        mark = self.folder / ABOUT
        text = json.dumps({**about, "state": [field.name for field in fields(State)]}, sort_keys=True)
        if not mark.is_file() or mark.read_text() != text:
            mark.unlink(missing_ok=True)
            for path in self.folder.iterdir():
                shutil.rmtree(path) if path.is_dir() else path.unlink()
            with whole_file(mark) as partial:
                partial.write_text(text)

    def pictures(self, number: int) -> Path:
        """Return the path of a part's pictures."""
        return self.folder / f"{number:06}.nut"

    def unfinished(self) -> Path:
        """Return where the pictures of a part are written until they are whole."""
        return self.folder / "unfinished.nut"

    def files(self) -> Path:
        """Return the folder of frames that are files of their own."""
        return self.folder / "frames"

    def keep(
        self, number: int, *, times: list[tuple[int, int]], frames: int, resume: int | None, state: State
    ) -> None:
        """Keep a part whose pictures are whole; ``resume`` is the time of the next frame, None: there is
        none."""
        if self.unfinished().is_file():
            self.unfinished().replace(self.pictures(number))
        with whole_file(self._state(number)) as partial, partial.open("wb") as file:
            np.savez(file, **_saved(state))
        with whole_file(self._times(number)) as partial:
            partial.write_text(json.dumps({"times": times, "frames": frames, "resume": resume}))
        self._state(number - 1).unlink(missing_ok=True)  # a megabyte, which only the next part needs

    def _state(self, number: int) -> Path:
        return self.folder / f"{number:06}.npz"

    def _times(self, number: int) -> Path:
        return self.folder / f"{number:06}.json"

    def done(self) -> Done:
        """Return the parts that are whole."""
        times: list[tuple[int, int]] = []
        found: list[Path] = []
        frames, resume, state = 0, None, None
        while (path := self._times(len(found))).is_file():
            saved = json.loads(path.read_text())
            times += [(time, duration) for time, duration in saved["times"]]
            frames, resume = frames + saved["frames"], saved["resume"]
            found.append(self.pictures(len(found)))
        if found:
            with np.load(self._state(len(found) - 1), allow_pickle=False) as arrays:
                state = _loaded(arrays)
        return Done(found, times, frames, resume, state)

    def remove(self) -> None:
        """Remove the folder; if that is cut short, what is left of it counts for nothing."""
        self.removed = True
        (self.folder / ABOUT).unlink(missing_ok=True)
        shutil.rmtree(self.folder, ignore_errors=True)


def fingerprint(path: Path) -> str:
    """Return what changes when a file, or a file in a folder, is changed."""
    files = sorted(path.iterdir()) if path.is_dir() else [path]
    seen = [(file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in files]
    return sha256(repr(seen).encode())


def _saved(state: State) -> dict[str, Any]:
    values = {field.name: getattr(state, field.name) for field in fields(State) if field.name != "border"}
    border = state.border
    sides = [] if border is None else [border.top, border.bottom, border.left, border.right]
    size = [] if border is None else [border.height, border.width]
    return values | {"border": np.array(sides, np.float64), "border_size": np.array(size, np.int64)}


def _loaded(saved: Mapping[str, Any]) -> State:
    border = None
    if saved["border"].size:
        height, width = map(int, saved["border_size"])
        border = Border(height, width, *(Edge(*map(float, side)) for side in saved["border"]))
    values = {
        field.name: saved[field.name] for field in fields(State) if field.name not in ("border", "since")
    }
    return State(**values, since=int(saved["since"]), border=border)

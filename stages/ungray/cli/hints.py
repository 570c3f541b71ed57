"""The hints of each photo of a run: those on the command line, of its hints file, from a reference photo."""

from __future__ import annotations

import os
from argparse import ArgumentTypeError, Namespace
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ungray.cli.inputs import Task, is_folder, look_at
from ungray.cli.outputs import UsageError
from ungray.errors import UngrayError

if TYPE_CHECKING:
    from ungray.colorizer import Colorizer
    from ungray.hints import Hint
    from ungray.imaging.color import Rgb
    from ungray.imaging.photo_files import Photo


SUFFIX = ".hints.json"
"""See :data:`ungray.hints.SUFFIX`, which takes long to import."""

LONGEST_NAME = 255
"""Bytes of a file's name, on all usual file systems."""


def parse_hint(text: str) -> Hint:
    """Return the hint of an option: "X,Y,#rrggbb" or "X,Y,#rrggbb,WEIGHT".

    Raises:
        ArgumentTypeError: it is none.
    """
    from ungray.hints import Hint  # imported here: few runs have one

    parts = [part.strip() for part in text.split(",")]
    try:
        x, y, color, *weight = parts
        return Hint(float(x), float(y), color, *map(float, weight))
    except (ValueError, TypeError) as error:
        why = f" ({error})" if isinstance(error, UngrayError) else ""
        raise ArgumentTypeError(
            f"{text} is no hint{why}; give X,Y,#rrggbb or X,Y,#rrggbb,WEIGHT, as 120,80,#aa3322"
        ) from None


@dataclass(frozen=True, kw_only=True)
class Known:
    """The hints of one photo, and ``sources``: where they are from, as text.

    ``unlike`` is the photo of --like if it has too little in common with this one to lend it colors.
    """

    hints: Sequence[Hint] = ()
    sources: tuple[str, ...] = ()
    unlike: str = ""


@dataclass(frozen=True, kw_only=True)
class HintSources:
    """Where the hints of a run's photos come from.

    ``given`` are those of --hint; ``file`` is that of --hints, or ``folder`` with a file per photo; without
    both a photo's hints file lies beside it. ``reference`` is the photo of --like, uint8 sRGB (height, width,
    3), ``reference_name`` its path.
    """

    given: tuple[Hint, ...] = ()
    file: Path | None = None
    folder: Path | None = None
    reference: Rgb | None = None
    reference_name: str = ""

    def of(self, task: Task, photo: Photo, colorizer: Colorizer) -> Known:
        """Return the hints of the photo of a task; where some overlap, those on the command line count.

        Raises:
            UngrayError: its hints file cannot be read or is for another photo, or the model takes no hints.
        """
        hints: list[Hint] = []
        sources: list[str] = []
        unlike = ""
        if self.reference is not None:
            from ungray.reference import hints_from_reference

            hints += hints_from_reference(colorizer, photo, self.reference)
            if hints:
                sources.append(self.reference_name)
            else:
                unlike = self.reference_name
        if path := self.file_of(task):
            from ungray.hints import read_hints

            hints += read_hints(path, width=photo.width, height=photo.height)
            sources.append(str(path))
            if not colorizer.takes_hints:
                raise UngrayError(
                    f"its hints file {path} is of no use: {colorizer.path} takes no hints; take another "
                    "--model, or move the file away"
                )
        if self.given:
            hints += self.given
            sources.append("--hint")
        return Known(hints=tuple(hints), sources=tuple(sources), unlike=unlike)

    def file_of(self, task: Task) -> Path | None:
        """Return the path of a photo's hints file; None if it has none.

        Raises:
            UngrayError: it cannot be accessed.
        """
        if self.file:
            return self.file
        if self.folder:
            path = self.folder / hints_name(task.below)
        elif task.kind == "file":
            path = hints_name(Path(task.photo))
        else:
            return None
        if len(os.fsencode(path.name)) > LONGEST_NAME:
            return None  # no file can have it, but the photo's own name is short enough
        try:
            return path if look_at(path) else None
        except UngrayError as error:
            raise UngrayError(f"its hints file {path} cannot be accessed: {error}") from None


def hints_name(photo: Path) -> Path:
    """Return the path of the hints file of ``photo`` beside it."""
    return photo.with_name(photo.stem + SUFFIX)


def hint_sources(chosen: Namespace, tasks: Sequence[Task]) -> HintSources:
    """Return where the hints of ``tasks`` come from, by the arguments of ``colorize``.

    Raises:
        UsageError: --hint or a hints file for several photos, or variants for a film.
        UngrayError: the file or folder of --hints, or the photo of --like, does not exist or cannot be read.
    """
    photos = len(tasks)
    film = next((task.photo for task in tasks if task.film), None)
    if chosen.variants and film:
        raise UsageError(f"--variants is for photos, and {film} is a film; color it alone, without it")
    folder = file = None
    if chosen.hints is not None:
        path = Path(chosen.hints)
        try:
            found = look_at(path)
        except UngrayError as error:
            raise UngrayError(f"--hints {path}: {error}") from None
        if not found:
            raise UngrayError(f"--hints {path}: not found; name a hints file, or a folder of them")
        folder, file = (path, None) if is_folder(path) else (None, path)
    if photos > 1 and file:
        raise UsageError(
            f"--hints {file} is for one photo, and there are {photos} photos; name a folder of hints files, "
            f"such as a{SUFFIX} for a.jpg"
        )
    if photos > 1 and chosen.hint:
        raise UsageError(
            f"--hint is for one photo, and there are {photos} photos; write a hints file for each"
        )
    reference = None
    if chosen.like is not None:
        from ungray.imaging import photos as reading

        try:
            reference = reading.read_rgb(Path(chosen.like))
        except OSError as error:
            raise UngrayError(f"--like {chosen.like}: {error.strerror}; name a photo in color") from None
        except UngrayError as error:
            raise UngrayError(f"--like {chosen.like}: {error}") from None
    sources = HintSources(
        given=tuple(chosen.hint or ()),
        file=file,
        folder=folder,
        reference=reference,
        reference_name=chosen.like or "",
    )
    if folder and tasks and not any(map(_has_file(sources), tasks)):
        wanted = folder / hints_name(tasks[0].below)
        raise UsageError(f"--hints {folder}: no hints file is there for any of these, such as {wanted}")
    return sources


def _has_file(sources: HintSources) -> Callable[[Task], bool]:
    def has_file(task: Task) -> bool:
        try:
            return sources.file_of(task) is not None
        except UngrayError:  # coloring it says so
            return True

    return has_file

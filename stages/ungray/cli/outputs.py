"""Where each output is written: next to its photo, under -o, or to standard output; never over another
photo."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from ungray.cli.inputs import PHOTOS, Task, find, identity, is_folder, is_pattern, look_at
from ungray.errors import UngrayError
from ungray.imaging.reading.formats import RAW_SUFFIXES

FORMATS = {".jpg": "jpg", ".jpeg": "jpg", ".png": "png", ".webp": "webp", ".tif": "tif", ".tiff": "tif"}
"""The extensions that can be written, and the format of each."""

OTHERS = {
    **dict.fromkeys((".jpe", ".jfif", ".mpo", ".heic", ".heif", ".hif"), ".jpg"),
    **dict.fromkeys((".avif", ".avifs"), ".webp"),
    **dict.fromkeys((".bmp", ".gif", ".jp2", ".j2k", ".jpx", ".j2c", ".jpf", ".jxl", ".psd"), ".png"),
    **dict.fromkeys(RAW_SUFFIXES, ".png"),
}
"""The extension of the output of a photo whose own extension cannot be written."""

BESIDE, COMPARED = "-colored", "-compare"


class UsageError(Exception):
    """The arguments make no sense together; exit code 2."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is to be done, in order; ``own`` is the number of photos left out as outputs of this command.

    ``passed`` is the number of files in folders whose extension is not a photo's, by extension.
    """

    tasks: list[Task]
    own: int = 0
    passed: Counter[str] = field(default_factory=Counter)


def plan(arguments: Sequence[str], *, output: str | None, format: str | None, compare: bool) -> Plan:
    """Find the photos that ``arguments`` name and give each an output path.

    Args:
        arguments: paths, folders, glob patterns, addresses, or "-".
        output: a file for one photo, a folder for several, "-" for standard output, None for next to the
            photo.
        format: jpg, png, webp or tif for all outputs; None keeps each photo's own.
        compare: whether outputs are comparisons, which have other names than colorings.

    Raises:
        UsageError: the arguments contradict each other, or the output cannot be accessed.
    """
    _check_names(arguments, output)
    folder = Path(output) if output not in (None, "-") and not _names_a_file(arguments, str(output)) else None
    tasks, passed = find(arguments, output=folder)
    if any(task.kind == "input" for task in tasks) and len(tasks) > 1:
        raise UsageError("- (standard input) is one photo, and nothing else can be colored with it")
    originals = _without_own_outputs(tasks)
    if folder:
        _check_folder(arguments, folder)
        named = [_named(t, folder / t.below.parent, COMPARED if compare else "", format) for t in originals]
    elif output == "-" or (output is None and arguments[0] == "-"):
        if len(originals) != 1:
            raise UsageError("-o - (standard output) takes one photo")
        named = [replace(originals[0], by_content=format is None)]
    elif output is not None:
        named = [replace(task, output=_one_file(Path(output), format)) for task in originals]
    else:
        tag = COMPARED if compare else BESIDE
        named = [_named(task, _home(task), tag, format) for task in originals]
    return Plan(tasks=_spare_sources(_apart(named)), own=len(tasks) - len(originals), passed=passed)


def _check_names(arguments: Sequence[str], output: str | None) -> None:
    # Path("") is the current folder: a script whose variable is empty would color all of it.
    if "" in arguments:
        raise UsageError("a PHOTO is an empty text; name a file or a folder (. is this one)")
    if output == "":
        raise UsageError("-o is an empty text; name a file or a folder (. is this one)")
    if output not in (None, "-"):
        try:
            look_at(Path(str(output)))
        except UngrayError as error:
            raise UsageError(f"-o {output} cannot be looked at: {error}; choose another") from None


def _names_a_file(arguments: Sequence[str], output: str) -> bool:
    """Return whether -o is a file: if there is one photo, unless -o is a folder or has no extension."""
    (first, *others) = arguments
    one = not others and not is_folder(Path(first)) and not is_pattern(first)
    path = Path(output)
    names_folder = output.endswith(("/", os.sep)) or is_folder(path) or (first != "-" and not path.suffix)
    return one and not names_folder


def _without_own_outputs(tasks: list[Task]) -> list[Task]:
    """Leave out outputs made from other photos of ``tasks``, or each run would color those of the last."""
    made = set()
    for task in tasks:
        if task.kind == "file" and not task.trouble:
            path = Path(task.photo)
            for stem in (path.stem, _with_extension(path)):
                made |= {path.parent / (stem + tag) for tag in (BESIDE, COMPARED)}
    return [
        task
        for task in tasks
        if task.kind != "file" or task.trouble or Path(task.photo).with_suffix("") not in made
    ]


def _check_folder(arguments: Sequence[str], folder: Path) -> None:
    there = identity(folder)
    if there and not is_folder(folder):
        raise UsageError(f"-o {folder} is a file; several photos need a folder")
    if not there and folder.suffix.lower() in PHOTOS:
        raise UsageError(f"-o {folder} reads like a photo; several photos need a folder")
    if there and there in {identity(Path(argument)) for argument in arguments}:
        raise UsageError(
            f"-o {folder} is the folder of the photos itself; without -o each is written beside its photo"
        )


def _one_file(output: Path, format: str | None) -> Path:
    written = FORMATS.get(output.suffix.lower())
    if written is None:
        raise UsageError(f"-o {output}: this extension is not written; use {', '.join(FORMATS)}")
    if format not in (None, written):
        raise UsageError(f"-o {output} and --format {format} contradict each other")
    return output


def _home(task: Task) -> Path:
    return Path(task.photo).parent if task.kind == "file" else Path()


def _named(task: Task, folder: Path, tag: str, format: str | None) -> Task:
    suffix = task.below.suffix
    known = suffix.lower() in PHOTOS
    stem = task.below.stem if known else task.below.name
    if format:
        suffix = f".{format}"
    elif known:
        suffix = OTHERS.get(suffix.lower(), suffix)
    else:
        suffix = ""
    return replace(task, output=folder / f"{stem}{tag}{suffix}", by_content=not suffix)


def _with_extension(path: Path) -> str:
    """Return the stem for a photo whose output would have the name of another's: a_png for a.png."""
    return f"{path.stem}_{path.suffix[1:]}" if path.suffix else path.name


def _apart(tasks: list[Task]) -> list[Task]:
    """Give outputs different names where they would share one, such as those of a.jpg and a.png."""
    holders: dict[Path, Task] = {}
    settled: dict[str, Task] = {}

    def kept(task: Task) -> bool:
        return task.output is not None and task.below.suffix == task.output.suffix

    # Those that keep their extension come first, so that their names do not depend on the others.
    for task in sorted((task for task in tasks if task.output and not task.trouble), key=kept, reverse=True):
        output = task.output or Path()
        holder = holders.get(output)
        if holder and holder.below.suffix != task.below.suffix:
            stem = _with_extension(task.below) + output.stem.removeprefix(task.below.stem)
            output = output.with_name(stem + output.suffix)
            holder = holders.get(output)
        task = replace(task, output=output)
        if holder:
            why = f"would be written to {output}, as {holder.photo} is"
            task = replace(task, trouble=f"{why}; name the folder above both, or another -o")
        holders.setdefault(output, task)
        settled[task.photo] = task
    return [settled.get(task.photo, task) for task in tasks]


def _spare_sources(tasks: list[Task]) -> list[Task]:
    """Refuse outputs that are themselves one of the photos, whatever link or spelling leads there."""
    sources = {identity(Path(task.photo)) for task in tasks if task.kind == "file"} - {None}
    return [
        replace(task, trouble=f"its output {task.output} is a photo itself; choose another -o")
        if task.output and not task.trouble and identity(task.output) in sources
        else task
        for task in tasks
    ]

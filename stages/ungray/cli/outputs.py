"""Where each output is written: next to its photo, under -o, or to standard output; never over another
photo."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from ungray.cli.inputs import PHOTOS, TAKEN, Task, find, identity, is_folder, is_pattern, look_at
from ungray.errors import UngrayError
from ungray.film.formats import ANIMATIONS
from ungray.film.formats import OUTPUTS as FILMS
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

BESIDE, COMPARED, PREVIEW = "-colored", "-compare", "-preview"


class UsageError(Exception):
    """The arguments make no sense together; exit code 2."""


MOST_VARIANTS = 12
"""The largest number of variants of one photo."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is to be done, in order; ``own`` is the number of photos left out as outputs of this command.

    ``passed`` is the number of files in folders whose extension is not a photo's, by extension.
    """

    tasks: list[Task]
    own: int = 0
    passed: Counter[str] = field(default_factory=Counter)


def plan(
    arguments: Sequence[str],
    *,
    output: str | None,
    format: str | None,
    compare: bool,
    frames: bool = False,
    preview: bool = False,
    variants: int = 0,
) -> Plan:
    """Find the photos that ``arguments`` name and give each an output path.

    Args:
        arguments: paths, folders, glob patterns, addresses, or "-".
        output: a file for one photo, a folder for several, "-" for standard output, None for next to the
            photo.
        format: jpg, png, webp or tif for all outputs; None keeps each photo's own.
        compare: whether outputs are comparisons, which have other names than colorings.
        frames: whether each folder is one film, of numbered frames.
        preview: whether only a part of each film is colored, under another name.
        variants: the number of outputs per photo, which are then numbered; see :func:`outputs_of`.

    Raises:
        UsageError: the arguments contradict each other, or the output cannot be accessed.
    """
    _check_names(arguments, output)
    named_file = output not in (None, "-") and _names_a_file(arguments, str(output), frames=frames)
    folder = Path(output) if output not in (None, "-") and not named_file else None
    tasks, passed = find(arguments, output=folder, frames=frames)
    if any(task.kind == "input" for task in tasks) and len(tasks) > 1:
        raise UsageError("- (standard input) is one photo, and nothing else can be colored with it")
    originals = _without_own_outputs(tasks)
    if folder and frames and len(tasks) == 1:
        _check_folder(arguments, folder)
        named = [replace(task, output=folder) for task in originals]
    elif folder:
        _check_folder(arguments, folder)
        named = [_named(t, folder / t.below.parent, COMPARED if compare else "", format) for t in originals]
    elif output == "-" or (output is None and arguments[0] == "-"):
        if len(originals) != 1:
            raise UsageError("-o - (standard output) takes one photo")
        if originals[0].film:
            raise UsageError("a film is written to a file; name one with -o")
        named = [replace(originals[0], by_content=format is None)]
    elif output is not None:
        named = [replace(task, output=_one_file(Path(output), format, task)) for task in originals]
    else:
        tag = PREVIEW if preview else COMPARED if compare else BESIDE
        named = [_named(task, _home(task), tag, format) for task in originals]
    spared = _spare_sources(_apart(named), variants)
    return Plan(tasks=spared, own=len(tasks) - len(originals), passed=passed)


def outputs_of(output: Path, variants: int) -> list[Path]:
    """Return the paths of all outputs of a photo: ``output`` itself or, of a number of variants, NAME-1,
    NAME-2 and so on."""
    if not variants:
        return [output]
    return [output.with_name(f"{output.stem}-{number}{output.suffix}") for number in range(1, variants + 1)]


def _check_names(arguments: Sequence[str], output: str | None) -> None:
    # Path("") is the current folder: a script whose variable is empty would color all of it.
    if "" in arguments:
        raise UsageError("a PHOTO is empty; name a file or a folder (. is this one)")
    if output == "":
        raise UsageError("-o is empty; name a file or a folder (. is this one)")
    if output not in (None, "-"):
        try:
            look_at(Path(str(output)))
        except UngrayError as error:
            raise UsageError(f"-o {output} cannot be accessed: {error}; choose another") from None


def _names_a_file(arguments: Sequence[str], output: str, *, frames: bool) -> bool:
    """Return whether -o is a file: if there is one photo, unless -o is a folder or has no extension."""
    (first, *others) = arguments
    if frames:  # each a folder
        return not others and Path(output).suffix.lower() in FILMS and not output.endswith(("/", os.sep))
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
                numbers = ["", *(f"-{number}" for number in range(1, MOST_VARIANTS + 1))]
                tags = [PREVIEW, *(tag + number for tag in (BESIDE, COMPARED) for number in numbers)]
                made |= {path.parent / (stem + tag) for tag in tags}
    return [
        task
        for task in tasks
        if task.kind != "file" or task.trouble or Path(task.photo).with_suffix("") not in made
    ]


def _check_folder(arguments: Sequence[str], folder: Path) -> None:
    there = identity(folder)
    if there and not is_folder(folder):
        raise UsageError(f"-o {folder} is a file; several photos need a folder")
    if not there and folder.suffix.lower() in TAKEN:
        kind = "photo" if folder.suffix.lower() in PHOTOS else "film"
        raise UsageError(f"-o {folder} has the name of a {kind}; several {kind}s need a folder")
    if there and there in {identity(Path(argument)) for argument in arguments}:
        raise UsageError(
            f"-o {folder} is the folder of the photos itself; without -o each is written next to its photo"
        )


def _one_file(output: Path, format: str | None, task: Task) -> Path:
    if task.film:
        return _one_film(output, task)
    written = FORMATS.get(output.suffix.lower())
    if written is None:
        raise UsageError(f"-o {output}: this format cannot be written; use {', '.join(FORMATS)}")
    if format not in (None, written):
        raise UsageError(f"-o {output} and --format {format} contradict each other")
    return output


def _one_film(output: Path, task: Task) -> Path:
    own = task.below.suffix.lower()
    names = (*FILMS, *([own] if own in ANIMATIONS else []))
    if output.suffix.lower() not in names:
        raise UsageError(
            f"-o {output}: this extension is not written of {task.photo}; use {', '.join(names)}"
        )
    return output


def _home(task: Task) -> Path:
    return Path(task.photo).parent if task.kind == "file" else Path()


def _named(task: Task, folder: Path, tag: str, format: str | None) -> Task:
    if task.film:
        return replace(task, output=folder / _film_name(task, tag))
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


def _film_name(task: Task, tag: str) -> str:
    """Return the name of the output of a film; a folder of frames gives a folder."""
    suffix = task.below.suffix
    if suffix.lower() in (*FILMS, *ANIMATIONS):
        return f"{task.below.stem}{tag}{suffix}"
    if is_folder(Path(task.photo)):
        return f"{task.below.name}{tag}"
    return f"{task.below.stem}{tag}.mkv"


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


def _spare_sources(tasks: list[Task], variants: int) -> list[Task]:
    """Refuse outputs that are themselves one of the photos, whatever link or spelling leads there."""
    sources = {identity(Path(task.photo)) for task in tasks if task.kind == "file"} - {None}
    spared = []
    for task in tasks:
        outputs = outputs_of(task.output, variants) if task.output and not task.trouble else []
        own = next((output for output in outputs if identity(output) in sources), None)
        why = f"its output {own} is a photo itself; choose another -o"
        spared.append(replace(task, trouble=why) if own else task)
    return spared

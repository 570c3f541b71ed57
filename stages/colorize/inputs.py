"""What to colour and where to write it: files, folders, globs, addresses, standard input."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal
from urllib.parse import unquote, urlsplit

PHOTOS = {".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".webp", ".tif", ".tiff", ".bmp", ".gif"}
"""Extensions by which photos are found in folders and by patterns; a file that is named is always tried."""

FORMATS = {".jpg": "jpg", ".jpeg": "jpg", ".png": "png", ".webp": "webp", ".tif": "tif", ".tiff": "tif"}
"""The extensions that can be written, and the format that each asks for."""

OTHERS = {".jpe": ".jpg", ".jfif": ".jpg", ".mpo": ".jpg", ".bmp": ".png", ".gif": ".png"}
"""The extension that a photo gets whose own is not written."""

BESIDE, COMPARED = "-coloured", "-compare"


class UsageError(Exception):
    """What was asked for makes no sense as a whole; exit code 2."""


@dataclass(frozen=True, kw_only=True)
class Task:
    """A photo and where it goes.

    ``photo`` is what the user calls it: a path, an address, or - for standard input. ``below`` is its path
    below the folder that was named, its name alone otherwise. ``output`` is None for standard output; it has
    no extension yet where only the content tells (``by_content``). ``trouble`` says why there will be none.
    """

    photo: str
    kind: Literal["file", "address", "input"]
    below: Path
    output: Path | None = None
    by_content: bool = False
    trouble: str = ""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is to be done, in order; ``own`` counts what was left alone as an output of this command."""

    tasks: list[Task]
    own: int = 0


def plan(arguments: Sequence[str], *, output: str | None, format: str | None, compare: bool) -> Plan:
    """Find the photos that ``arguments`` name and give each a name to be written under.

    Args:
        arguments: paths, folders, glob patterns, addresses, or "-".
        output: a file for one photo, a folder for several, "-" for standard output, None: beside the photo.
        format: jpg, png, webp or tif for all outputs; None keeps each photo's own.
        compare: whether outputs are comparisons; those in folders bear another name than colourings.

    Raises:
        UsageError: arguments that contradict each other.
    """
    folder = Path(output) if output not in (None, "-") and not _names_a_file(arguments, str(output)) else None
    tasks = _each_once(task for argument in arguments for task in _find(argument, arguments, folder))
    if any(task.kind == "input" for task in tasks) and len(tasks) > 1:
        raise UsageError("- (standard input) is one photo, and nothing else can be coloured with it")
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
    return Plan(tasks=_spare_sources(_apart(named)), own=len(tasks) - len(originals))


def _names_a_file(arguments: Sequence[str], output: str) -> bool:
    """Say whether -o is a file: for one photo, unless it is a folder or has no extension."""
    (first, *others) = arguments
    one = not others and not Path(first).is_dir() and not _is_glob(first)
    path = Path(output)
    is_folder = output.endswith(("/", os.sep)) or path.is_dir() or (first != "-" and not path.suffix)
    return one and not is_folder


def _find(argument: str, arguments: Sequence[str], output: Path | None) -> Iterator[Task]:
    if argument == "-":
        yield Task(photo="-", kind="input", below=Path("stdin"))
    elif re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", argument):
        yield _address(argument)
    elif Path(argument).is_dir():
        # Several folders stay apart below -o, as they would with cp -r.
        top = Path(Path(argument).resolve().name if len(arguments) > 1 else "")
        found = [_file(path, top / path.relative_to(argument)) for path in _walk(Path(argument), output)]
        yield from found or [_missing(argument, "no photo in this folder")]
    elif _is_glob(argument):
        top = Path(*_plain_parts(argument))
        names = sorted(Path(name) for name in glob.glob(argument, recursive=True))  # noqa: PTH207
        paths = [path for name in names for path in ([name] if name.is_file() else _walk(name, output))]
        own = output.resolve() if output and output.resolve() != top.resolve() else None
        found = [
            _file(path, path.relative_to(top))
            for path in paths
            if path.suffix.lower() in PHOTOS and own not in path.resolve().parents
        ]
        yield from found or [_missing(argument, "no photo matches this pattern")]
    elif not os.path.lexists(argument):
        yield _missing(argument, "not found")
    else:
        yield _file(Path(argument), Path(Path(argument).name))


def _is_glob(argument: str) -> bool:
    return glob.has_magic(argument) and not os.path.lexists(argument) and "://" not in argument


def _plain_parts(pattern: str) -> Iterator[str]:
    for part in Path(pattern).parts[:-1]:
        if glob.has_magic(part):
            return
        yield part


def _file(path: Path, below: Path) -> Task:
    return Task(photo=str(path), kind="file", below=below)


def _missing(argument: str, why: str) -> Task:
    return Task(photo=argument, kind="file", below=Path("missing"), trouble=why)


def _address(url: str) -> Task:
    """Return the task of an address; its name comes from its last part, as far as it is safe in a path."""
    try:
        parts = urlsplit(url)
        name = unquote(parts.path).rstrip("/").rpartition("/")[2] or parts.hostname or ""
    except ValueError:  # fetching will say what is wrong with it
        parts, name = None, ""
    name = re.sub(r"[^\w. -]+", "_", name).strip(". ")[-100:] or "photo"
    task = Task(photo=url, kind="address", below=Path(name))
    if parts and parts.scheme.lower() == "file":
        return replace(task, trouble="only http and https addresses are fetched; name a file by its path")
    return task


def _walk(top: Path, output: Path | None) -> Iterator[Path]:
    """Yield the photos in a folder and below it, sorted; not those in hidden folders or in ``output``."""
    if not top.is_dir():
        return
    own = output.resolve() if output else None
    for folder, folders, names in os.walk(top):
        here = Path(folder)
        folders[:] = sorted(
            name for name in folders if not name.startswith(".") and (here / name).resolve() != own
        )
        for name in sorted(names):
            # Names with a dot in front: metadata of macOS, and what a killed run left half-written.
            path = here / name
            # Not pipes, which would be waited for; links that lead nowhere are told in the end.
            a_file = path.is_file() or not path.exists()
            if a_file and path.suffix.lower() in PHOTOS and not name.startswith("."):
                yield path


def _each_once(tasks: Iterable[Task]) -> list[Task]:
    """Leave out what was named twice, such as a folder and a photo in it."""
    by_photo: dict[str, Task] = {}
    for task in tasks:
        # Not Path.resolve: a link beside a photo is a photo of its own.
        name = os.path.abspath(task.photo) if task.kind == "file" else task.photo  # noqa: PTH100
        by_photo.setdefault(name, task)
    return list(by_photo.values())


def _without_own_outputs(tasks: list[Task]) -> list[Task]:
    """Leave out what this command made of other photos of ``tasks``, or each run would colour the last."""
    made = set()
    for task in tasks:
        if task.kind == "file" and not task.trouble:
            path = Path(task.photo)
            for stem in (path.stem, _with_extension(path)):
                made |= {path.parent / (stem + tag) for tag in (BESIDE, COMPARED)}
    return [task for task in tasks if task.kind != "file" or Path(task.photo).with_suffix("") not in made]


def _check_folder(arguments: Sequence[str], folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"-o {folder} is a file; several photos need a folder")
    if not folder.is_dir() and folder.suffix.lower() in PHOTOS:
        raise UsageError(f"-o {folder} reads like a photo; several photos need a folder")
    for argument in arguments:
        if Path(argument).is_dir() and folder.resolve() == Path(argument).resolve():
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
    """Return the stem that a photo gets whose output would have the name of another's: a.png is a_png."""
    return f"{path.stem}_{path.suffix[1:]}" if path.suffix else path.name


def _apart(tasks: list[Task]) -> list[Task]:
    """Give photos whose outputs would have one name, such as a.jpg and a.png, a name each."""
    holders: dict[Path, Task] = {}
    settled: dict[str, Task] = {}

    def kept(task: Task) -> bool:
        return task.output is not None and task.below.suffix == task.output.suffix

    # Those that keep their extension first: their names do not hang on which others are there.
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
    """Refuse outputs that are one of the photos themselves, whatever link or spelling leads there."""
    sources = {_identity(Path(task.photo)) for task in tasks if task.kind == "file"} - {None}
    return [
        replace(task, trouble=f"its output {task.output} is a photo itself; choose another -o")
        if task.output and not task.trouble and _identity(task.output) in sources
        else task
        for task in tasks
    ]


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        about = path.stat()
    except OSError:
        return None
    return about.st_dev, about.st_ino

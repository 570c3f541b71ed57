"""What to color: files, folders, patterns, addresses, standard input."""

from __future__ import annotations

import fnmatch
import glob
import os
import re
import stat
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal
from urllib.parse import unquote, urlsplit

from ungray.errors import UngrayError
from ungray.film.formats import FILMS, is_animation
from ungray.imaging.reading.formats import SUFFIXES as PHOTOS  # a file that the user names is always tried

TAKEN = frozenset((*PHOTOS, *FILMS))
"""The extensions that are taken in folders."""


@dataclass(frozen=True, kw_only=True)
class Task:
    """A photo and where its output goes.

    ``photo`` is what the user named: a path, an address, or - for standard input. ``below`` is its path
    relative to the folder that was named, else its file name. ``output`` is None for standard output; it has
    no extension yet if only the content determines it (``by_content``). ``trouble`` says why there will be no
    output. ``film`` is whether it is a film: a file, or a folder of frames.
    """

    photo: str
    kind: Literal["file", "address", "input"]
    below: Path
    output: Path | None = None
    by_content: bool = False
    trouble: str = ""
    film: bool = False


def find(
    arguments: Sequence[str], *, output: Path | None, frames: bool = False
) -> tuple[list[Task], Counter[str]]:
    """Return the photos that ``arguments`` name, each once, including those that could not be accessed.

    Args:
        arguments: paths, folders, glob patterns, addresses, or "-".
        output: a folder, existing or not, that is not searched for photos.
        frames: whether each folder is one film, of numbered frames.

    Returns:
        The photos, and the number of files passed over in folders, by extension in lower case.
    """
    passed: set[Path] = set()
    tasks = _each_once(
        task
        for argument in arguments
        for task in ([_frames(argument)] if frames else _find(argument, arguments, output, passed))
    )
    return tasks, kinds(passed)


def kinds(paths: Iterable[Path]) -> Counter[str]:
    """Return the number of paths by extension, in lower case."""
    return Counter(path.suffix.lower() or "no extension" for path in paths)


def named(passed: Counter[str]) -> str:
    """Return the number of files of each kind as text, the most frequent first: 2 .txt, 1 .pdf."""
    return ", ".join(
        f"{count} {kind}" for kind, count in sorted(passed.items(), key=lambda one: (-one[1], one[0]))
    )


def look_at(path: Path) -> os.stat_result | None:
    """Return the status of a path, following links; None if nothing is there.

    Raises:
        UngrayError: it cannot be accessed; a few words say why, such as a locked folder above, a name that is
            too long, or a cycle of links.
    """
    try:
        return path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise UngrayError(error.strerror or str(error)) from None


def is_folder(path: Path) -> bool:
    """Return whether a path is a folder, or a link to one; False if it cannot be accessed."""
    try:
        there = look_at(path)
    except UngrayError:
        return False
    return there is not None and stat.S_ISDIR(there.st_mode)


def identity(path: Path) -> tuple[int, int] | None:
    """Return what identifies a file or folder, whatever links lead there; None if it cannot be accessed."""
    try:
        there = look_at(path)
    except UngrayError:
        return None
    return (there.st_dev, there.st_ino) if there else None


def is_pattern(argument: str) -> bool:
    """Return whether an argument is a glob pattern; the name of an existing file is none."""
    return glob.has_magic(argument) and not os.path.lexists(argument) and "://" not in argument


def _find(argument: str, arguments: Sequence[str], output: Path | None, passed: set[Path]) -> Iterator[Task]:
    path = Path(argument)
    if argument == "-":
        yield Task(photo="-", kind="input", below=Path("stdin"))
        return
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", argument):
        yield _address(argument)
        return
    try:
        look_at(path)
    except UngrayError as error:
        yield _missing(argument, str(error))
        return
    search = Search(output)
    if is_folder(path):
        # Several folders stay separate below -o, as with cp -r.
        top = Path(path.resolve().name if len(arguments) > 1 else "")
        found = [_file(photo, top / photo.relative_to(path)) for photo in search.below(path)]
        yield from [*found, *search.troubles] or [search.nothing(argument, "no photo in this folder")]
    elif is_pattern(argument):
        plain = Path(*_plain_parts(argument))
        parts = path.parts[len(plain.parts) :]
        # As in a shell, a slash at the end matches folders only.
        matches = search.matching(plain, [*parts, ""] if argument.endswith("/") else parts)
        found = [_file(photo, photo.relative_to(plain)) for photo in sorted(matches)]
        yield from [*found, *search.troubles] or [search.nothing(argument, "no photo matches this pattern")]
    elif not os.path.lexists(argument):
        yield _missing(argument, "not found")
    else:
        yield _file(path, Path(path.name))
    passed |= search.passed


def _plain_parts(pattern: str) -> Iterator[str]:
    for part in Path(pattern).parts[:-1]:
        if glob.has_magic(part):
            return
        yield part


def _file(path: Path, below: Path) -> Task:
    film = path.suffix.lower() in FILMS or is_animation(path)
    return Task(photo=str(path), kind="file", below=below, film=film)


def _frames(argument: str) -> Task:
    """Return the task of a folder of numbered frames."""
    path = Path(argument)
    if not is_folder(path):
        return _missing(argument, "--frames takes folders of numbered frames, and this is none")
    name = Path(path.resolve().name or "frames")
    return Task(photo=str(path), kind="file", below=name, film=True)


def _missing(argument: str, why: str) -> Task:
    return Task(photo=argument, kind="file", below=Path("missing"), trouble=why)


def _address(url: str) -> Task:
    """Return the task of an address; its name is the last part, without what is unsafe in a path."""
    try:
        parts = urlsplit(url)
        name = unquote(parts.path).rstrip("/").rpartition("/")[2] or parts.hostname or ""
    except ValueError:  # fetching will report what is wrong with it
        parts, name = None, ""
    name = re.sub(r"[^\w. -]+", "_", name).strip(". ")[-100:] or "photo"
    task = Task(photo=url, kind="address", below=Path(name))
    if parts and parts.scheme.lower() == "file":
        return replace(task, trouble="only http and https addresses are fetched; name a file by its path")
    return task


class Search:
    """Looks for photos in folders and by patterns, but not in hidden folders or in ``output``.

    ``troubles`` has what could not be accessed. A link to a folder is followed if the user names it or a part
    of a pattern such as * matches it; others are not followed (``linked``), since links can form cycles.
    ``passed`` has the files whose extension is not a photo's.
    """

    def __init__(self, output: Path | None) -> None:
        self.own = identity(output) if output else None
        self.passed: set[Path] = set()
        self.troubles: list[Task] = []
        self.linked = False

    def nothing(self, argument: str, why: str) -> Task:
        """Return the failed task of an argument that gave no photo."""
        others = f" (but {named(kinds(self.passed))})" if self.passed else ""
        return _missing(argument, why + others + "; linked folders are not followed: name them" * self.linked)

    def below(self, top: Path) -> Iterator[Path]:
        """Yield the photos in a folder and below it, sorted in each folder."""
        for folder, folders, names in os.walk(top, onerror=self._unread):
            here = Path(folder)
            folders[:] = [name for name in sorted(folders) if self._enters(here / name)]
            # Names that start with a dot: metadata of macOS, and half-written files of a killed run.
            for name in sorted(names):
                if not name.startswith("."):
                    yield from self._photo(here / name)

    def matching(self, folder: Path, parts: Sequence[str]) -> Iterator[Path]:
        """Yield the photos below ``folder`` that the ``parts`` of a pattern match, and those in folders that
        they match; some twice."""
        if not parts:
            yield from self.below(folder) if is_folder(folder) else self._photo(folder)
            return
        part, *rest = parts
        if part == "**":
            yield from self.matching(folder, rest)
            for path, real_folder in self._inside(folder) if rest else ():
                if (real_folder or is_folder(path)) and self._enters(path):
                    yield from self.matching(path, parts)
        elif glob.has_magic(part):
            for path, real_folder in self._inside(folder):
                hidden = path.name.startswith(".") and not part.startswith(".")
                if fnmatch.fnmatch(path.name, part) and not hidden and not self._is_own(path):
                    yield from self._further(path, rest, real_folder=real_folder)
        elif self._is_there(folder / part):
            yield from self._further(folder / part, rest)

    def _further(self, path: Path, rest: Sequence[str], *, real_folder: bool = False) -> Iterator[Path]:
        if not rest or real_folder or is_folder(path):
            yield from self.matching(path, rest)
        elif path.suffix.lower() not in TAKEN and os.path.islink(path):  # noqa: PTH114, see _enters
            yield from self._photo(path)  # it may have led to a folder

    def _inside(self, folder: Path) -> list[tuple[Path, bool]]:
        """Return the entries of a folder, sorted, and whether each is a folder itself, not a link to one."""
        try:
            with os.scandir(folder) as entries:
                return sorted((folder / entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries)
        except (FileNotFoundError, NotADirectoryError):  # the plain part of a pattern
            return []
        except OSError as error:
            self._unread(error)
            return []

    def _enters(self, folder: Path) -> bool:
        """Return whether to search a folder that was found in a search."""
        if folder.name.startswith(".") or self._is_own(folder):
            return False
        # Not Path.is_symlink, which raises where the folder above is locked.
        linked = os.path.islink(folder)  # noqa: PTH114
        self.linked |= linked
        return not linked

    def _is_own(self, path: Path) -> bool:
        return self.own is not None and identity(path) == self.own

    def _is_there(self, path: Path) -> bool:
        try:
            path.lstat()
        except (FileNotFoundError, NotADirectoryError):
            return False
        except OSError as error:  # the folder is not readable, so the path may or may not exist
            self.troubles.append(_missing(str(path.parent), f"cannot be searched: {error.strerror}"))
            return False
        return True

    def _photo(self, path: Path) -> Iterator[Path]:
        """Yield a path if it is a photo; a broken link is a trouble."""
        if path.suffix.lower() not in TAKEN and not os.path.islink(path):  # noqa: PTH114, see _enters
            self.passed.add(path)
            return
        try:
            there, why = look_at(path), "not found"
        except UngrayError as error:
            there, why = None, str(error)
        if there is None:
            self.troubles.append(_missing(str(path), why))
        elif path.suffix.lower() not in TAKEN:
            self.passed.add(path)
        elif stat.S_ISREG(there.st_mode):  # not a pipe, to which nobody may ever write
            yield path

    def _unread(self, error: OSError) -> None:
        self.troubles.append(_missing(str(error.filename), f"cannot be read: {error.strerror}"))


def _each_once(tasks: Iterable[Task]) -> list[Task]:
    """Leave out what was named twice, such as a folder and a photo in it, also through links to folders."""
    real: dict[Path, str] = {}
    by_photo: dict[str, Task] = {}
    for task in tasks:
        name = task.photo
        if task.kind == "file":
            # The folder is resolved, the photo is not: a link to a photo is a photo of its own.
            path = Path(task.photo)
            if path.parent not in real:
                real[path.parent] = os.path.realpath(path.parent)
            name = f"{real[path.parent]}/{path.name}"
        by_photo.setdefault(name, task)
    return list(by_photo.values())

"""Files and folders that appear whole or not at all, whoever else writes there, and their checksums."""

from __future__ import annotations

import errno
import hashlib
import itertools
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

LONGEST = 120
"""Bytes that a temporary name may have of its target's: a name of 255 bytes leaves no room for more."""


@contextmanager
def whole_file(path: Path, *, replace: bool = True) -> Iterator[Path]:
    """Yield the path of an empty file; what was written there becomes ``path`` when the block ends well.

    Readers see the old file or the new one, never half of it; on an error the old file stays. Processes and
    threads may write one ``path`` at once: each has a file of its own, and the last to end wins. What a
    killed one left behind is used again by the next.

    Where ``replace`` is false, a file that stands at ``path`` by then stays, and what was written goes.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with _place_beside(path, folder=False) as partial:
        try:
            yield partial
            with partial.open("rb") as written:
                os.fsync(written.fileno())
            if replace:
                partial.replace(path)
            else:
                _link(partial, path)
        except BaseException:
            partial.unlink(missing_ok=True)
            raise


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """Yield an empty temporary folder beside ``path``; it replaces ``path`` when the block ends well.

    As :func:`whole_file`, but that for a moment there may be neither the old folder nor the new one.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with _place_beside(path, folder=True) as partial:
        old = partial.with_name(f"{partial.name}.old")
        for left in (old, *partial.iterdir()):
            _remove(left)
        try:
            yield partial
            _put(partial, path, old=old)
        except BaseException:
            _remove(partial)
            raise
        _remove(old)


def _link(partial: Path, path: Path) -> None:
    """Make ``partial`` appear as ``path`` unless there is a file."""
    try:
        path.hardlink_to(partial)
    except FileExistsError:
        pass
    except OSError:  # a file system without hard links
        if not path.exists():
            partial.replace(path)
    partial.unlink(missing_ok=True)


def _put(folder: Path, path: Path, *, old: Path) -> None:
    """Make ``folder`` stand at ``path``; what stands there goes to ``old``, in one piece."""
    while True:
        try:
            with suppress(FileNotFoundError):
                path.rename(old)
            folder.rename(path)
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                with suppress(OSError):
                    old.rename(path)
                raise
            _remove(old)  # another process has put its own there, or not yet removed what it put aside
        else:
            return


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


@contextmanager
def _place_beside(path: Path, *, folder: bool) -> Iterator[Path]:
    """Yield a hidden file or folder beside ``path`` that this block alone has; made if it was not there.

    The first of a row of names that nobody holds is taken, so that what a kill left behind is found again.
    Where the system cannot lock files, it is a name that nobody has.
    """
    for number in itertools.count():
        place = path.with_name(_name(path, f".{number}" if number else "", folder=folder))
        try:
            held = _hold(place, folder=folder)
        except BlockingIOError:
            continue
        except OSError as error:
            if error.errno not in (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS, errno.EINVAL):
                raise
            held = None
            _remove(place)  # nobody writes there
        break
    if held is None:
        place = path.with_name(_name(path, f".{secrets.token_hex(8)}", folder=folder))
        if folder:
            place.mkdir()
        else:
            place.touch()
    elif not folder:
        os.truncate(held, 0)
    try:
        yield place
    finally:
        if held is not None:
            os.close(held)


def _hold(place: Path, *, folder: bool) -> int | None:
    """Return the descriptor by which this block holds a file or folder; None where there are no locks.

    Raises:
        BlockingIOError: another one holds it.
        OSError: it cannot be made, or not be locked.
    """
    if fcntl is None:
        return None
    while True:
        if folder:
            with suppress(FileExistsError):  # exist_ok looks at what is there, which may be gone by then
                place.mkdir()
        flags = os.O_RDONLY | os.O_DIRECTORY if folder else os.O_RDWR | os.O_CREAT
        try:
            held = os.open(place, flags | os.O_CLOEXEC, 0o666)
        except FileNotFoundError:
            continue  # it has just become somebody's target
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            now, there = os.fstat(held), place.stat()
            if (now.st_dev, now.st_ino) == (there.st_dev, there.st_ino):
                return held
        except FileNotFoundError:
            pass
        except BaseException:
            os.close(held)
            raise
        os.close(held)  # while we took it, it became somebody's target


def _name(path: Path, mark: str, *, folder: bool) -> str:
    stem, suffix = (path.name, "") if folder else (path.stem, path.suffix)
    if len(os.fsencode(path.name)) > LONGEST:
        # The start is enough to find what belongs to a photo, the checksum tells names apart.
        start = os.fsencode(stem)[: LONGEST // 2].decode(errors="ignore")
        stem = f"{start}-{sha256(os.fsencode(path.name))[:8]}"
        suffix = suffix if len(os.fsencode(suffix)) < 20 else ""
    return f".{stem}{mark}.partial{suffix}"


def sha256(content: bytes | memoryview) -> str:
    """Return the SHA-256 of ``content``: 64 hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()


def main_checkout(start: Path) -> Path:
    """Return the checkout that ``start`` belongs to; a DVC experiment's temporary folder is its parent's."""
    start = start.resolve()
    for parent in start.parents:
        if parent.name == ".dvc" and start.is_relative_to(parent / "tmp"):
            return parent.parent
    return start

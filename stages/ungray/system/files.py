"""Atomic writing of files and folders, safe with concurrent writers; checksums."""

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

MAX_STEM = 120
"""Bytes of the target's name that a temporary name may contain, to stay below 255 bytes in total."""

UNLOCKABLE = (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS, errno.EINVAL)
"""The error numbers of a file system that cannot lock files."""


@contextmanager
def whole_file(path: Path, *, replace: bool = True) -> Iterator[Path]:
    """Yield the path of an empty temporary file, which becomes ``path`` when the block ends without an error.

    Readers see the old file or the new one, never a half-written one; after an error the old file remains.
    Several processes and threads may write the same ``path``: each has its own temporary file, and the last
    one to finish wins. The temporary file that a killed process left behind is reused by the next one.

    If ``replace`` is false and ``path`` exists in the end, it remains, and what was written is discarded.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with _temporary(path, folder=False) as partial:
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
    """Yield an empty temporary folder, which replaces ``path`` when the block ends without an error.

    As :func:`whole_file`, except that for a moment neither the old folder nor the new one exists.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with _temporary(path, folder=True) as partial:
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
    """Move ``partial`` to ``path`` unless that exists."""
    try:
        path.hardlink_to(partial)
    except FileExistsError:
        pass
    except OSError:  # a file system without hard links
        if not path.exists():
            partial.replace(path)
    partial.unlink(missing_ok=True)


def _put(folder: Path, path: Path, *, old: Path) -> None:
    """Move ``folder`` to ``path``; an existing folder there is moved to ``old`` first."""
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
            _remove(old)  # another process has moved its folder there, or has not yet removed the old one
        else:
            return


def _remove(path: Path) -> None:
    try:  # not looked at first: another process may move a folder there in between
        path.unlink(missing_ok=True)
    except IsADirectoryError:
        shutil.rmtree(path, ignore_errors=True)
    except PermissionError:  # what macOS says of a folder
        if not path.is_dir():
            raise
        shutil.rmtree(path, ignore_errors=True)


@contextmanager
def _temporary(path: Path, *, folder: bool) -> Iterator[Path]:
    """Yield a hidden file or folder next to ``path``, locked for this block; created if it doesn't exist.

    Numbered names are tried in order and the first one without a lock is used, so that what a killed process
    left behind is reused. If the system cannot lock files, the name is random.
    """
    for number in itertools.count():
        temporary = path.with_name(_name(path, f".{number}" if number else "", folder=folder))
        try:
            descriptor = lock(temporary, folder=folder)
        except BlockingIOError:
            continue
        except OSError as error:
            if error.errno not in UNLOCKABLE:
                raise
            descriptor = None
            _remove(temporary)  # nobody writes there
        break
    if descriptor is None:
        temporary = path.with_name(_name(path, f".{secrets.token_hex(8)}", folder=folder))
        if folder:
            temporary.mkdir()
        else:
            temporary.touch()
    elif not folder:
        os.truncate(descriptor, 0)
    try:
        yield temporary
    finally:
        if descriptor is not None:
            os.close(descriptor)


def lock(path: Path, *, folder: bool) -> int | None:
    """Create and lock a file or folder; return its open descriptor, None on systems without locks.

    The lock ends when the descriptor is closed, as by the end of the process.

    Raises:
        BlockingIOError: another process or block has locked it.
        OSError: it cannot be created or locked.
    """
    if fcntl is None:
        return None
    while True:
        if folder:
            with suppress(FileExistsError):  # exist_ok would check the path again, which may be gone
                path.mkdir()
        flags = os.O_RDONLY | os.O_DIRECTORY if folder else os.O_RDWR | os.O_CREAT
        try:
            descriptor = os.open(path, flags | os.O_CLOEXEC, 0o666)
        except FileNotFoundError:
            continue  # another process has just moved it to its target
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            opened, current = os.fstat(descriptor), path.stat()
            if (opened.st_dev, opened.st_ino) == (current.st_dev, current.st_ino):
                return descriptor
        except FileNotFoundError:
            pass
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)  # while it was being locked, another process moved it to its target


def _name(path: Path, mark: str, *, folder: bool) -> str:
    stem, suffix = (path.name, "") if folder else (path.stem, path.suffix)
    if len(os.fsencode(path.name)) > MAX_STEM:
        stem = shortened(path.name)
        suffix = suffix if len(os.fsencode(suffix)) < 20 else ""
    return f".{stem}{mark}.partial{suffix}"


def shortened(name: str) -> str:
    """Return a file's name, or its start and a checksum if the name is too long to become a part of another.

    The start is enough to find the files of a photo; the checksum makes the name unique.
    """
    if len(os.fsencode(name)) <= MAX_STEM:
        return name
    start = os.fsencode(name)[: MAX_STEM // 2].decode(errors="ignore")
    return f"{start}-{sha256(os.fsencode(name))[:8]}"


def sha256(content: bytes | memoryview) -> str:
    """Return the SHA-256 of ``content``: 64 hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()


def main_checkout(start: Path) -> Path:
    """Return the checkout that ``start`` belongs to; for a DVC experiment's temporary copy, the main one."""
    start = start.resolve()
    for parent in start.parents:
        if parent.name == ".dvc" and start.is_relative_to(parent / "tmp"):
            return parent.parent
    return start

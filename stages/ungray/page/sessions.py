"""Visitors' sessions: a folder per session for its files, how much it may hold, and how it is deleted."""

from __future__ import annotations

import os
import secrets
import shutil
import threading
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ungray.errors import UngrayError
from ungray.page.workers import Affinity, BusyError

IDLE = 3600.0
"""Seconds after which an unused session ends: a browser that crashed does not end it."""

LEAVING = 1.5
"""Seconds after which a session ends whose page was closed."""

MAX_SESSIONS = 200
"""The number of sessions at a time."""

RELOADING = 20.0
"""Seconds after which it ends if its page was reloaded and does not ask for its photos."""

LOADING = 10.0
"""Seconds within which a reloaded page is left: a browser loads the new one before it leaves the old one."""

RECENT = 600.0
"""Seconds: if there are too many sessions, one that was used more recently does not end for a new one."""

MAX_PHOTOS = 500
"""The number of photos of a session."""

STORED_PHOTOS = 64
"""The limit of all files of all sessions, as a multiple of that of a photo; a session may use half of it."""

REMOVED = "this photo is no longer here; drop it again"

Forget = Callable[[Collection[str]], None]
"""Told the ids of photos that were removed."""


class EndedError(UngrayError):
    """The session has ended, and all of it is gone."""

    def __init__(self) -> None:
        super().__init__("this session has ended and its photos are deleted; drop them again")


@dataclass(eq=False, kw_only=True)
class StoredPhoto:
    """A visitor's photo: its ``path`` and that of its ``gray`` picture, and what the page says of it."""

    id: str
    name: str
    path: Path
    gray: Path = Path()
    width: int = 0
    height: int = 0
    kind: str = ""
    settings: dict[str, Any] = field(default_factory=dict)
    """The settings of its last coloring, as the page sent them."""
    affinity: Affinity = field(default_factory=Affinity)
    results: list[Path] = field(default_factory=list)
    """The colored files at full size, the oldest first."""

    def facts(self) -> dict[str, Any]:
        """Return what the page is told, JSON."""
        names = ("id", "name", "width", "height", "kind", "settings")
        return {name: getattr(self, name) for name in names}


class Session:
    """One visitor's photos and the files made from them, in a folder that only this user can read.

    Once it has ended, nothing is written there any more: the folder is not created again.
    """

    def __init__(self, folder: Path, room: Room, *, client: str, forget: Forget) -> None:
        folder.mkdir(mode=0o700)
        self.client = client
        self.folder = folder
        self.used = time.monotonic()
        self.ends: float | None = None
        """When it ends since its page was closed."""
        self.page = ""
        """What identifies the page that used it last: after a reload it is another one."""
        self.photos: dict[str, StoredPhoto] = {}
        self.results: dict[str, tuple[Path, str]] = {}
        """Paths and file names of what can be downloaded, by a name that cannot be guessed."""
        self._room = room
        self._forget = forget
        self._sizes: dict[Path, int] = {}
        self._ended = False
        self._lock = threading.Lock()

    @property
    def ended(self) -> bool:
        """Whether all its files are deleted, and none may be written any more."""
        return self._ended

    @contextmanager
    def file(self) -> Iterator[NewFile]:
        """Yield a new file of this session; after an error it is deleted.

        Raises:
            EndedError: the session has ended.
        """
        path = self.folder / secrets.token_urlsafe(16)
        with self._lock:
            if self._ended:
                raise EndedError
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            self._sizes[path] = 0
        try:
            with os.fdopen(descriptor, "wb") as opened:
                yield NewFile(path, opened, self)
        except BaseException:
            self.delete(path)
            raise

    def write(self, content: bytes) -> Path:
        """Return the path of a new file with ``content``; see :meth:`file`."""
        with self.file() as made:
            made.write(content)
        return made.path

    def take_room(self, path: Path, count: int) -> None:
        """Count ``count`` bytes more for a file.

        Raises:
            UngrayError: the session's files, or those of all sessions, would be too large.
            EndedError: the session has ended.
        """
        with self._lock:
            if self._ended:
                raise EndedError
            if sum(self._sizes.values()) + count > self._room.of_session:
                raise UngrayError(
                    f"the photos of this page would take more than {self._room.of_session / 1e6:,.0f} MB; "
                    "remove some"
                )
            self._room.take(count)
            self._sizes[path] += count

    def delete(self, *paths: Path) -> None:
        """Delete files."""
        for path in paths:
            with self._lock:
                self._room.give(self._sizes.pop(path, 0))
                for key in [key for key, (result, _) in self.results.items() if result == path]:
                    del self.results[key]
            with suppress(OSError):
                path.unlink(missing_ok=True)

    def photo(self, photo_id: str) -> StoredPhoto:
        """Return the photo of that id.

        Raises:
            UngrayError: there is none.
        """
        try:
            return self.photos[photo_id]
        except KeyError:
            raise UngrayError(REMOVED) from None

    def demand(self, photo: StoredPhoto) -> None:
        """Check that a photo's file is still here, kept or being opened.

        Raises:
            EndedError: the session has ended.
            UngrayError: the photo was removed.
        """
        if self._ended:
            raise EndedError
        if not photo.path.exists():
            raise UngrayError(REMOVED)

    def read(self, photo: StoredPhoto) -> bytes:
        """Return a photo's file; see :meth:`demand` for what is raised if it is gone."""
        try:
            return photo.path.read_bytes()
        except FileNotFoundError:
            self.demand(photo)
            raise

    def add(self, photo: StoredPhoto) -> None:
        """Keep a photo.

        Raises:
            EndedError: the session has ended.
        """
        with self._lock:
            if self._ended:
                raise EndedError
            self.photos[photo.id] = photo

    def remove(self, photo_id: str) -> None:
        """Delete a photo and all that was made from it."""
        photo = self.photos.pop(photo_id, None)
        if photo:
            self.abandon(photo)

    def abandon(self, photo: StoredPhoto) -> None:
        """Delete all of a photo that is not, or no longer, kept."""
        self.delete(photo.path, photo.gray, *photo.results)
        self._forget([photo.id])

    def offer(self, path: Path, name: str) -> str:
        """Return the key of :attr:`results` under which a file can be downloaded as ``name``."""
        key = secrets.token_urlsafe(16)
        with self._lock:
            if self._ended:
                raise EndedError
            self.results[key] = path, name
        return key

    def end(self) -> None:
        """Delete all files, and refuse to write any more."""
        with self._lock:
            self._ended = True
            self._room.give(sum(self._sizes.values()))
            self._sizes.clear()
            self.results.clear()
            gone = list(self.photos)
            self.photos.clear()
        shutil.rmtree(self.folder, ignore_errors=True)
        self._forget(gone)  # after its file is gone: a request that waits would have it read again


@dataclass
class NewFile:
    """A file that is being written, each part counted before it is."""

    path: Path
    opened: Any
    session: Session

    def write(self, part: bytes | memoryview) -> int:
        """Append ``part``; see :meth:`Session.take_room` for what is raised, and OSError for a full disk."""
        self.session.take_room(self.path, len(part))
        return self.opened.write(part)

    def flush(self) -> None:
        """Write what is buffered."""
        self.opened.flush()


@dataclass
class Room:
    """The limit of the files of all sessions together, in bytes, and how many are used."""

    limit: int
    used: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def of_session(self) -> int:
        """The limit of one session, in bytes."""
        return self.limit // 2

    def take(self, count: int) -> None:
        """Use ``count`` bytes.

        Raises:
            BusyError: there is no room for them.
        """
        with self.lock:
            if self.used + count > self.limit:
                raise BusyError("the page is busy: it holds as many photos as it may; try again in a minute")
            self.used += count

    def give(self, count: int) -> None:
        """Return ``count`` bytes."""
        with self.lock:
            self.used -= count


class Sessions:
    """All sessions by their keys, which cannot be guessed, below one folder."""

    def __init__(
        self,
        folder: Path,
        *,
        max_bytes: int,
        forget: Forget,
        idle: float = IDLE,
        max_sessions: int = MAX_SESSIONS,
    ) -> None:
        """Keep them below ``folder``; ``max_bytes`` is the limit of one photo's file."""
        folder.mkdir(mode=0o700)
        self.folder = folder
        self.idle = idle
        self.max_sessions = max_sessions
        self._forget = forget
        self._room = Room(STORED_PHOTOS * max_bytes)
        self._sessions: dict[str, Session] = {}
        self._loaded: dict[str, float] = {}
        """When each client has loaded the page and not yet asked for a session."""
        self._lock = threading.Lock()
        self._closed = False

    def __len__(self) -> int:
        return len(self._sessions)

    def new(self, client: str = "") -> str:
        """Return the key of a new session of the machine ``client``.

        Raises:
            BusyError: there are too many.
        """
        gone = None
        with self._lock:
            if self._closed:
                raise EndedError
            if len(self._sessions) >= self.max_sessions:
                oldest = min(self._sessions, key=lambda key: self._sessions[key].used)
                if time.monotonic() - self._sessions[oldest].used < RECENT:
                    raise BusyError("the page is busy: it has too many visitors; try again in a few minutes")
                gone = self._sessions.pop(oldest)
            self._loaded.pop(client, None)
            key = secrets.token_urlsafe(24)
            folder = self.folder / secrets.token_urlsafe(16)
            self._sessions[key] = Session(folder, self._room, client=client, forget=self._forget)
        if gone:
            gone.end()
        return key

    def of(self, key: str, page: str = "") -> Session:
        """Return the session of that key, which counts as used now, by ``page``.

        Raises:
            EndedError: it has ended, or there never was one.
        """
        with self._lock:
            session = self._sessions.get(key)
            if session is None:
                raise EndedError
            session.used, session.ends, session.page = time.monotonic(), None, page
            self._loaded.pop(session.client, None)
            return session

    def result(self, key: str) -> tuple[Path, str] | None:
        """Return path and file name of what can be downloaded under that key; None if there is nothing."""
        with self._lock:
            found = (session.results.get(key) for session in self._sessions.values())
            return next(filter(None, found), None)

    def load(self, client: str) -> None:
        """Note that ``client`` loads the page: if it leaves a session now, it reloads it."""
        with self._lock:
            self._loaded[client] = time.monotonic()

    def leave(self, key: str, page: str = "") -> None:
        """End a session soon, unless it is used again: its ``page`` was closed or reloaded."""
        now = time.monotonic()
        with self._lock:
            session = self._sessions.get(key)
            if session and session.page == page:
                reloads = now - self._loaded.get(session.client, -LOADING) < LOADING
                session.ends = now + (RELOADING if reloads else LEAVING)

    def sweep(self) -> None:
        """End the sessions that were left or are idle."""
        now = time.monotonic()
        with self._lock:
            self._loaded = {client: when for client, when in self._loaded.items() if now - when < LOADING}
            gone = [
                key
                for key, session in self._sessions.items()
                if now - session.used > self.idle or (session.ends and now > session.ends)
            ]
            ended = [self._sessions.pop(key) for key in gone]
        for session in ended:
            session.end()

    def close(self) -> None:
        """End all sessions; there will be no more."""
        with self._lock:
            self._closed = True
            ended = list(self._sessions.values())
            self._sessions.clear()
        for session in ended:
            session.end()

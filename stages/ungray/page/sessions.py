"""Visitors' sessions: one folder per session for its files, and how they are deleted."""

from __future__ import annotations

import secrets
import shutil
import threading
import time
from collections import OrderedDict, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from ungray.colorizer import Prediction
from ungray.errors import UngrayError

IDLE = 3600.0
"""Seconds after which an unused session ends: a browser that crashed does not end it."""

MAX_SESSIONS = 200
"""The number of sessions at a time; the least recently used one ends to make room for a new one."""

MAX_PREDICTIONS = 16
"""The number of predictions in memory; an evicted one is computed again from the session's photo."""


@dataclass(eq=False)
class Session:
    """One visitor's photo and the files made from it, all in ``folder``, whose name cannot be guessed.

    All work on it holds ``lock``: so the session's end waits for it, and deletes everything that it wrote.
    """

    folder: Path
    used: float = field(default_factory=time.monotonic)
    lock: threading.RLock = field(default_factory=threading.RLock)
    name: str = ""
    """The photo's file name, without folder; empty if there is no photo yet."""
    facts: str = ""
    """The page's description of the photo, Markdown."""
    number: int = 0
    """The number of photos so far, which identifies the current one."""
    files: defaultdict[str, list[Path]] = field(default_factory=lambda: defaultdict(list))
    """The files by kind, oldest first: gray, shown, whole (of this photo), many (of several)."""
    ended: bool = False

    @property
    def photo(self) -> Path:
        """The photo's original file."""
        return self.folder / "photo"

    def open(self, content: bytes, name: str, facts: str = "") -> None:
        """Replace the photo; delete the files made from the last one.

        Raises:
            UngrayError: the session has ended.
        """
        self._check()
        for kind in ("gray", "shown", "whole"):
            self.drop(kind)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.photo.write_bytes(content)
        self.name, self.facts, self.number = name, facts, self.number + 1

    def new_path(self, kind: str, name: str) -> Path:
        """Return a path with that file name, in a new folder of the session.

        Raises:
            UngrayError: the session has ended.
        """
        self._check()
        path = self.folder / secrets.token_urlsafe(8) / name
        path.parent.mkdir(parents=True)
        self.files[kind].append(path)
        return path

    def write(self, kind: str, content: bytes, name: str, *, keep: int = 0) -> Path:
        """Write a file to a :meth:`new_path`; return it. The last ``keep`` of its kind stay, 0 for all."""
        path = self.new_path(kind, name)
        path.write_bytes(content)
        # Usually more than one: a browser may still be fetching the one before.
        if keep:
            self.drop(kind, keep=keep)
        return path

    def drop(self, kind: str, *, keep: int = 0) -> None:
        """Delete the files of that kind, except the last ``keep``."""
        while len(self.files[kind]) > keep:
            shutil.rmtree(self.files[kind].pop(0).parent, ignore_errors=True)

    def end(self) -> None:
        """Delete all files, and refuse to write any more."""
        with self.lock:
            self.ended = True
            self.name = ""
            self.files.clear()
            shutil.rmtree(self.folder, ignore_errors=True)

    def _check(self) -> None:
        if self.ended:
            raise UngrayError("this session has ended; load the page again")


class Sessions:
    """All sessions by gradio's session hash, and the predictions of their photos, below one folder."""

    def __init__(self, folder: Path, *, idle: float = IDLE, max_sessions: int = MAX_SESSIONS) -> None:
        self.folder = folder
        self.idle = idle
        self.max_sessions = max_sessions
        self._by_hash: OrderedDict[str, Session] = OrderedDict()
        self._predictions: OrderedDict[tuple[str, int, str], Prediction] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._by_hash)

    def of(self, session_hash: str) -> Session:
        """Return the session, created if it is new; end idle sessions, and the oldest ones if too many."""
        with self._lock:
            session = self._by_hash.get(session_hash)
            if session is None:
                session = self._by_hash[session_hash] = Session(self.folder / secrets.token_urlsafe(16))
            session.used = time.monotonic()
            self._by_hash.move_to_end(session_hash)
        self.sweep()
        return session

    def prediction(self, session: Session, model: str, predict: Callable[[bytes], Prediction]) -> Prediction:
        """Return the prediction of ``model`` for the session's photo; cached, or made by ``predict``.

        Raises:
            UngrayError: the session has no photo, or has ended.
        """
        with session.lock:
            key = (session.folder.name, session.number, model)
            with self._lock:
                cached = self._predictions.get(key)
                if cached is not None:
                    self._predictions.move_to_end(key)
                    return cached
            try:
                content = session.photo.read_bytes()
            except FileNotFoundError:
                raise UngrayError("the photo is no longer here; drop it again") from None
            made = predict(content)
            self.remember(session, model, made)
            return made

    def remember(self, session: Session, model: str, prediction: Prediction) -> None:
        """Cache the prediction of ``model`` for the session's photo; evict the least recently used one."""
        with self._lock:
            if session.ended:
                return
            self._predictions[session.folder.name, session.number, model] = prediction
            while len(self._predictions) > MAX_PREDICTIONS:
                self._predictions.popitem(last=False)

    def end(self, session_hash: str | None) -> None:
        """End a session: delete its folder and its predictions."""
        with self._lock:
            session = self._by_hash.pop(session_hash or "", None)
        if session:
            self._forget(session)

    def sweep(self) -> None:
        """End idle sessions and, if there are too many, the least recently used ones."""
        gone = []
        with self._lock:
            while self._by_hash:
                name, oldest = next(iter(self._by_hash.items()))
                if len(self._by_hash) <= self.max_sessions and time.monotonic() - oldest.used < self.idle:
                    break
                gone.append(self._by_hash.pop(name))
        for session in gone:
            self._forget(session)

    def _forget(self, session: Session) -> None:
        session.end()
        with self._lock:
            for key in [key for key in self._predictions if key[0] == session.folder.name]:
                del self._predictions[key]

"""What a visitor of the page leaves behind while there, and how it goes: one folder a session."""

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
"""Seconds after which a session nobody uses ends by itself: a browser that died says no goodbye."""

MOST = 200
"""Sessions at a time; the one unused for longest ends for a new one."""

KEPT_PREDICTIONS = 16
"""Predictions in memory; one that had to go is made again from the session's photo."""


@dataclass(eq=False)
class Session:
    """One visitor's photo and what was made of it, all in ``folder``, whose name cannot be guessed.

    Whoever works on it holds ``lock``, so that the session's end waits, and finds all that was written.
    """

    folder: Path
    used: float = field(default_factory=time.monotonic)
    lock: threading.RLock = field(default_factory=threading.RLock)
    name: str = ""
    """The photo's file name, without folder; empty where there is no photo yet."""
    facts: str = ""
    """What the page says of the photo, Markdown."""
    number: int = 0
    """Counts photos, so that what belongs to an earlier one is known."""
    files: defaultdict[str, list[Path]] = field(default_factory=lambda: defaultdict(list))
    """What was made, oldest first: gray, shown, whole (of this photo), many (of several)."""
    ended: bool = False

    @property
    def photo(self) -> Path:
        """The photo's file as it came."""
        return self.folder / "photo"

    def open(self, content: bytes, name: str, facts: str = "") -> None:
        """Take another photo; what was made of the last one goes.

        Raises:
            UngrayError: the session has ended.
        """
        self._check()
        for kind in ("gray", "shown", "whole"):
            self.drop(kind)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.photo.write_bytes(content)
        self.name, self.facts, self.number = name, facts, self.number + 1

    def place(self, kind: str, name: str) -> Path:
        """Return a path of that file name, in a new folder of the session.

        Raises:
            UngrayError: the session has ended.
        """
        self._check()
        path = self.folder / secrets.token_urlsafe(8) / name
        path.parent.mkdir(parents=True)
        self.files[kind].append(path)
        return path

    def write(self, kind: str, content: bytes, name: str, *, keep: int = 0) -> Path:
        """Write a file at :meth:`place`, return its path; of its kind the last ``keep`` stay, 0 for all."""
        path = self.place(kind, name)
        path.write_bytes(content)
        # More than one, since a browser may still be fetching the one before.
        if keep:
            self.drop(kind, keep=keep)
        return path

    def drop(self, kind: str, *, keep: int = 0) -> None:
        """Delete what was made of that kind, but for the last ``keep``."""
        while len(self.files[kind]) > keep:
            shutil.rmtree(self.files[kind].pop(0).parent, ignore_errors=True)

    def end(self) -> None:
        """Delete all that is there, and let nothing more be written."""
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

    def __init__(self, folder: Path, *, idle: float = IDLE, most: int = MOST) -> None:
        self.folder = folder
        self.idle = idle
        self.most = most
        self._by_hash: OrderedDict[str, Session] = OrderedDict()
        self._predictions: OrderedDict[tuple[str, int, str], Prediction] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._by_hash)

    def of(self, session_hash: str) -> Session:
        """Return the session, begun if it is new; those left idle for too long, or too many, end."""
        with self._lock:
            session = self._by_hash.get(session_hash)
            if session is None:
                session = self._by_hash[session_hash] = Session(self.folder / secrets.token_urlsafe(16))
            session.used = time.monotonic()
            self._by_hash.move_to_end(session_hash)
        self.sweep()
        return session

    def prediction(self, session: Session, model: str, predict: Callable[[bytes], Prediction]) -> Prediction:
        """Return what ``model`` says of the session's photo, made by ``predict`` only if it isn't known.

        Raises:
            UngrayError: the session has no photo, or no longer.
        """
        with session.lock:
            key = (session.folder.name, session.number, model)
            with self._lock:
                known = self._predictions.get(key)
                if known is not None:
                    self._predictions.move_to_end(key)
                    return known
            try:
                content = session.photo.read_bytes()
            except FileNotFoundError:
                raise UngrayError("there is no photo here any more; drop it again") from None
            made = predict(content)
            self.remember(session, model, made)
            return made

    def remember(self, session: Session, model: str, prediction: Prediction) -> None:
        """Keep what ``model`` said of the session's photo; the one unused for longest goes for it."""
        with self._lock:
            if session.ended:
                return
            self._predictions[session.folder.name, session.number, model] = prediction
            while len(self._predictions) > KEPT_PREDICTIONS:
                self._predictions.popitem(last=False)

    def end(self, session_hash: str | None) -> None:
        """End a session: its folder and its predictions go."""
        with self._lock:
            session = self._by_hash.pop(session_hash or "", None)
        if session:
            self._forget(session)

    def sweep(self) -> None:
        """End the sessions that nobody has used for long, and the oldest of too many."""
        gone = []
        with self._lock:
            while self._by_hash:
                name, oldest = next(iter(self._by_hash.items()))
                if len(self._by_hash) <= self.most and time.monotonic() - oldest.used < self.idle:
                    break
                gone.append(self._by_hash.pop(name))
        for session in gone:
            self._forget(session)

    def _forget(self, session: Session) -> None:
        session.end()
        with self._lock:
            for key in [key for key in self._predictions if key[0] == session.folder.name]:
                del self._predictions[key]

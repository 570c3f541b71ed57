"""The page's event handlers: gradio calls each in a thread."""

from __future__ import annotations

import html
import re
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import wraps
from pathlib import Path, PurePath
from typing import Any, TypeVar

import gradio as gr

from ungray import fetch
from ungray.colorizer import Prediction
from ungray.errors import UngrayError
from ungray.page import coloring
from ungray.page.models import Models
from ungray.page.sessions import Session, Sessions
from ungray.page.uploads import MAX_FILES, Uploads, safe_name
from ungray.system.terminal import FULL, say_fault

FETCH_SECONDS = 30.0

Shown = tuple[str, str]
"""Paths of the gray and the colored picture, as gr.ImageSlider expects them."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """A photo may have at most ``max_bytes`` and ``max_pixels``; at most ``queue`` requests may wait."""

    max_bytes: int
    max_pixels: int
    queue: int


Event = TypeVar("Event", bound=Callable[..., Any])


def reported(others: int) -> Callable[[Event], Event]:
    """Show an error of the event as a temporary message, and again as the event's last output.

    The event's first ``others`` outputs stay as they were. So every failure has a message; gradio would show
    "Error", or nothing at all.
    """

    def wrapped(event: Event) -> Event:
        @wraps(event)
        def call(*arguments: Any, **named: Any) -> Any:
            try:
                return event(*arguments, **named)
            except Exception as error:
                reason = _reason(error)
                # Gradio renders this as HTML, and a file's name may contain anything.
                gr.Warning(html.escape(reason), title="Not colored", duration=20)
                return *[gr.skip()] * others, f"**Not colored.** {_plain(reason)}"

        return call  # type: ignore[return-value]

    return wrapped


def _reason(error: Exception) -> str:
    """Return one sentence about an error; the traceback of a bug is printed on the server's terminal."""
    if isinstance(error, UngrayError):
        return str(error)
    if isinstance(error, MemoryError):
        return "not enough memory; use a smaller photo"
    if isinstance(error, OSError) and error.errno in FULL:
        return "the disk of the machine that serves this page is full; free some space there"
    say_fault(error)
    first = str(error).strip().partition("\n")[0]
    return f"a bug of this page, see its terminal ({type(error).__name__}: {first}); try another photo"


def _plain(text: str) -> str:
    """Return ``text`` escaped for Markdown."""
    return re.sub(r"([\\`*_{}\[\]()#+!|<>~$&-])", r"\\\1", " ".join(text.split()))


class Events:
    """The handlers, with the models, sessions and uploads that they use."""

    def __init__(
        self, models: Models, sessions: Sessions, uploads: Uploads, examples: list[Path], limits: Limits
    ) -> None:
        self.models = models
        self.sessions = sessions
        self.uploads = uploads
        self.examples = examples
        self.limits = limits

    @reported(1)
    def open_upload(
        self, path: str | None, model: str, saturation: float, vivid: bool, request: gr.Request
    ) -> tuple[Shown, str]:
        """Show an uploaded photo gray and colored."""
        if path is None:
            raise UngrayError("no photo was received; drop it again")
        with _naming(PurePath(path).name):
            return self._open(*self.uploads.take(path), model, saturation, vivid, request)

    @reported(1)
    def open_address(
        self, url: str, model: str, saturation: float, vivid: bool, request: gr.Request
    ) -> tuple[Shown, str]:
        """Fetch a photo from a public address, and show it gray and colored."""
        url = url.strip()
        if not url:
            raise UngrayError("type the address of a photo first, such as https://…/photo.jpg")
        limits = replace(
            fetch.ONE_PHOTO,
            max_bytes=self.limits.max_bytes,
            max_pixels=self.limits.max_pixels,
            deadline=FETCH_SECONDS,
        )
        with _naming(url[:200]):
            content = fetch.download(url, limits=limits)
            name = safe_name(url.partition("?")[0].partition("#")[0])
            return self._open(content, name, model, saturation, vivid, request)

    @reported(1)
    def open_example(
        self, index: int, model: str, saturation: float, vivid: bool, request: gr.Request
    ) -> tuple[Shown, str]:
        """Show an example gray and colored."""
        path = self.examples[index]
        return self._open(path.read_bytes(), path.name, model, saturation, vivid, request)

    @reported(1)
    def change(self, model: str, saturation: float, vivid: bool, request: gr.Request) -> tuple[Any, Any]:
        """Show the same photo with changed controls; the network runs only if the model changed."""
        session = self._session(request)
        with session.lock:
            if not session.name:
                return gr.skip(), gr.skip()
            return self._show(session, model, saturation, vivid), session.facts

    @reported(1)
    def whole(
        self, model: str, saturation: float, vivid: bool, format: str, request: gr.Request
    ) -> tuple[str | None, str]:
        """Return the path of the colored photo at full size, with the metadata of its file."""
        session = self._session(request)
        with session.lock:
            if not session.name:
                raise UngrayError("there is no photo yet; drop one first")
            with _naming(session.name):
                encoded, extension, _ = coloring.color_whole(
                    session.photo.read_bytes(),
                    self.models.load(model),
                    format=format,
                    saturation=saturation,
                    vivid=vivid,
                )
            name = coloring.colored_name(session.name, extension)
            return str(session.write("whole", encoded, name, keep=2)), session.facts

    @reported(2)
    def many(
        self,
        paths: list[str] | None,
        model: str,
        saturation: float,
        vivid: bool,
        format: str,
        request: gr.Request,
        progress: gr.Progress = gr.Progress(),  # noqa: B008 (how gradio passes it)
    ) -> tuple[list[tuple[str, str]], Any, str]:
        """Color several photos; return pictures with names, the ZIP file, and the errors."""
        if not paths:
            raise UngrayError("no photo was received; drop some first")
        if len(paths) > MAX_FILES:
            raise UngrayError(f"{len(paths)} photos are too many; at most {MAX_FILES} are accepted at once")
        session = self._session(request)
        with session.lock:
            session.drop("many")
            archive = session.new_path("many", "colored.zip")
            pictures: list[tuple[str, str]] = []
            failures: list[str] = []
            names: set[str] = set()
            with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as file:
                for path in progress.tqdm(paths, desc="photos"):
                    name = PurePath(path).name
                    try:
                        with _naming(name):
                            content, _ = self.uploads.take(path)
                            coloring.check(content, max_pixels=self.limits.max_pixels)
                            encoded, extension, shown = coloring.color_whole(
                                content,
                                self.models.load(model),
                                format=format,
                                saturation=saturation,
                                vivid=vivid,
                            )
                    except UngrayError as error:
                        failures.append(str(error))
                        continue
                    unique = _unique(coloring.colored_name(name, extension), names)
                    file.writestr(unique, encoded)
                    path_shown = session.write("many", shown, "colored.jpg")
                    pictures.append((str(path_shown), unique))
        message = f"{len(pictures)} of {len(paths)} photos colored."
        if failures:
            message += "\n" + "\n".join(f"- {_plain(failure)}" for failure in failures)
        ready = gr.update(value=str(archive), interactive=True) if pictures else gr.update(interactive=False)
        return pictures, ready, message

    def leave(self, request: gr.Request) -> None:
        """End the session: the visitor closed the page."""
        self.sessions.end(request.session_hash)

    def _session(self, request: gr.Request) -> Session:
        return self.sessions.of(request.session_hash or "")

    def _open(
        self,
        content: bytes,
        name: str,
        model: str,
        saturation: float,
        vivid: bool,
        request: gr.Request,
    ) -> tuple[Shown, str]:
        kind, width, height = coloring.check(content, max_pixels=self.limits.max_pixels)
        session = self._session(request)
        with session.lock:
            # First, so that a photo that cannot be read does not replace the one before.
            prediction = coloring.predict_shown(content, self.models.load(model))
            facts = f"`{name}` · {width:,} × {height:,} pixels · {kind}"
            session.open(content, name, facts)
            self.sessions.remember(session, model, prediction)
            shown = self._show(session, model, saturation, vivid)
        return shown, facts

    def _show(self, session: Session, model: str, saturation: float, vivid: bool) -> Shown:
        def predict(content: bytes) -> Prediction:
            return coloring.predict_shown(content, self.models.load(model))

        prediction = self.sessions.prediction(session, model, predict)
        photo = prediction.photo
        if not session.files["gray"]:
            gray = prediction.render(saturation=0.0)
            session.write("gray", coloring.picture(photo, gray), "gray.jpg")
        colored = prediction.render(saturation=saturation, vivid=vivid)
        path = session.write("shown", coloring.picture(photo, colored), "colored.jpg", keep=3)
        return str(session.files["gray"][-1]), str(path)


@contextmanager
def _naming(name: str) -> Iterator[None]:
    """Prefix every error with the name of its photo."""
    try:
        yield
    except Exception as error:
        raise UngrayError(f"{name}: {_reason(error)}") from None


def _unique(name: str, names: set[str]) -> str:
    """Return ``name``, with a number if ``names`` already contains it, and add it to them."""
    stem, _, extension = name.rpartition(".")
    number, unique = 2, name
    while unique.lower() in names:
        number, unique = number + 1, f"{stem}-{number}.{extension}"
    names.add(unique.lower())
    return unique

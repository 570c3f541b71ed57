"""The watch page's server: a Starlette application that reads the files of trainings when it is asked."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from stages.storage import cache
from stages.train.watch.curves import Curve, read_curves, read_grids, read_jpeg
from stages.train.watch.trainings import REPORT, Training, ended, find_trainings
from ungray.guard import Guard
from ungray.imaging.metrics import DECISIVE
from ungray.system.files import sha256
from ungray.system.loopback import files_of

PAGE = Path(__file__).parent / "page"

REMEMBERED = 20
"""Number of ended trainings that are shown although DVC has removed their folder."""


@dataclass(frozen=True)
class Picture:
    """A picture of a training; ``version`` changes with its content."""

    content: bytes
    version: str
    epoch: int | None = None


@dataclass(frozen=True)
class Snapshot:
    """All that is shown of a training."""

    training: Training
    curves: list[Curve] = field(default_factory=list)
    pictures: dict[str, Picture] = field(default_factory=dict)


class Watch:
    """The handlers, for the checkout ``top``.

    Trainings in folders of their own are remembered as they were last seen, since DVC removes these folders
    as soon as an experiment has ended.
    """

    def __init__(self, top: Path) -> None:
        self._top = top
        self._seen: dict[str, Snapshot] = {}
        self._turn = threading.Lock()

    def state(self, request: Request) -> Response:
        """Return all trainings, and all of one: the ``training`` asked for, or else the first.

        Curves are left out if the page has them already, which ``have`` says.
        """
        with self._turn:
            snapshots = self._look()
        shown = snapshots.get(request.query_params.get("training", "")) or next(iter(snapshots.values()))
        curves = [curve.described() for curve in shown.curves]
        version = cache.fingerprint(shown.training.id, curves)
        answer: dict[str, Any] = {
            "trainings": [
                {"id": it.training.id, "title": it.training.title, "state": it.training.state}
                for it in snapshots.values()
            ],
            **shown.training.described(shown.curves),
            "best": _best(shown.curves),
            "pictures": {
                kind: {
                    "address": f"/pictures/{shown.training.id}/{kind}.jpg?version={picture.version}",
                    "epoch": picture.epoch,
                }
                for kind, picture in shown.pictures.items()
            },
            "version": version,
        }
        if request.query_params.get("have") != version:
            answer["curves"] = curves
        return JSONResponse(answer)

    def picture(self, request: Request) -> Response:
        """Return the newest grid of a training, or the tall one; no path comes from the request."""
        with self._turn:
            snapshot = self._look().get(request.path_params["training"])
        picture = snapshot.pictures.get(request.path_params["kind"]) if snapshot else None
        if picture is None:
            raise HTTPException(404, "this picture is no longer there")
        return Response(picture.content, media_type="image/jpeg")

    def _look(self) -> dict[str, Snapshot]:
        """Return what there is now, those that run first, by id."""
        found = {training.id: _snapshot(training) for training in find_trainings(self._top)}
        for name in list(self._seen):
            if name not in found:
                last = self._seen[name]
                found[name] = Snapshot(ended(last.training), last.curves, last.pictures)
        for name, snapshot in found.items():
            if snapshot.training.report != self._top / REPORT:
                self._seen.pop(name, None)
                self._seen[name] = snapshot
        for name in list(self._seen)[:-REMEMBERED]:
            del self._seen[name]
        return found


def application(watch: Watch) -> Starlette:
    """Return the application; it answers only requests of its own page, see :class:`ungray.guard.Guard`."""
    return Starlette(
        routes=[
            Route("/api/state", watch.state),
            Route("/pictures/{training:str}/{kind:str}.jpg", watch.picture),
            *files_of(PAGE),
        ],
        middleware=[Middleware(Guard)],
        exception_handlers={OSError: _unreadable, HTTPException: _refused},
    )


def _snapshot(training: Training) -> Snapshot:
    return Snapshot(training, read_curves(training.report), _pictures(training.report))


def _pictures(report: Path) -> dict[str, Picture]:
    """Return the newest progress grid that is whole, and the tall one, which is written at the end."""
    found = {}
    for epoch, path in reversed(read_grids(report).items()):
        if content := read_jpeg(path):
            found["grid"] = Picture(content, _version(content), epoch)
            break
    if content := read_jpeg(report / "plots/images/learning.jpg"):
        found["learning"] = Picture(content, _version(content))
    return found


def _version(content: bytes) -> str:
    return sha256(content)[:12]


def _best(curves: list[Curve]) -> str:
    """Return a sentence on the best epoch so far, next to the gray photos; empty before the first."""
    curve = next((curve for curve in curves if curve.name == DECISIVE.name), None)
    best = curve.best() if curve else None
    if not (curve and best):
        return ""
    epoch, value = best
    when = f"after epoch {epoch}" if epoch else "before the first epoch"
    gray = curve.lines.get("gray")
    beside = f"; the gray photos have {DECISIVE.text(gray[-1][1])}" if gray else ""
    return f"Best {DECISIVE.title} of the val photos: {DECISIVE.text(value)}, {when}{beside}."


def _unreadable(request: Request, error: Exception) -> Response:
    return JSONResponse({"error": f"The training's files cannot be read: {error}"}, 503)


def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return JSONResponse({"error": error.detail}, error.status_code)

"""The review page's server: a Starlette application that serves photos and stores decisions."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, StringConstraints, ValidationError
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from stages.filter.review.collection import Collection, Selection, Show
from stages.filter.review.decisions import ConflictError, Decision, Decisions, Seen, one_line
from stages.filter.review.pictures import SIDES, Pictures
from ungray.errors import UngrayError
from ungray.guard import Guard
from ungray.imaging.photos import PhotoError
from ungray.system.loopback import files_of

PAGE = Path(__file__).parent / "page"
MAX_BODY = 65_536
MAX_IDS = 200

Id = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{16}$")]
B = TypeVar("B", bound=BaseModel)


class Stands(BaseModel):
    """A decision as the page knew it when it sent a change."""

    model_config = ConfigDict(extra="forbid", strict=True)
    decision: Literal["keep", "reject"] | None
    note: str = ""


class Change(Stands):
    """A request to decide on the photo ``id``, or to undo the decision (None).

    Without a note, the existing note is kept. If ``over`` is given, the current decision must be equal to it.
    """

    id: Id
    note: str | None = None  # type: ignore[assignment]
    over: Stands | None = None


class Viewed(BaseModel):
    """Photos that have been viewed."""

    model_config = ConfigDict(extra="forbid", strict=True)
    ids: list[Id]


class Review:
    """The handlers, with the verdicts, decisions, pictures and viewed photos that they use."""

    def __init__(self, collection: Collection, decisions: Decisions, pictures: Pictures, seen: Seen) -> None:
        self.collection, self.decisions = collection, decisions
        self.pictures, self.seen = pictures, seen

    def list(self, request: Request) -> Response:
        """Return the ids of the selected photos, and the groups they are in."""
        by = _one_of(request, "by", ("query", "check"))
        photos = self.collection.photos()
        ids, groups = photos.listed(
            _selection(request), by=by, decided=self.decisions.all(), seen=self.seen.checksums
        )
        return JSONResponse({"version": self.collection.version, "ids": ids, "groups": groups})

    def counts(self, request: Request) -> Response:
        """Return the numbers of photos for the filters, and the progress."""
        counts = self.collection.photos().counts(
            _selection(request), decided=self.decisions.all(), seen=self.seen.checksums
        )
        return JSONResponse(counts | {"version": self.collection.version})

    def photos(self, request: Request) -> Response:
        """Return verdict, measures and decision of up to :data:`MAX_IDS` photos."""
        ids = request.query_params.get("ids", "").split(",")
        if len(ids) > MAX_IDS:
            raise HTTPException(400, f"at most {MAX_IDS} photos at once")
        return JSONResponse({"photos": self.collection.photos().described(ids, decided=self.decisions.all())})

    def picture(self, request: Request) -> Response:
        """Return a copy of a photo as JPEG; its path comes from the table, never from the request."""
        checksum, kind = request.path_params["sha256"], request.path_params["kind"]
        file = self.collection.photos().file(checksum)
        if file is None or kind not in SIDES:
            raise HTTPException(404, "no such photo")
        try:
            path = self.pictures.picture(file, checksum, kind=kind)
        except PhotoError as error:
            raise HTTPException(404, f"{file} cannot be read: {error}") from None
        except FileNotFoundError:
            raise HTTPException(404, f"data/raw/{file} is missing; `dvc repro scrape` fetches it") from None
        # The address identifies the content, so the browser may cache it forever.
        return FileResponse(
            path, media_type="image/jpeg", headers={"Cache-Control": "private, max-age=604800, immutable"}
        )

    async def decide(self, request: Request) -> Response:
        """Store or undo a decision, or its note; it is on disk before the response is sent."""
        change = await _body(request, Change)
        return await run_in_threadpool(self._decide, change)

    def _decide(self, change: Change) -> Response:
        row = self.collection.photos().row(change.id)
        if row is None:
            raise HTTPException(404, "no such photo; the list is out of date")

        def changed(standing: Decision | None) -> Decision | None:
            kind, note = (standing.decision, standing.note) if standing else (None, "")
            if change.over and (kind, note) != (change.over.decision, change.over.note):
                raise ConflictError(f"{row['file']} was decided elsewhere meanwhile; that decision is kept")
            if change.decision is None:
                return None
            note = note if change.note is None else one_line(change.note)
            return Decision(row["sha256"], row["file"], change.decision, note)

        stands = self.decisions.decide(row["sha256"], changed)
        return JSONResponse(
            {"decision": stands.decision if stands else None, "note": stands.note if stands else ""}
        )

    async def view(self, request: Request) -> Response:
        """Store which photos have been viewed."""
        viewed = await _body(request, Viewed)
        photos = self.collection.photos()
        await run_in_threadpool(
            self.seen.add, [row["sha256"] for row in map(photos.row, viewed.ids) if row is not None]
        )
        return Response(status_code=204)


def application(review: Review) -> Starlette:
    """Return the application; it answers only requests of its own page, see :class:`ungray.guard.Guard`."""
    return Starlette(
        routes=[
            Route("/api/list", review.list),
            Route("/api/counts", review.counts),
            Route("/api/photos", review.photos),
            Route("/api/decisions", review.decide, methods=["POST"]),
            Route("/api/viewed", review.view, methods=["POST"]),
            Route("/{kind:str}/{sha256:str}.jpg", review.picture),
            *files_of(PAGE),
        ],
        middleware=[Middleware(Guard)],
        exception_handlers={UngrayError: _mendable, OSError: _mendable, HTTPException: _refused},
    )


def _selection(request: Request) -> Selection:
    return Selection(
        query=request.query_params.get("query"),
        check=request.query_params.get("check"),
        show=_one_of(request, "show", get_args(Show)),  # type: ignore[arg-type]
    )


def _one_of(request: Request, name: str, choices: tuple[str, ...]) -> str:
    value = request.query_params.get(name, choices[0])
    if value not in choices:
        raise HTTPException(400, f"{name} is one of {', '.join(choices)}")
    return value


async def _body(request: Request, model: type[B]) -> B:
    # Another site cannot send this type without a CORS preflight request, which we never allow.
    if request.headers.get("content-type", "").split(";")[0].strip().lower() != "application/json":
        raise HTTPException(415, "send JSON")
    if not 0 < int(request.headers.get("content-length") or 0) <= MAX_BODY:
        raise HTTPException(413, f"send at most {MAX_BODY} bytes")
    try:
        return model.model_validate_json(await request.body())
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise HTTPException(400, f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from None


def _mendable(request: Request, error: Exception) -> Response:
    return JSONResponse({"error": str(error)}, 409 if isinstance(error, ConflictError) else 500)


def _refused(request: Request, error: Any) -> Response:
    return JSONResponse({"error": error.detail}, error.status_code, headers=error.headers)

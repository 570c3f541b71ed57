"""What the page's process for films does: it looks at a film, and colors it into an MP4 that browsers play.

Every function here but :func:`progress` runs in that process; see :mod:`ungray.page.workers`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from ungray.colorizer import Colorizer
from ungray.errors import UngrayError
from ungray.hints import Hint
from ungray.imaging.photos import PhotoError

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]

F = TypeVar("F", bound=Callable[..., Any])

MAX_SECONDS = 20.0
"""The length limit of a film."""

MAX_FRAMES = 1250
"""The limit of its frames: 20 seconds at 60 a second. What a file says of its length may be wrong."""

MAX_PIXELS = 2_100_000
"""The limit of a frame's pixels: 1920x1080."""

MEMORY = 3 << 30
"""Bytes of memory that a film may use beyond those that the process has; 1.1 GB are used at 1920x1080."""

FILE_BYTES = 500_000_000
"""The size limit of each file that is written while a film is colored."""

THREADS = 2
OUTPUT = "film-colored.mp4"
FRAMES = "frames"
"""The file in which the number of colored frames stands."""


@dataclass(frozen=True, kw_only=True)
class OpenedFilm:
    """What a film is: the size of a frame in pixels, its length, about how many frames, whether in color."""

    width: int
    height: int
    seconds: float
    frames: int
    in_color: bool


def _needs_memory(work: F) -> F:
    work.memory = MEMORY  # type: ignore[attr-defined]
    return work


@_needs_memory
def warm_up(content: bytes) -> None:
    """Import all that films need, so that it does not count for the first one's time."""
    import av  # noqa: F401

    from ungray.film import coloring  # noqa: F401


@_needs_memory
def open_film(path: str, content: bytes) -> OpenedFilm:
    """Look at the film at ``path``.

    Raises:
        UngrayError: it is no film, cannot be decoded, or is over a limit.
    """
    with _sentences(path):
        source = _source(path)
        frames = source.count(None, None)
        if source.seconds > MAX_SECONDS + 0.5:
            raise UngrayError(
                f"it lasts {source.seconds:,.0f} seconds, and this page takes {MAX_SECONDS:g}: cut it, or "
                "color it by `colorize`, which takes any length"
            )
        if frames > MAX_FRAMES:
            raise _too_many()
        return OpenedFilm(
            width=source.video.width,
            height=source.video.height,
            seconds=source.seconds,
            frames=frames,
            in_color=source.in_color(),
        )


@_needs_memory
def color(
    model: Colorizer,
    path: str,
    folder: str,
    content: bytes,
    *,
    saturation: float,
    vivid: bool,
    hints: Sequence[tuple[float, Hint]],
) -> int:
    """Color the film at ``path`` to :data:`OUTPUT` in ``folder``; return the number of its frames.

    How far it is stands in the file :data:`FRAMES` there. For ``hints`` see
    :class:`ungray.film.coloring.Options`.

    Raises:
        UngrayError: it cannot be decoded, or is over a limit, or the model takes no hints.
    """
    from ungray.film.coloring import Options, color_film
    from ungray.film.encoding import Encoding

    if hints and not model.takes_hints:
        raise UngrayError("this model takes no hints: choose another model, or remove the hints")
    output, mark = Path(folder, OUTPUT), Path(folder, FRAMES)

    def count(frames: int) -> None:
        if frames > MAX_FRAMES:
            raise _too_many()
        mark.write_text(str(frames))

    with _sentences(path), _files_limited():
        source = _source(path)
        # What browsers play: H.264 of 8 bits with halved colors.
        source.video = replace(source.video, bits=8, sampling="420")
        encoding = Encoding(codec="h264", threads=THREADS)
        options = Options(saturation=saturation, vivid=vivid, encoding=encoding, hints=hints)
        outcome = color_film(source, output, model, options, about={}, progress=count)
        assert outcome is not None, "it is None only where nothing is to be overwritten"
        return outcome.frames


def progress(folder: Path) -> int | None:
    """Return the number of frames that :func:`color` has colored in ``folder``; None if it is not known."""
    try:
        return int((folder / FRAMES).read_text())
    except (OSError, ValueError):  # not yet written, or just being written
        return None


def _source(path: str) -> Any:
    from ungray.film.sources import FilmFile

    return FilmFile(Path(path), max_pixels=MAX_PIXELS)


def _too_many() -> UngrayError:
    return UngrayError(
        f"it has more than {MAX_FRAMES:,} frames, the limit of this page: color it by `colorize`, which "
        "takes any number"
    )


@contextmanager
def _sentences(path: str) -> Iterator[None]:
    """Turn FFmpeg's errors into sentences, and leave the path, which nobody knows, out of all."""
    import av

    try:
        yield
    except av.MemoryError:
        raise PhotoError("needs more memory than this page gives a film") from None
    except (UngrayError, av.FFmpegError) as error:
        sentence = str(error) if isinstance(error, UngrayError) else f"not colored: {error.strerror}"
        raise UngrayError(sentence.removeprefix(f"{path}: ")) from None


@contextmanager
def _files_limited() -> Iterator[None]:
    """Limit the size of each file that the block writes to :data:`FILE_BYTES`."""
    if resource is None:
        yield
        return
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    with suppress(ValueError):  # a stricter limit holds already
        resource.setrlimit(resource.RLIMIT_FSIZE, (FILE_BYTES, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)

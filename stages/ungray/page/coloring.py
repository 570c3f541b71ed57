"""What the page's workers do with a visitor's photo: a small copy to display, the full size to download.

Every function here runs in a worker; see :mod:`ungray.page.workers`. A worker keeps the small copies of
recent photos and their predictions, so that another saturation is answered without the network, and another
hint with one run of it, without decoding the photo again.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import lru_cache, wraps
from pathlib import Path, PurePath
from typing import Any, ParamSpec, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from ungray.colorizer import Colorizer, Prediction
from ungray.errors import UngrayError
from ungray.hints import Hint, scaled_hints
from ungray.imaging import encoding, photo_files, photos
from ungray.imaging.decoding import memory_limit
from ungray.imaging.prediction import Memory
from ungray.reference import hints_from_reference, palette
from ungray.system import memory
from ungray.variants import likely_colors, variants

P = ParamSpec("P")
R = TypeVar("R")

SHOWN_SIDE = 1280
"""The long side of the displayed copy in pixels; a download has the photo's own size."""

OTHERS, OTHERS_SIDE = 4, 320
"""The number of other colorings, and the long side of their pictures in pixels."""

MEMORY = 2 << 30
"""Bytes of memory that a photo may use beyond those that its worker has, whatever its size."""

THREADS = 2
"""The number of threads that a worker uses for one photo."""

MAX_COPIES = 32
"""The number of small copies that a worker keeps, 2.5 MB each, and of predictions and of what they were made
from, 1 MB each."""

MODELS = 4
"""The number of models that a worker keeps."""

AS_IT_CAME = "as it came"
FORMATS = {AS_IT_CAME: "", "JPEG": "jpg", "PNG": "png", "WebP": "webp", "TIFF": "tif"}
"""The formats to download, and their names in :func:`ungray.imaging.photo_files.encode`."""


@dataclass(frozen=True)
class ModelFile:
    """The path of a model's file, which in a worker is replaced by the model itself.

    It is loaded when it is unpickled, once per worker: so the time and memory that this takes do not count
    for the photo.
    """

    path: Path

    def __reduce__(self) -> tuple[Any, ...]:
        return _load, (str(self.path.resolve()),)


@lru_cache(maxsize=MODELS)
def _load(path: str) -> Colorizer:
    memory.limit_arenas()
    cv2.setNumThreads(THREADS)
    return Colorizer.load(path, threads=THREADS)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How a photo is colored: ``hints`` are in pixels of the photo at full size."""

    saturation: float = 1.0
    vivid: bool = False
    hints: tuple[Hint, ...] = ()


@dataclass(frozen=True)
class Copy:
    """A small copy of a photo, and its width and height as factors of the photo's."""

    photo: photo_files.Photo
    scale: tuple[float, float]

    def hints(self, hints: Sequence[Hint]) -> list[Hint]:
        """Return hints of the photo as hints of this copy."""
        return scaled_hints(hints, across=self.scale[0], down=self.scale[1])

    def hints_of_photo(self, hints: Sequence[Hint]) -> list[Hint]:
        """Return hints of this copy as hints of the photo."""
        return scaled_hints(hints, across=1 / self.scale[0], down=1 / self.scale[1])


@dataclass(frozen=True, kw_only=True)
class Opened:
    """A photo that was read: its ``kind``, such as JPEG, its size, and its gray picture to display."""

    kind: str
    width: int
    height: int
    gray: bytes


@dataclass(kw_only=True)
class Answer:
    """A picture to display (JPEG), and the milliseconds of each step that was not done before."""

    picture: bytes = b""
    steps: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Measure the block."""
        start = time.perf_counter()
        yield
        self.steps[name] = 1000 * (time.perf_counter() - start)


class _Recent(OrderedDict[Any, Any]):
    """The most recently used values by key."""

    def recall(self, key: Any) -> Any:
        """Return the value, which is the most recently used one from now on; None if there is none."""
        if key in self:
            self.move_to_end(key)
        return self.get(key)

    def keep(self, key: Any, value: Any) -> Any:
        """Keep and return ``value``; forget the least recently used one if there are too many."""
        self[key] = value
        self.move_to_end(key)
        while len(self) > MAX_COPIES:
            self.popitem(last=False)
        return value


_copies = _Recent()
_predictions = _Recent()
_memories = _Recent()


def limited(work: Callable[P, R]) -> Callable[P, R]:
    """Limit the memory of ``work`` to :data:`MEMORY`, whatever the size of the photo."""

    @wraps(work)
    def call(*arguments: P.args, **named: P.kwargs) -> R:
        with memory_limit(MEMORY):
            return work(*arguments, **named)

    return call


@limited
def warm_up(model: Colorizer, content: bytes) -> None:
    """Load all that coloring needs, so that the first photo does not wait for it."""
    gray = np.tile(np.arange(256, dtype=np.uint8), (192, 1))
    prediction = model.predict(gray, hints=[Hint(9, 9, "#aa3322")] if model.takes_hints else [])
    picture(prediction.photo, prediction.render(vivid=True))


@limited
def open_photo(photo_id: str, max_pixels: int, content: bytes) -> Opened:
    """Read a photo and keep its small copy under ``photo_id``.

    Raises:
        PhotoError: it is no photo, cannot be read, or has more than ``max_pixels``.
    """
    kind, _, _ = check(content, max_pixels=max_pixels)
    photo = photo_files.read_photo(content)
    small = _copies.keep(photo_id, _small(photo)).photo
    gray = cv2.cvtColor(encoding.with_bits(small.gray, 8), cv2.COLOR_GRAY2RGB)
    # The size of the upright photo: the header's may be that of a photo that lies on its side.
    return Opened(kind=kind, width=photo.width, height=photo.height, gray=picture(small, gray))


@limited
def preview(model: Colorizer, photo_id: str, settings: Settings, content: bytes) -> Answer | None:
    """Return the colored photo at the size that is displayed.

    None if ``content`` is empty and this worker does not have the small copy: then ask again with the file.

    Raises:
        UngrayError: the photo cannot be read, or the model takes no hints.
    """
    answer = Answer()
    prediction = _predicted(model, photo_id, settings.hints, content, answer)
    if prediction is None:
        return None
    with answer.step("render"):
        rgb = prediction.render(saturation=settings.saturation, vivid=settings.vivid)
    with answer.step("encode"):
        answer.picture = picture(prediction.photo, rgb)
    return answer


@limited
def likely(
    model: Colorizer, photo_id: str, place: tuple[float, float], hints: tuple[Hint, ...], content: bytes
) -> list[str] | None:
    """Return colors that are likely at a place of the photo; None as :func:`preview` does.

    See :func:`ungray.variants.likely_colors`.
    """
    copy = _copy(photo_id, content, Answer())
    if copy is None:
        return None
    x, y = (at * factor for at, factor in zip(place, copy.scale, strict=True))
    return likely_colors(model, copy.photo, x, y, hints=copy.hints(hints))


@limited
def others(
    model: Colorizer, photo_id: str, settings: Settings, content: bytes
) -> list[tuple[list[Hint], bytes]] | None:
    """Return other colorings, each as hints of the photo and a small picture; None as :func:`preview` does.

    See :func:`ungray.variants.variants`.
    """
    copy = _copy(photo_id, content, Answer())
    if copy is None:
        return None
    tiny = _small(copy.photo, side=OTHERS_SIDE)
    found = []
    for hints in variants(model, copy.photo, number=OTHERS, hints=copy.hints(settings.hints)):
        prediction = model.predict(tiny.photo, hints=tiny.hints(hints))
        rgb = prediction.render(saturation=settings.saturation, vivid=settings.vivid)
        found.append((copy.hints_of_photo(hints), picture(tiny.photo, rgb)))
    return found


@limited
def colors_of(
    model: Colorizer, photo_id: str, max_pixels: int, reference: bytes
) -> tuple[list[Hint], list[str], str] | None:
    """Return hints for the photo from a photo in color, the file ``reference``, and the palette of that one.

    None if this worker does not have the small copy. If there are no hints, the last one says why.

    Raises:
        PhotoError: the reference is no photo, cannot be read, or has more than ``max_pixels``.
    """
    check(reference, max_pixels=max_pixels)
    copy = _copies.recall(photo_id)
    if copy is None:
        return None
    rgb = _shrunk(photos.read_rgb(reference))
    try:
        hints, reason = copy.hints_of_photo(hints_from_reference(model, copy.photo, rgb)), ""
    except UngrayError as error:
        hints, reason = [], str(error)
    return (
        hints,
        palette(rgb),
        reason or ("" if hints else "the two photos have too little in common"),
    )


@limited
def color_whole(model: Colorizer, format: str, settings: Settings, content: bytes) -> tuple[bytes, str]:
    """Color a photo at its own size; return its file, with the metadata of ``content``, and its extension.

    ``format`` is a key of :data:`FORMATS`.

    Raises:
        UngrayError: the photo cannot be read, is too large for the format, or the model takes no hints.
    """
    photo = photo_files.read_photo(content)
    prediction = model.predict(photo, hints=settings.hints)
    rgb = prediction.render(saturation=settings.saturation, vivid=settings.vivid)
    extension = FORMATS[format] or _own_format(content)
    return photo_files.encode(photo, rgb, format=extension), extension


def forget(photo_ids: Collection[str], content: bytes) -> None:
    """Keep nothing of these photos any more."""
    for photo_id in photo_ids:
        _copies.pop(photo_id, None)
    for kept in (_predictions, _memories):
        for key in [key for key in kept if key[0] in photo_ids]:
            del kept[key]


def check(content: bytes, *, max_pixels: int) -> tuple[str, int, int]:
    """Return format, width and height of a photo, from its header.

    Raises:
        PhotoError: it is no photo, or has more than ``max_pixels``.
    """
    if not content:
        raise photos.PhotoError("the file is empty")
    name, width, height = photos.probe(content)
    if width * height > max_pixels:
        raise photos.PhotoError(
            f"{width}x{height} pixels are too many; this page takes {max_pixels / 1e6:g} megapixels"
        )
    return name, width, height


def picture(photo: photo_files.Photo, rgb: NDArray[Any]) -> bytes:
    """Return the JPEG to display in the browser, encoded as a download would be: transparency becomes white.

    ``photo`` is small, as that of :func:`open_photo`; ``rgb`` is uint8 or uint16 (height, width, 3).
    """
    return photo_files.encode(photo, rgb, format="jpg", quality=90)


def colored_name(name: str, extension: str) -> str:
    """Return the file name of a colored photo, such as ``aunt-colored.jpg``."""
    return f"{PurePath(name).stem or 'photo'}-colored.{extension}"


def _predicted(
    model: Colorizer, photo_id: str, hints: tuple[Hint, ...], content: bytes, answer: Answer
) -> Prediction | None:
    """Return the prediction for the small copy; None if it is not here and ``content`` is empty."""
    key = photo_id, str(model.path), hints
    kept = _predictions.recall(key)
    if kept is not None:
        return kept
    copy = _copy(photo_id, content, answer)
    if copy is None:
        return None
    of_model = key[:2]
    memory = _memories.recall(of_model) or _memories.keep(of_model, Memory())
    with answer.step("network"):
        prediction = model.predict(copy.photo, hints=copy.hints(hints), memory=memory)
    return _predictions.keep(key, prediction)


def _copy(photo_id: str, content: bytes, answer: Answer) -> Copy | None:
    """Return the small copy; None if it is not here and ``content`` is empty."""
    kept = _copies.recall(photo_id)
    if kept is not None or not content:
        return kept
    with answer.step("decode"):
        photo = photo_files.read_photo(content)
        return _copies.keep(photo_id, _small(photo))


def _small(photo: photo_files.Photo, *, side: int = SHOWN_SIDE) -> Copy:
    """Return a copy small enough to display: gray levels and alpha, 8 bits, no metadata."""
    pixels = _shrunk(photo.gray, side)
    height, width = pixels.shape
    if photo.alpha is not None:
        pixels = np.dstack([pixels, _shrunk(encoding.with_bits(photo.alpha, 16), side)])
    small = replace(photo_files.from_array(pixels), bits=8)
    return Copy(small, (width / photo.width, height / photo.height))


def _shrunk(pixels: NDArray[Any], side: int = SHOWN_SIDE) -> NDArray[Any]:
    """Return pixels, (height, width) or with channels, with sides of 1 to ``side``."""
    height, width = pixels.shape[:2]
    scale = side / max(height, width)
    if scale >= 1:
        return pixels
    # Given a factor, OpenCV would round the short side of a very thin photo to 0 and fail.
    size = [max(1, round(side * scale)) for side in (width, height)]
    return cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)


def _own_format(content: bytes) -> str:
    own = photos.FORMATS[photos.probe(content)[0]]
    return own if own in FORMATS.values() else "png"

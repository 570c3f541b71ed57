"""Colors many photos: several at a time, each written whole or not at all; a failure ends no other."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ungray.cli.hints import HintSources, Known, hints_name
from ungray.cli.inputs import Task
from ungray.cli.outputs import FORMATS, OTHERS, outputs_of
from ungray.cli.summary import Result
from ungray.errors import UngrayError
from ungray.imaging import exif, photo_files, photos
from ungray.system.files import whole_file
from ungray.system.limits import MAX_BYTES
from ungray.system.progress import Bar
from ungray.system.terminal import FULL, write_out

if TYPE_CHECKING:
    from ungray.colorizer import Colorizer
    from ungray.hints import Hint


PIXELS_AT_ONCE = 100_000_000
"""Largest total of pixels in progress, so that memory does not grow with the number of jobs."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """How photos are colored and written; see ``colorize --help``."""

    saturation: float = 1.0
    vivid: bool = False
    compare: bool = False
    format: str | None = None
    quality: int = 95
    pages: bool = False
    variants: int = 0
    overwrite: bool = False
    hints: HintSources = field(default_factory=HintSources)


class Batch:
    """Colors photos in threads: decoders, networks and encoders release Python's lock."""

    def __init__(self, colorizer: Colorizer, options: Options, *, jobs: int) -> None:
        self.colorizer = colorizer
        self.options = options
        self.jobs = jobs
        self.room = Room(PIXELS_AT_ONCE)
        self.gate = Gate()
        self.names = threading.Lock()
        self.taken: set[Path] = set()
        self.unreported: dict[Task, Result] = {}

    def run(self, tasks: list[Task], report: Callable[[Result], None]) -> None:
        """Color ``tasks`` and ``report`` each as it is done, with a progress bar or one line per minute.

        A photo that fails is reported like the others. After an exception, such as Ctrl-C, nothing more is
        written and no thread is waited for; the files that were written are whole.

        Raises:
            OSError: the disk is full.
        """
        self.taken = {task.output for task in tasks if task.output and not task.by_content}
        waiting = iter(tasks)
        running: set[Future[Result]] = set()
        pool = ThreadPoolExecutor(self.jobs, "colorize")
        try:
            with Bar(total=len(tasks), desc="colorize", unit="photo") as bar:
                while True:
                    # Few at a time: a hundred thousand photos then take no more memory than ten.
                    for task in islice(waiting, 2 * self.jobs - len(running)):
                        running.add(pool.submit(self.color, task))
                    if not running:
                        return
                    done, running = wait(running, return_when=FIRST_COMPLETED)
                    for future in done:
                        result = future.result()
                        self.unreported.pop(result.task, None)
                        report(result)
                        bar.update()
        finally:
            self.gate.close()
            for result in self.unreported.values():
                report(result)
            pool.shutdown(wait=False, cancel_futures=True)

    def color(self, task: Task) -> Result:
        """Color one photo; a problem with it is reported in the result.

        Raises:
            OSError: the disk is full.
        """
        try:
            return self._color(task)
        except UngrayError as error:
            reason = str(error)
        except MemoryError:
            reason = "needs more memory than is available"
        except FileNotFoundError:
            reason = "not found"
        except OSError as error:
            if error.errno in FULL:
                raise
            reason = error.strerror or str(error)
        except Exception as error:
            reason = f"a bug in colorize ({type(error).__name__}: {str(error).partition(chr(10))[0]})"
        return Result(task, "failed", reason=reason)

    def _color(self, task: Task) -> Result:
        content = read_bytes(task)
        kind, width, height = photos.probe(content)
        output, format = self._output(task, kind)
        with self.room.taken(width * height):
            first = _photo(task, content)
            pages = first.pages
            taken = pages if self.options.pages else 1
            if taken > 1 and format != "tif":
                raise UngrayError(f"has {pages} pages, which only a TIFF holds; add --format tif")
            known = self.options.hints.of(task, first, self.colorizer)
            if taken > 1 and (known.hints or self.options.variants):
                raise UngrayError("has several pages, and hints and variants are for one; leave out --pages")
            result = Result(
                task, "colored", output=output, pages=pages, taken=taken, pictures=first.pictures,
                hints=len(known.hints), hints_from=known.sources, unlike=known.unlike,
            )  # fmt: skip
            if self.options.variants and output is not None:
                del content
                return self._write_variants(result, first, known, output, format)
            if taken == 1:
                del content
                encoded = self._encoded(first, known.hints, format)
            else:
                others = (_photo(task, content, page) for page in range(1, pages))
                encoded = photo_files.encode_pages(map(self._colored, chain([first], others)))
        with self.gate.open():
            write(output, encoded)
            self.unreported[task] = result
        return result

    def _write_variants(
        self, result: Result, photo: photo_files.Photo, known: Known, output: Path, format: str
    ) -> Result:
        """Write the variants of a photo, each with its hints file, and return the result."""
        from ungray.hints import hints_json
        from ungray.variants import variants

        found = variants(self.colorizer, photo, number=self.options.variants, hints=known.hints)
        outputs = outputs_of(output, len(found))
        result = replace(result, output=outputs[0], variants=tuple(outputs))
        for path, hints in zip(outputs, found, strict=True):
            if path.exists() and not self.options.overwrite:
                continue  # as one photo is, whoever wrote it
            encoded = self._encoded(photo, hints, format)
            of_hints = hints_json(hints, width=photo.width, height=photo.height).encode()
            with self.gate.open():
                write(hints_name(path), of_hints)
                write(path, encoded)
        self.unreported[result.task] = result
        return result

    def _encoded(self, photo: photo_files.Photo, hints: Sequence[Hint], format: str) -> bytes:
        return photo_files.encode(*self._colored(photo, hints), format=format, quality=self.options.quality)

    def _colored(
        self, photo: photo_files.Photo, hints: Sequence[Hint] = ()
    ) -> tuple[photo_files.Photo, NDArray[Any]]:
        """Return what is to be written: a photo and its colors, or gray and colored side by side."""
        prediction = self.colorizer.predict(photo, hints=hints)
        rgb = prediction.render(saturation=self.options.saturation, vivid=self.options.vivid)
        if self.options.compare:
            return side_by_side(photo, prediction.render(saturation=0.0), rgb)
        return photo, rgb

    def _output(self, task: Task, kind: str) -> tuple[Path | None, str]:
        """Return the output path and format of a photo of ``kind``, Pillow's name of its format.

        Raises:
            UngrayError: another photo is written there.
        """
        suffix = f".{photos.FORMATS[kind]}"
        suffix = OTHERS.get(suffix, suffix)
        if task.output is None:
            return None, self.options.format or FORMATS[suffix]
        if not task.by_content:
            return task.output, FORMATS[task.output.suffix.lower()]
        output = task.output.with_name(task.output.name + suffix)
        with self.names:
            if output in self.taken:
                raise UngrayError(f"would be written to {output}, as another photo is; choose another -o")
            self.taken.add(output)
        return output, FORMATS[suffix]


class Room:
    """Admits photos while they have at most ``pixels`` together; a larger photo is admitted alone."""

    def __init__(self, pixels: int) -> None:
        self.free = self.all = pixels
        self.changed = threading.Condition()

    @contextmanager
    def taken(self, pixels: int) -> Iterator[None]:
        """Wait until there is room for ``pixels`` more, and hold it."""
        pixels = min(pixels, self.all)
        with self.changed:
            self.changed.wait_for(lambda: self.free >= pixels)
            self.free -= pixels
        try:
            yield
        finally:
            with self.changed:
                self.free += pixels
                self.changed.notify_all()


class Gate:
    """Every write passes through it; once it is closed, none starts and none is in progress."""

    def __init__(self) -> None:
        self.inside = 0
        self.closed = False
        self.changed = threading.Condition()

    @contextmanager
    def open(self) -> Iterator[None]:
        """Let one writer through; raises UngrayError if the gate is closed."""
        with self.changed:
            if self.closed:
                raise UngrayError("interrupted")
            self.inside += 1
        try:
            yield
        finally:
            with self.changed:
                self.inside -= 1
                self.changed.notify_all()

    def close(self) -> None:
        """Close the gate and wait for the writers inside, which takes no longer than writing a file."""
        with self.changed:
            self.closed = True
            self.changed.wait_for(lambda: not self.inside)


def read_bytes(task: Task) -> bytes:
    """Return the bytes of a photo's file, from any source.

    Raises:
        OSError: it cannot be read.
        UngrayError: it is too large, or its address gives no photo.
    """
    if task.kind == "address":
        from ungray.fetch import download

        return download(task.photo)
    if task.kind == "input":
        content = sys.stdin.buffer.read(MAX_BYTES + 1)
    else:
        with Path(task.photo).open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise UngrayError(f"larger than {MAX_BYTES / 1e9:g} GB")
    return content


def _photo(task: Task, content: bytes, page: int = 0) -> photo_files.Photo:
    """Return a page of a file; a file from an address is not trusted, so it is decoded within limits."""
    if task.kind != "address":
        return photo_files.read_photo(content, page)
    from ungray.imaging import decoding  # imported here: few photos need it

    return decoding.limited(
        partial(photo_files.read_photo, page=page) if page else photo_files.read_photo, content
    )


def write(output: Path | None, content: bytes) -> None:
    """Write a file, whole or not at all; None is standard output.

    Raises:
        UngrayError: it cannot be written.
        OSError: the disk is full.
    """
    try:
        if output is None:
            write_out(content)
            return
        with whole_file(output) as partial:
            partial.write_bytes(content)
    except OSError as error:
        name = str(output or "standard output")
        if error.errno in FULL:  # the system names the half-written file, or none
            raise OSError(error.errno, error.strerror, name) from None
        raise UngrayError(f"{name} cannot be written: {error.strerror}") from None


def side_by_side(
    photo: photo_files.Photo, gray: NDArray[Any], colored: NDArray[Any]
) -> tuple[photo_files.Photo, NDArray[Any]]:
    """Return a photo twice as wide, and its picture: gray on the left, colored on the right.

    ``gray`` and ``colored`` are (height, width, 3), of the same dtype.
    """
    alpha = None if photo.alpha is None else np.hstack([photo.alpha] * 2)
    levels = np.hstack([photo.gray] * 2)
    metadata = photo.metadata
    if metadata.exif:  # it says how wide the photo is
        said = Image.Exif()
        said.load(metadata.exif)
        metadata = replace(metadata, exif=exif.for_copy(said, size=levels.shape[::-1]).exif)
    return replace(photo, gray=levels, alpha=alpha, metadata=metadata), np.hstack([gray, colored])

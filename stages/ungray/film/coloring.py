"""Coloring a film from a file to a file: it is read, colored and written at once, in bounded memory."""

from __future__ import annotations

import copy
import queue
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from PIL import Image

from ungray.errors import UngrayError
from ungray.film import encoding, parts
from ungray.film.encoding import Encoding, Part
from ungray.film.formats import ANIMATIONS, OUTPUTS
from ungray.film.sources import Animation, Frame, FrameFolder, Source, check_size
from ungray.hints import Hint
from ungray.imaging import photo_files
from ungray.imaging.encoding import with_bits
from ungray.imaging.photo_files import Photo
from ungray.system.files import whole_file

if TYPE_CHECKING:
    from ungray.colorizer import Colorizer

Item = TypeVar("Item")

WAITING, WAITING_PIXELS = 6, 50_000_000
"""Number of frames that wait between reading, coloring and writing, at most, and of their pixels."""

ANIMATION_PIXELS = 500_000_000
"""Number of pixels of all frames of a GIF or WebP, at most: they are in memory until the last is colored."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """How a film is colored and written.

    ``start`` and ``end`` are in seconds from its beginning, None: all of it. ``hints`` have the seconds from
    its beginning at which they begin to hold; ``of_shot`` gives the hints of a frame that begins a shot.
    """

    saturation: float = 1.0
    vivid: bool = False
    compare: bool = False
    start: float | None = None
    end: float | None = None
    hints: Sequence[tuple[float, Hint]] = ()
    of_shot: Callable[[Photo], Sequence[Hint]] | None = None
    encoding: Encoding = field(default_factory=lambda: Encoding(codec="h264"))
    quality: int = 95


@dataclass(frozen=True)
class Outcome:
    """What was done: ``frames`` in all, ``broken`` ones that could not be decoded, and how many hints were
    ``unused``, since their time is not among those that were colored."""

    frames: int
    broken: int
    unused: int = 0


def color_film(
    source: Source,
    output: Path,
    colorizer: Colorizer,
    options: Options,
    *,
    about: Mapping[str, Any],
    overwrite: bool = True,
    progress: Callable[[int], Any] = lambda frames: None,
) -> Outcome | None:
    """Color a film and write it to ``output``, whole or not at all; what was begun before goes on.

    Args:
        source: the film.
        output: a file whose extension gives its format, or a folder for numbered frames.
        colorizer: the model.
        options: how.
        about: all else that decides the bytes of the output, in JSON's types.
        overwrite: whether to make it anew if another run has made it while this one waited for that; else
            None is returned.
        progress: called with the number of frames that are done.

    Raises:
        UngrayError: the film has no frame between start and end, or its frames cannot be decoded.
        OSError: the disk is full.
    """
    if output.suffix.lower() in ANIMATIONS and isinstance(source, Animation):
        return _animation(source, output, colorizer, options, progress)
    base = source.video.time_base
    first = int(getattr(source, "start", 0))
    start = None if options.start is None else first + round(options.start / base)
    end = None if options.end is None else first + round(options.end / base)
    if not _writes_frames(source, output):
        check_size(source.video.width, source.video.height, source.path)
    with parts.opened(output, about) as kept:
        if kept.waited and not overwrite and output.exists():
            return None
        done = kept.done()
        progress(done.frames)
        if not done.parts or done.resume is not None:
            _color_parts(source, output, colorizer, options, kept, done, (start, end), progress)
            done = kept.done()
        if not done.times:
            raise UngrayError(f"{source.path}: it has no frame in the time that was asked for")
        if _writes_frames(source, output):
            output.mkdir(parents=True, exist_ok=True)
            for file in sorted(kept.files().iterdir()):
                file.replace(output / file.name)
        else:
            with whole_file(output) as partial:
                encoding.join(
                    partial,
                    output.suffix,
                    done.parts,
                    done.times,
                    source=_as_written(source, options),
                    shift=0 if start is None else min(time for time, _ in done.times),
                    end=end,
                )
        kept.remove()
    times = [time for time, _ in done.times]
    ticks = [first + round(time / base) for time, _ in options.hints]
    early = min(times) if start is None else start
    unused = sum(not early <= tick <= max(times) for tick in ticks)
    return Outcome(done.frames, source.broken, unused)


def _writes_frames(source: Source, output: Path) -> bool:
    """Return whether ``output`` is a folder of numbered frames, not a film."""
    return isinstance(source, FrameFolder) and output.suffix.lower() not in OUTPUTS


def _color_parts(
    source: Source,
    output: Path,
    colorizer: Colorizer,
    options: Options,
    kept: parts.Parts,
    done: parts.Done,
    span: tuple[int | None, int | None],
    progress: Callable[[int], Any],
) -> None:
    """Color what is not done yet, and keep it in parts."""
    start, end = span
    files = _writes_frames(source, output)
    frames = _timed(source.frames(start if done.resume is None else done.resume), end)
    number, count = len(done.parts), done.frames
    with closing(_colored(frames, colorizer, options, source, done)) as colored:
        part: Part | None = None
        in_part: list[tuple[int, int]] = []
        state = done.state
        ahead = next(colored, None)
        try:
            while ahead is not None:
                frame, rgb, state = ahead
                if files:
                    _write_frame(source, frame, rgb, kept.files(), options)
                else:
                    if part is None:
                        part = Part(kept.unfinished(), _as_written(source, options).video, options.encoding)
                    part.add(rgb, time=frame.time, duration=frame.duration)
                in_part.append((frame.time, frame.duration))
                count += 1
                progress(count)
                ahead = next(colored, None)
                if len(in_part) == parts.FRAMES or ahead is None:
                    if part is not None:
                        part.close()
                        times, part = part.packets, None
                    else:
                        times = in_part
                    resume = None if ahead is None else ahead[0].time
                    kept.keep(number, times=times, frames=len(in_part), resume=resume, state=state)
                    number, in_part = number + 1, []
        finally:
            if part is not None:
                part.abandon()


def _as_written(source: Source, options: Options) -> Source:
    """Return the source with the format of the output: twice as wide if the gray film is shown, too."""
    if not options.compare:
        return source
    wider = copy.copy(source)
    wider.video = replace(source.video, width=2 * source.video.width)
    return wider


def _timed(frames: Iterator[Frame], end: int | None) -> Iterator[Frame]:
    """Yield the frames before ``end``; each lasts until the next."""
    last: Frame | None = None
    for frame in frames:
        if last is not None:
            yield replace(last, duration=frame.time - last.time)
        if end is not None and frame.time >= end:
            return
        last = frame
    if last is not None:
        yield last


def _colored(
    frames: Iterator[Frame], colorizer: Colorizer, options: Options, source: Source, done: parts.Done
) -> Generator[tuple[Frame, Any, Any], None, None]:
    """Yield each frame with its colors, sRGB, and with the state that the next one needs.

    Frames are read in one thread, their small copies colored in a second; the caller writes. All three
    release Python's lock for most of their work.
    """
    propagation = colorizer.propagation(done.state)
    at_once = max(1, min(WAITING, WAITING_PIXELS // (source.video.width * source.video.height)))
    first = int(getattr(source, "start", 0))
    base = source.video.time_base
    waiting = sorted(
        ((first + round(time / base), hint) for time, hint in options.hints), key=lambda one: one[0]
    )
    if done.resume is not None:
        waiting = [one for one in waiting if one[0] >= done.resume]
    early = None if options.start is None else first + round(options.start / base)
    if early is not None:
        waiting = [one for one in waiting if one[0] >= early]

    def predicted() -> Iterator[tuple[Frame, Any, Any]]:
        read: deque[Frame] = deque()
        for frame in _ahead(frames, waiting=at_once):
            now = []
            while waiting and waiting[0][0] <= frame.time:
                now.append(waiting.pop(0)[1])
            read.append(frame)
            found = colorizer.add_frame(propagation, frame.photo, hints=now, of_shot=options.of_shot)
            yield from ((read.popleft(), *one) for one in found)
        yield from ((read.popleft(), *one) for one in propagation.end())

    for frame, prediction, state in _ahead(predicted(), waiting=at_once):
        rgb = prediction.render(saturation=options.saturation, vivid=options.vivid)
        if options.compare:
            rgb = np.hstack([prediction.render(saturation=0.0), rgb])
        yield frame, rgb, state


def _ahead(items: Iterator[Item], *, waiting: int) -> Iterator[Item]:
    """Yield ``items``, which a thread of its own makes, at most ``waiting`` ahead."""
    made: queue.Queue[tuple[bool, Any]] = queue.Queue(waiting)
    ended = threading.Event()

    def put(one: tuple[bool, Any]) -> None:
        while not ended.is_set():
            with suppress(queue.Full):
                made.put(one, timeout=0.1)
                return

    def make() -> None:
        try:
            for item in items:
                put((True, item))
                if ended.is_set():
                    break
            put((False, None))
        except BaseException as error:
            put((False, error))
        finally:
            with suppress(Exception):
                items.close()  # type: ignore[attr-defined]

    thread = threading.Thread(target=make, name="film", daemon=True)
    thread.start()
    try:
        while True:
            more, item = made.get()
            if more:
                yield item
            elif item is not None:
                raise item
            else:
                return
    finally:
        ended.set()


def _write_frame(source: Source, frame: Frame, rgb: Any, folder: Path, options: Options) -> None:
    assert isinstance(source, FrameFolder)
    file = source.files[frame.time]
    kind = frame.photo.format if frame.photo.format in ("jpg", "png", "webp", "tif") else "png"
    suffix = file.suffix if frame.photo.format == kind else ".png"
    photo = frame.photo
    if options.compare:
        photo = replace(photo, gray=np.hstack([photo.gray] * 2), alpha=None)
    with whole_file(folder / f"{file.stem}{suffix}") as partial:
        partial.write_bytes(photo_files.encode(photo, rgb, format=kind, quality=options.quality))


def _animation(
    source: Animation,
    output: Path,
    colorizer: Colorizer,
    options: Options,
    progress: Callable[[int], Any],
) -> Outcome:
    """Color an animated picture into one of the same kind; it is made anew if it was interrupted."""
    pixels = source.video.width * source.video.height * source.count(None, None)
    if pixels > ANIMATION_PIXELS:
        raise UngrayError(
            f"{source.path}: {source.count(None, None)} frames of {source.video.width}x{source.video.height} "
            f"have more than {ANIMATION_PIXELS / 1e6:g} million pixels, too many for a "
            f"{output.suffix[1:].upper()}; make a film of it: -o with .mp4 or .mkv"
        )
    done = parts.Done([], [], 0, None, None)
    end = None if options.end is None else round(options.end * 1000)
    start = None if options.start is None else round(options.start * 1000)
    pictures: list[Image.Image] = []
    durations: list[int] = []
    for frame, rgb, _ in _colored(_timed(source.frames(start), end), colorizer, options, source, done):
        image = Image.fromarray(with_bits(rgb, 8))
        if frame.photo.alpha is not None and not options.compare:
            image.putalpha(Image.fromarray(frame.photo.alpha))
        pictures.append(image)
        durations.append(frame.duration)
        progress(len(pictures))
    if not pictures:
        raise UngrayError(f"{source.path}: it has no frame in the time that was asked for")
    looping = {} if source.loop is None else {"loop": source.loop}
    kind = "GIF" if output.suffix.lower() == ".gif" else "WEBP"
    how = {"quality": options.quality} if kind == "WEBP" else {"disposal": 2}
    with whole_file(output) as partial:
        pictures[0].save(
            partial,
            format=kind,
            save_all=True,
            append_images=pictures[1:],
            duration=durations,
            **looping,
            **how,
        )
    return Outcome(len(pictures), source.broken)

"""Coloring films from the command line: one after another, each with all cores."""

from __future__ import annotations

import math
import re
import sys
from argparse import ArgumentTypeError, Namespace
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import astuple, replace
from fractions import Fraction
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ungray.cli.hints import HintSources
from ungray.cli.inputs import Task
from ungray.cli.summary import Result
from ungray.errors import UngrayError
from ungray.film.formats import CODECS, OUTPUTS
from ungray.system.cgroups import cores
from ungray.system.files import sha256
from ungray.system.limits import MAX_FILM_SECONDS
from ungray.system.terminal import FULL, say

if TYPE_CHECKING:
    from ungray.colorizer import Colorizer
    from ungray.film.coloring import Options
    from ungray.film.sources import Source
    from ungray.hints import Hint
    from ungray.imaging.color import Rgb
    from ungray.imaging.photo_files import Photo


def parse_time(text: str) -> float:
    """Return the seconds of 90, 12.5s, 1:30 or 1:02:03.5.

    Raises:
        ArgumentTypeError: it is no time.
    """
    found = re.fullmatch(r"(?:(?:(\d+):)?(\d{1,2}):)?(\d+(?:\.\d+)?)s?", text.strip())
    if not found:
        raise ArgumentTypeError(f"{text} is no time; give seconds, as 12.5, or 1:30, or 1:02:03")
    hours, minutes, seconds = (float(part or 0) for part in found.groups())
    time = 3600 * hours + 60 * minutes + seconds
    if time > MAX_FILM_SECONDS:
        raise ArgumentTypeError(
            f"{text:.40} is no time of a film: it is more than {MAX_FILM_SECONDS / 3600:,.0f} hours"
        )
    return time


def parse_rate(text: str) -> Fraction:
    """Return the frames a second of 24, 23.976 or 24000/1001.

    Raises:
        ArgumentTypeError: it is none.
    """
    rate = Fraction(0)
    if re.fullmatch(r"[0-9.]{1,20}(/[0-9]{1,9})?", text):  # 1e999999999 is a number of as many digits
        with suppress(ValueError, ZeroDivisionError):
            rate = Fraction(text) if "/" in text else Fraction(text).limit_denominator(100_000)
    if not Fraction(1, 1000) <= rate <= 1000:
        raise ArgumentTypeError(f"{text} is no number of frames a second, such as 24 or 24000/1001")
    return rate


def span(chosen: Namespace) -> tuple[float | None, float | None]:
    """Return the seconds at which coloring begins and ends, as the arguments say; None: where the film does.

    Raises:
        UngrayError: there is nothing between them.
    """
    start, end = chosen.start, chosen.end
    if chosen.preview is not None:
        end = min((start or 0) + chosen.preview, math.inf if end is None else end)
    if end is not None and end <= (start or 0):
        raise UngrayError(f"--end is {end:g} seconds; it must be after the start, {start or 0:g}")
    return start, end


def color_films(
    tasks: list[Task],
    colorizer: Colorizer,
    chosen: Namespace,
    hints: HintSources,
    report: Callable[[Result], None],
) -> None:
    """Color ``tasks`` and ``report`` each as it is done; what fails is reported, too.

    Raises:
        OSError: the disk is full.
        KeyboardInterrupt: Ctrl-C; what is done is kept.
    """
    import cv2

    # The parts of the work run in threads of their own: a second one for each would mostly wait.
    cv2.setNumThreads(max(1, cores() // 4))
    for task in tasks:
        try:
            result = _color(task, colorizer, chosen, hints)
        except UngrayError as error:
            result = Result(task, "failed", reason=str(error).removeprefix(f"{task.photo}: "))
        except MemoryError:
            result = Result(task, "failed", reason="needs more memory than there is")
        except Exception as error:
            if isinstance(error, OSError) and error.errno in FULL:
                raise OSError(error.errno, error.strerror, str(task.output)) from None
            result = Result(task, "failed", reason=_reason(error))
        report(result)


def _reason(error: Exception) -> str:
    """Return why a film failed, of an error that none of ours is."""
    av = sys.modules.get("av")
    if av and isinstance(error, av.FFmpegError):
        return f"FFmpeg cannot read or write it ({error.strerror}); try -o with .mkv, or another --codec"
    if isinstance(error, OSError):
        return error.strerror or str(error)
    return f"a bug in colorize ({type(error).__name__}: {str(error).partition(chr(10))[0]})"


def _color(task: Task, colorizer: Colorizer, chosen: Namespace, hints: HintSources) -> Result:
    from ungray.film.coloring import color_film
    from ungray.film.sources import open_source
    from ungray.system.progress import Bar

    output = task.output
    assert output is not None
    source = open_source(Path(task.photo), rate=chosen.frames)
    if source.in_color() and not chosen.force:
        raise UngrayError("it is in color already; --force takes it as gray and colors it all the same")
    options = _options(source, output, chosen)
    known, sources = _hints(task, source, colorizer, hints, options)
    lent = _Lent(colorizer, hints.reference) if hints.reference is not None else None
    options = replace(options, hints=known, of_shot=lent)
    left = _left_out(source, output, options)
    if left:
        say(
            f"{task.photo}: left out, since {output.suffix} cannot hold it: {', '.join(left)}; "
            "-o with .mkv can"
        )
    base = source.video.time_base
    first = int(getattr(source, "start", 0))
    ticks = [None if at is None else first + round(at / base) for at in (options.start, options.end)]
    outcome, frames = None, 0
    with Bar(total=source.count(*ticks), desc=Path(task.photo).name, unit="frame") as bar:

        def progress(done: int) -> None:
            nonlocal frames
            if frames == 0 and done > 1:
                say(f"{task.photo}: goes on after frame {done}, where it was interrupted")
                bar.initial = done
            bar.update(done - frames)
            frames = done

        try:
            outcome = color_film(
                source,
                output,
                colorizer,
                options,
                about=_about(task, colorizer, chosen, options),
                overwrite=chosen.overwrite,
                progress=progress,
            )
        except KeyboardInterrupt:
            say(f"{task.photo}: what is done is kept; run it again to go on")
            raise
    if outcome is None:  # another run has made it meanwhile
        return Result(task, "skipped", output=output)
    if outcome.unused:
        say(f"{task.photo}: {outcome.unused} hints begin at a time that is not colored, so they do nothing")
    if outcome.broken:
        say(f"{task.photo}: {outcome.broken} damaged frames are left out or repaired as well as FFmpeg can")
    given = len(known) + (lent.number if lent else 0)
    return Result(
        task, "colored", output=output, hints=given, hints_from=sources,
        left_out=tuple(left), damaged=outcome.broken,
    )  # fmt: skip


def _options(source: Source, output: Path, chosen: Namespace) -> Options:
    from ungray.film.coloring import Options
    from ungray.film.encoding import Encoding

    suffix = output.suffix.lower()
    codec = chosen.codec or OUTPUTS.get(suffix, "h264")
    crf = chosen.crf
    if crf is not None and (CODECS[codec].crf is None or crf > CODECS[codec].highest):
        most = CODECS[codec].highest
        raise UngrayError(
            f"--crf {crf}: {codec} takes 0 to {most}" if CODECS[codec].crf else f"{codec} has no --crf"
        )
    start, end = span(chosen)
    return Options(
        saturation=chosen.saturation,
        vivid=chosen.vivid,
        compare=chosen.compare,
        start=start,
        end=end,
        encoding=Encoding(codec=codec, crf=crf, b_frames=suffix != ".avi", threads=cores()),
        quality=chosen.quality,
    )


def _hints(
    task: Task, source: Source, colorizer: Colorizer, hints: HintSources, options: Options
) -> tuple[list[tuple[float, Hint]], tuple[str, ...]]:
    """Return the hints of a film, with the seconds at which they begin, and where they are from.

    Those of --hint begin where coloring does; those of a hints file at their "time", in seconds.
    """
    from ungray.hints import hint_times, read_hints

    found: list[tuple[float, Hint]] = []
    sources: tuple[str, ...] = (hints.reference_name,) if hints.reference is not None else ()
    if path := hints.file_of(task):
        rows = read_hints(path, width=source.video.width, height=source.video.height)
        found += zip(hint_times(path.read_bytes(), name=str(path)), rows, strict=True)
        sources += (str(path),)
    if hints.given:
        found += [(options.start or 0.0, hint) for hint in hints.given]
        sources += ("--hint",)
    if (found or hints.reference is not None) and not colorizer.takes_hints:
        raise UngrayError(f"{colorizer.path} takes no hints; take another --model")
    for _, hint in found:
        if not (0 <= hint.x < source.video.width and 0 <= hint.y < source.video.height):
            size = f"{source.video.width}x{source.video.height}"
            raise UngrayError(f"a hint is at {hint.x:g}, {hint.y:g}, outside the film of {size} pixels")
    return found, sources


class _Lent:
    """Gives the hints of a frame that begins a shot, those from the photo of --like, and counts them."""

    def __init__(self, colorizer: Colorizer, reference: Rgb) -> None:
        self.colorizer, self.reference, self.number = colorizer, reference, 0

    def __call__(self, photo: Photo) -> Sequence[Hint]:
        from ungray.reference import hints_from_reference

        found = hints_from_reference(self.colorizer, photo, self.reference)
        self.number += len(found)
        return found


def _left_out(source: Source, output: Path, options: Options) -> list[str]:
    from ungray.film.encoding import left_out

    if output.suffix.lower() not in OUTPUTS:
        return []
    return left_out(source, output.suffix.lower(), options.encoding)


def _about(task: Task, colorizer: Colorizer, chosen: Namespace, options: Options) -> dict[str, Any]:
    """Return all that decides the bytes of the output."""
    from ungray.film.parts import fingerprint

    names = ("saturation", "vivid", "compare", "start", "end", "preview", "codec", "crf", "force", "quality")
    return {
        **{name: getattr(chosen, name) for name in names},
        "frames": str(chosen.frames),
        "film": fingerprint(Path(task.photo)),
        "model": sha256(colorizer.path.read_bytes()),
        "engine": colorizer.engine,
        "hints": [[at, *astuple(hint)] for at, hint in options.hints],
        "like": sha256(Path(chosen.like).read_bytes()) if chosen.like else None,
        "threads": cores(),
        "versions": [_version(name) for name in ("ungray", "av", "numpy", "opencv-python-headless")],
    }


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""

"""One run of the command: find photos, skip those that are done, color the rest, print a summary."""

from __future__ import annotations

import os
import signal
import sys
import warnings
from argparse import Namespace
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ungray.cli.hints import HintSources, hint_sources
from ungray.cli.inputs import Task, look_at
from ungray.cli.outputs import FORMATS, UsageError, outputs_of, plan
from ungray.cli.summary import Result, Summary
from ungray.errors import UngrayError
from ungray.film.formats import OUTPUTS as FILMS
from ungray.film.formats import is_unfinished
from ungray.system.terminal import printable, say, write_out

if TYPE_CHECKING:
    from ungray.colorizer import Colorizer


def run(chosen: Namespace) -> None:
    """Do what the arguments of ``colorize`` ask for; see its ``--help``.

    Raises:
        UsageError: the arguments contradict each other, or a stream is closed.
        UngrayError: there is no model, or the only photo failed.
        OSError: the disk is full.
        SystemExit: some of the photos failed (1).
    """
    found = plan(
        chosen.photos,
        output=chosen.output,
        format=chosen.format,
        compare=chosen.compare,
        frames=chosen.frames is not None,
        preview=chosen.preview is not None,
        variants=chosen.variants,
    )
    _check_streams(found.tasks, chosen)
    _say_unused_options(found.tasks, chosen)
    hints = hint_sources(chosen, found.tasks)
    summary = Summary(tasks=found.tasks, own=found.own, passed=found.passed)
    to_do = []
    for task in found.tasks:
        if known := _known(task, overwrite=chosen.overwrite, variants=chosen.variants):
            summary.add(known)
        else:
            to_do.append(task)
    about: dict[str, Any] = {}
    if chosen.dry_run:
        for task in to_do:
            summary.add(Result(task, "planned", output=task.output))
            if not chosen.json:
                write_out(printable(f"{task.photo} -> {_name(task, chosen.variants)}") + "\n")
    elif to_do:
        about = _color(to_do, chosen, hints, summary)
    _tell(summary, chosen, about)
    failed = summary.of("failed")
    if len(summary.results) == 1 and failed:
        raise UngrayError(f"{failed[0].task.photo}: {failed[0].reason}")
    if failed:
        sys.exit(1)


def _known(task: Task, *, overwrite: bool, variants: int) -> Result | None:
    """Return the result of a task that needs no coloring; None if the photo is to be colored."""
    if task.trouble:
        return Result(task, "failed", reason=task.trouble)
    if task.film and task.output and is_unfinished(task.output):
        return None
    try:
        existing = output_there(task, variants)
    except UngrayError as error:
        return Result(task, "failed", reason=str(error))
    return Result(task, "skipped", output=existing) if existing and not overwrite else None


def _color(to_do: list[Task], chosen: Namespace, hints: HintSources, summary: Summary) -> dict[str, Any]:
    """Color ``to_do``, add the results to ``summary`` and return what the summary says about the model."""
    # Imported here: none of this is needed if everything is done already.
    import cv2
    from PIL.Image import DecompressionBombWarning

    from ungray.cli.batch import Batch, Options
    from ungray.cli.films import color_films
    from ungray.colorizer import Colorizer
    from ungray.imaging import decoding
    from ungray.system import memory
    from ungray.system.cgroups import cores

    # ungray.imaging.photos switches it off too, but not for several threads at once.
    warnings.simplefilter("ignore", DecompressionBombWarning)
    memory.keep_freed()
    photos, films = ([task for task in to_do if task.film is film] for film in (False, True))
    jobs = max(1, min(chosen.jobs or min(cores(), 4), len(photos)))
    threads = max(1, cores() // jobs)  # for each job, or they would compete for cores
    cv2.setNumThreads(threads)
    colorizer = Colorizer.load(chosen.model, engine=chosen.engine, threads=threads)
    about = {
        "model": str(colorizer.path),
        "engine": colorizer.engine,
        "vivid_factor": colorizer.vivid.saturation,
        "vivid_exponent": colorizer.vivid.exponent,
    }
    _say_model(colorizer, chosen)
    options = Options(
        saturation=chosen.saturation,
        vivid=chosen.vivid,
        compare=chosen.compare,
        format=chosen.format,
        quality=chosen.quality,
        pages=chosen.pages,
        variants=chosen.variants,
        overwrite=chosen.overwrite,
        hints=hints,
    )
    try:
        if photos:
            Batch(colorizer, options, jobs=jobs).run(photos, summary.add)
        if films:
            # Reading, network, pixels and encoder are at work at once: a second thread of one of them waits.
            alone = Colorizer.load(chosen.model, engine=chosen.engine, threads=1)
            color_films(films, alone, chosen, hints, summary.add)
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # a second Ctrl-C ends the process at once
        decoding.stop()
        _tell(summary, chosen, about)
        say("interrupted")
        os._exit(130)  # a normal exit would wait for the photos in progress
    except OSError:  # the disk is full; the summary tells what was done
        _tell(summary, chosen, about)
        raise
    return about


def _say_model(colorizer: Colorizer, chosen: Namespace) -> None:
    """Print which model is used, unless its file was named, and whether ``--vivid`` has no effect with it."""
    from ungray.colorizer import FOLDERS, TITLES, model_path, word_for

    if chosen.model is None or chosen.model in FOLDERS:
        word = word_for(colorizer.path)
        other = ""
        if chosen.model is None and word == "base":
            with suppress(UngrayError):
                model_path("mine")
                other = "; --model mine takes yours"
        say(f"colorize: {TITLES[word]}, {colorizer.path}{other}")
    if chosen.vivid and not colorizer.vivid.changes_colors:
        say(
            "colorize: --vivid changes nothing with this model: its factor is 1.00, livelier colors were "
            "not found right for it; --saturation 1.3 makes them stronger all the same"
        )


def output_there(task: Task, variants: int = 0) -> Path | None:
    """Return the output of ``task`` if it exists; in any format if the content determines the format.

    Of several variants, all must exist; the first is returned.

    Raises:
        UngrayError: it cannot be accessed.
    """
    if task.output is None:
        return None
    suffixes = FORMATS if task.by_content else [""]
    for suffix in suffixes:
        path, *others = outputs_of(task.output.with_name(task.output.name + suffix), variants)
        try:
            if look_at(path) and all(map(look_at, others)):
                return path
        except UngrayError as error:
            raise UngrayError(f"its output {path} cannot be accessed: {error}; choose another -o") from None
    return None


def _say_unused_options(tasks: list[Task], chosen: Namespace) -> None:
    """Print which options do nothing, since they are for films and there is none, or the other way around."""
    films = [task for task in tasks if task.film]
    encoded = any(task.output and task.output.suffix.lower() in FILMS for task in films)
    unused = [
        *(name for name in ("codec", "crf") if getattr(chosen, name) is not None and not encoded),
        *(name for name in ("start", "end", "preview") if getattr(chosen, name) is not None and not films),
        *(name for name in ("force",) if chosen.force and not films),
    ]
    if unused:
        say(f"colorize: {_options(unused)} for films, and none is written here")
    unused = [name for name in ("format", "pages") if getattr(chosen, name) and len(films) == len(tasks) > 0]
    if unused:
        say(f"colorize: {_options(unused)} for photos, and there is none")


def _options(names: list[str]) -> str:
    return " and ".join(f"--{name}" for name in names) + (" is" if len(names) == 1 else " are")


def _check_streams(tasks: list[Task], chosen: Namespace) -> None:
    to_stdout = not chosen.dry_run and any(task.output is None and not task.trouble for task in tasks)
    from_stdin = not chosen.dry_run and any(task.kind == "input" for task in tasks)
    if to_stdout and chosen.variants:
        raise UsageError("--variants writes several files, and standard output is one; name a file with -o")
    if to_stdout and chosen.json:
        raise UsageError("--json and the photo cannot both go to standard output; name a file with -o")
    if sys.stdout is None and (to_stdout or chosen.json or chosen.dry_run):
        raise UsageError("standard output is closed, but the result goes there; redirect it: > FILE")
    if to_stdout and sys.stdout.isatty():
        raise UsageError("the photo would go to the terminal; name a file with -o, or redirect: > out.jpg")
    if from_stdin and (sys.stdin is None or sys.stdin.isatty()):
        what = "closed" if sys.stdin is None else "the terminal"
        raise UsageError(f"- reads standard input, and that is {what}; redirect it: < photo.jpg")


def _name(task: Task, variants: int) -> str:
    if task.output is None:
        return "standard output"
    first, *others = outputs_of(task.output, variants)
    if task.by_content:
        return f"{first}.(its own format)"
    return f"{first} to {others[-1].name}" if others else str(first)


def _tell(summary: Summary, chosen: Namespace, about: dict[str, Any]) -> None:
    if chosen.json:
        told = summary.as_json(**about, saturation=chosen.saturation, vivid=chosen.vivid)
        write_out(told + "\n")
    if len(summary.results) > 1 or not summary.of("failed"):
        say(*summary.lines())

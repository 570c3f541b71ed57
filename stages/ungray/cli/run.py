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

from ungray.cli.inputs import Task, look_at
from ungray.cli.outputs import FORMATS, UsageError, plan
from ungray.cli.summary import Result, Summary
from ungray.errors import UngrayError
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
    found = plan(chosen.photos, output=chosen.output, format=chosen.format, compare=chosen.compare)
    _check_streams(found.tasks, chosen)
    summary = Summary(tasks=found.tasks, own=found.own, passed=found.passed)
    to_do = []
    for task in found.tasks:
        if known := _known(task, overwrite=chosen.overwrite):
            summary.add(known)
        else:
            to_do.append(task)
    about: dict[str, Any] = {}
    if chosen.dry_run:
        for task in to_do:
            summary.add(Result(task, "planned", output=task.output))
            if not chosen.json:
                write_out(printable(f"{task.photo} -> {_name(task)}") + "\n")
    elif to_do:
        about = _color(to_do, chosen, summary)
    _tell(summary, chosen, about)
    failed = summary.of("failed")
    if len(summary.results) == 1 and failed:
        raise UngrayError(f"{failed[0].task.photo}: {failed[0].reason}")
    if failed:
        sys.exit(1)


def _known(task: Task, *, overwrite: bool) -> Result | None:
    """Return the result of a task that needs no coloring; None if the photo is to be colored."""
    if task.trouble:
        return Result(task, "failed", reason=task.trouble)
    try:
        existing = output_there(task)
    except UngrayError as error:
        return Result(task, "failed", reason=str(error))
    return Result(task, "skipped", output=existing) if existing and not overwrite else None


def _color(to_do: list[Task], chosen: Namespace, summary: Summary) -> dict[str, Any]:
    """Color ``to_do``, add the results to ``summary`` and return what the summary says about the model."""
    # Imported here: none of this is needed if everything is done already.
    import cv2
    from PIL.Image import DecompressionBombWarning

    from ungray.cli.batch import Batch, Options
    from ungray.colorizer import Colorizer
    from ungray.imaging import decoding
    from ungray.system import memory
    from ungray.system.cgroups import cores

    # ungray.imaging.photos switches it off too, but not for several threads at once.
    warnings.simplefilter("ignore", DecompressionBombWarning)
    memory.keep_freed()
    jobs = min(chosen.jobs or min(cores(), 4), len(to_do))
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
    )
    try:
        Batch(colorizer, options, jobs=jobs).run(to_do, summary.add)
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


def output_there(task: Task) -> Path | None:
    """Return the output of ``task`` if it exists; in any format if the content determines the format.

    Raises:
        UngrayError: it cannot be accessed.
    """
    if task.output is None:
        return None
    suffixes = FORMATS if task.by_content else [""]
    for path in (task.output.with_name(task.output.name + suffix) for suffix in suffixes):
        try:
            if look_at(path):
                return path
        except UngrayError as error:
            raise UngrayError(f"its output {path} cannot be looked at: {error}; choose another -o") from None
    return None


def _check_streams(tasks: list[Task], chosen: Namespace) -> None:
    to_stdout = not chosen.dry_run and any(task.output is None and not task.trouble for task in tasks)
    from_stdin = not chosen.dry_run and any(task.kind == "input" for task in tasks)
    if to_stdout and chosen.json:
        raise UsageError("--json and the photo cannot both go to standard output; name a file with -o")
    if sys.stdout is None and (to_stdout or chosen.json or chosen.dry_run):
        raise UsageError("standard output is closed, and something is to go there; redirect it: > FILE")
    if to_stdout and sys.stdout.isatty():
        raise UsageError("the photo would go to the terminal; name a file with -o, or redirect: > out.jpg")
    if from_stdin and (sys.stdin is None or sys.stdin.isatty()):
        what = "closed" if sys.stdin is None else "the terminal"
        raise UsageError(f"- reads standard input, and that is {what}; redirect it: < photo.jpg")


def _name(task: Task) -> str:
    if task.output is None:
        return "standard output"
    return f"{task.output}.(its own format)" if task.by_content else str(task.output)


def _tell(summary: Summary, chosen: Namespace, about: dict[str, Any]) -> None:
    if chosen.json:
        told = summary.as_json(**about, saturation=chosen.saturation, vivid=chosen.vivid)
        write_out(told + "\n")
    if len(summary.results) > 1 or not summary.of("failed"):
        say(*summary.lines())

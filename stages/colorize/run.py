"""One run of the command: find, skip what is done, colour, say what became of all."""

from __future__ import annotations

import os
import signal
import sys
import warnings
from argparse import Namespace
from pathlib import Path
from typing import Any

from stages.colorize.inputs import FORMATS, Task, UsageError, plan
from stages.colorize.summary import Result, Summary
from stages.errors import UngrayError


def run(chosen: Namespace) -> None:
    """Do what the arguments of ``colorize`` ask for; see its ``--help``.

    Raises:
        UsageError: arguments that contradict each other.
        UngrayError: there is no model, or the one photo failed.
        SystemExit: some of the photos failed (1).
    """
    found = plan(chosen.photos, output=chosen.output, format=chosen.format, compare=chosen.compare)
    _check_streams(found.tasks, chosen)
    summary = Summary(own=found.own)
    to_do = []
    for task in found.tasks:
        if task.trouble:
            summary.add(Result(task, "failed", reason=task.trouble))
        elif (existing := output_there(task)) and not chosen.overwrite:
            summary.add(Result(task, "skipped", output=existing))
        else:
            to_do.append(task)
    about: dict[str, Any] = {"saturation": chosen.saturation, "vivid": chosen.vivid}
    if chosen.dry_run:
        for task in to_do:
            summary.add(Result(task, "planned", output=task.output))
            if not chosen.json:
                print(f"{task.photo} -> {_name(task)}")
    elif to_do:
        about = _colour(to_do, chosen, summary) | about
    order = {task: number for number, task in enumerate(found.tasks)}
    summary.results.sort(key=lambda result: order[result.task])
    _tell(summary, chosen, about)
    failed = summary.of("failed")
    if len(summary.results) == 1 and failed:
        raise UngrayError(f"{failed[0].task.photo}: {failed[0].reason}")
    if failed:
        sys.exit(1)


def _colour(to_do: list[Task], chosen: Namespace, summary: Summary) -> dict[str, Any]:
    """Colour ``to_do``, count it in ``summary`` and return what the summary says of the model."""
    # Here, not above: nothing of this is needed where all is done already.
    import cv2
    from PIL.Image import DecompressionBombWarning

    from stages import memory
    from stages.colorize.api import Colorizer
    from stages.colorize.batch import Batch, Look
    from stages.limits import cores

    # stages.photos switches it off too, but not for several threads at once.
    warnings.simplefilter("ignore", DecompressionBombWarning)
    memory.keep_freed()
    all_in_all = len(summary.results) + len(to_do)
    jobs = min(chosen.jobs or min(cores(), 4), len(to_do))
    threads = max(1, cores() // jobs)  # for each job, or they would fight for cores
    cv2.setNumThreads(threads)
    colorizer = Colorizer.load(chosen.model, engine=chosen.engine, threads=threads)
    about = {"model": str(colorizer.path), "engine": colorizer.engine}
    look = Look(
        saturation=chosen.saturation,
        vivid=chosen.vivid,
        compare=chosen.compare,
        format=chosen.format,
        quality=chosen.quality,
    )
    try:
        Batch(colorizer, look, jobs=jobs).run(to_do, summary.add)
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # a second Ctrl-C waits for nothing at all
        _tell(summary, chosen, about, untouched=all_in_all - len(summary.results))
        print("interrupted", file=sys.stderr)
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(130)  # the ordinary end would wait for the photos in work
    return about


def output_there(task: Task) -> Path | None:
    """Return the output of ``task`` if it is there; where the content gives the format, in any of them."""
    if task.output is None:
        return None
    if not task.by_content:
        return task.output if task.output.exists() else None
    names = (task.output.with_name(task.output.name + suffix) for suffix in FORMATS)
    return next((path for path in names if path.exists()), None)


def _check_streams(tasks: list[Task], chosen: Namespace) -> None:
    to_stdout = any(task.output is None and not task.trouble for task in tasks)
    if to_stdout and chosen.json:
        raise UsageError("--json and the photo cannot both go to standard output; name a file with -o")
    if to_stdout and sys.stdout.isatty() and not chosen.dry_run:
        raise UsageError("the photo would go to the terminal; name a file with -o, or redirect: > out.jpg")
    if any(task.kind == "input" for task in tasks) and sys.stdin.isatty():
        raise UsageError("- reads standard input, and that is the terminal; redirect it: < photo.jpg")


def _name(task: Task) -> str:
    if task.output is None:
        return "standard output"
    return f"{task.output}.(its own format)" if task.by_content else str(task.output)


def _tell(summary: Summary, chosen: Namespace, about: dict[str, Any], *, untouched: int = 0) -> None:
    if chosen.json:
        print(summary.as_json(**about))
    if len(summary.results) > 1 or not summary.of("failed"):
        for line in summary.lines(untouched=untouched):
            print(line, file=sys.stderr)

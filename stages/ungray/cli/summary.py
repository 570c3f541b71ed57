"""The results of a run: as text for people, as JSON for programs."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from ungray.cli.inputs import Task, named

Status = Literal["colored", "skipped", "planned", "failed"]


@dataclass(frozen=True)
class Result:
    """The result of a photo: its ``output`` (None: standard output), or the ``reason`` why there is none.

    ``pages`` is the number of pages in its file, ``taken`` the number of those that were colored.
    ``pictures`` is the number of pictures in an animation of which the first was colored, as a photo.
    ``left_out`` is what the output of a film lacks, and ``damaged`` its number of damaged frames.
    ``variants`` are all outputs where there are several, ``hints`` the number of hints that were given for
    the photo, and ``hints_from`` says where they are from. ``unlike`` is the photo of --like if it lent none.
    """

    task: Task
    status: Status
    output: Path | None = None
    reason: str = ""
    pages: int = 1
    taken: int = 1
    pictures: int = 1
    left_out: tuple[str, ...] = ()
    damaged: int = 0
    variants: tuple[Path, ...] = ()
    hints: int = 0
    hints_from: tuple[str, ...] = ()
    unlike: str = ""


@dataclass
class Summary:
    """The results of the ``tasks`` of a run; ``own`` is the number of outputs of earlier runs among its
    photos.

    ``passed`` is the number of files in folders whose extension is not a photo's, by extension.
    """

    tasks: list[Task]
    own: int = 0
    passed: Counter[str] = field(default_factory=Counter)
    results: list[Result] = field(default_factory=list)

    def add(self, result: Result) -> None:
        """Add the result of one more photo."""
        self.results.append(result)

    def in_order(self) -> list[Result]:
        """Return the results in the order of the tasks; they were added in the order of completion."""
        order = {task: number for number, task in enumerate(self.tasks)}
        return sorted(self.results, key=lambda result: order[result.task])

    def of(self, status: Status) -> list[Result]:
        """Return the results that have this status, in order."""
        return [result for result in self.in_order() if result.status == status]

    def lines(self) -> list[str]:
        """Return the summary as lines of text; after Ctrl-C or on a full disk some photos are not done
        yet."""
        untouched = len(self.tasks) - len(self.results)
        count = Counter(result.status for result in self.results)
        done = self.of("colored")
        to_screen = len(self.results) == 1 and done and done[0].output is None
        said = []
        if done and not to_screen:
            said.append(f"colored {_counted(done)}{_where(done)}")
        if hinted := [result for result in done if result.hints_from]:
            said.append(_hinted(hinted))
        if unlike := [result for result in done if result.unlike]:
            whom = _counted(unlike) if len(done) > 1 else "it"
            said.append(f"{unlike[0].unlike} has too little in common with {whom} to lend colors")
        if count["planned"]:
            said.append(f"would color {_counted(self.of('planned'))}")
        if count["skipped"]:
            said.append(
                f"skipped {_counted(self.of('skipped'))}, colored already{_where(self.of('skipped'))}"
                " (whatever the model and options were; --overwrite makes them again)"
            )
        if self.own:
            said.append(f"left alone {self.own} made by an earlier run")
        left = [result for result in done if result.taken < result.pages]
        if left:
            said.append(
                f"left {sum(result.pages - result.taken for result in left)} further pages of "
                f"{_counted(left)} (--pages colors all)"
            )
        if several := [result for result in done if result.pictures > 1]:
            said.append(f"took only the first of several pictures of {_counted(several)}")
        if without := [result for result in done if result.left_out]:
            lacks = sorted({one for result in without for one in result.left_out})
            said.append(f"left {', '.join(lacks)} out of {_counted(without)}")
        if damaged := sum(result.damaged for result in done):
            said.append(f"{damaged} damaged frames")
        if untouched:
            said.append(f"{untouched} not done yet")
        if self.passed:
            said.append(f"passed over {named(self.passed)}")
        if failed := self.of("failed"):
            said.append(f"{len(failed)} failed:")
        lines = ["; ".join(said)] if said else []
        return lines + [f"  {result.task.photo}: {result.reason}" for result in failed]

    def as_json(self, **about: Any) -> str:
        """Return the summary as JSON: ``about`` the run, the number of photos by status, then every photo.

        It is ASCII, which any terminal and pipe accepts: file names need not be valid text.
        """
        counts = {status: len(self.of(status)) for status in ("colored", "skipped", "planned", "failed")}
        rows = [
            {
                "photo": result.task.photo,
                "status": result.status,
                "output": str(result.output) if result.output else None,
                "reason": result.reason or None,
                "pages": result.pages if result.status == "colored" else None,
                "pages_taken": result.taken if result.status == "colored" else None,
                "pictures": result.pictures if result.status == "colored" and not result.task.film else None,
                "left_out": list(result.left_out) or None,
                "damaged_frames": result.damaged if result.status == "colored" else None,
                "variants": [str(path) for path in result.variants] or None,
                "hints": result.hints if result.status == "colored" else None,
                "hints_from": list(result.hints_from) or None,
                "unlike": result.unlike or None,
            }
            for result in self.in_order()
        ]
        passed = {"passed_over": dict(sorted(self.passed.items()))}
        return json.dumps(about | counts | passed | {"photos": rows}, indent=2)


def _counted(results: list[Result]) -> str:
    """Return how many photos and films these are: 2 photos and 1 film."""
    films = sum(result.task.film for result in results)
    kinds = [("photo", len(results) - films), ("film", films)]
    return " and ".join(f"{number} {kind}" + "s" * (number != 1) for kind, number in kinds if number)


def _where(done: list[Result]) -> str:
    if len(done) != 1:
        return " in several variants" if done and done[0].variants else ""
    first, *others = done[0].variants or (done[0].output,)
    return f": {first}" + (f" to {others[-1].name}" if others and others[-1] else "")


def _hinted(results: list[Result]) -> str:
    """Return how many hints were given, and where they are from."""
    total = sum(result.hints for result in results)
    hints = f"{total} hint" + ("" if total == 1 else "s")
    if len(results) == 1:
        return f"with {hints} from {', '.join(results[0].hints_from)}"
    return f"{len(results)} of them with {hints}"

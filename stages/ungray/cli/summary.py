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
    """

    task: Task
    status: Status
    output: Path | None = None
    reason: str = ""
    pages: int = 1
    taken: int = 1


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
            said.append(f"colored {_photos(len(done))}{_where(done)}")
        if count["planned"]:
            said.append(f"would color {_photos(count['planned'])}")
        if count["skipped"]:
            said.append(
                f"skipped {_photos(count['skipped'])}, colored already{_where(self.of('skipped'))}"
                " (whatever the model and options were; --overwrite makes them again)"
            )
        if self.own:
            said.append(f"left alone {self.own} made by an earlier run")
        left = [result for result in done if result.taken < result.pages]
        if left:
            said.append(
                f"left {sum(result.pages - result.taken for result in left)} further pages of "
                f"{_photos(len(left))} (--pages colors all)"
            )
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
            }
            for result in self.in_order()
        ]
        passed = {"passed_over": dict(sorted(self.passed.items()))}
        return json.dumps(about | counts | passed | {"photos": rows}, indent=2)


def _photos(number: int) -> str:
    return f"{number} photo" + ("" if number == 1 else "s")


def _where(done: list[Result]) -> str:
    return f": {done[0].output}" if len(done) == 1 else ""

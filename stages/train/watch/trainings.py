"""Finds the trainings of a checkout: those that run, also in DVC's queue or a search, and the last one."""

from __future__ import annotations

import json
import math
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from stages.train.status import FILE, Status
from stages.train.watch.curves import Curve, read_curves
from ungray.system.files import sha256

State = Literal["waiting", "running", "stopped", "ended"]

REPORT = Path("reports/train")

SILENT_SECONDS = 60
"""A running training that has written nothing for so long is said to be silent."""

FACTS = {
    "train.architecture": "{}",
    "train.start_from": "from {}",
    "train.loss": "loss {}",
    "train.lr": "lr {}",
    "train.batch_size": "batch {}",
    "train.seed": "seed {}",
    "precision": "{}",
    "device": "on {}",
}
"""The settings that are shown, with how."""


@dataclass(frozen=True)
class Training:
    """A training, as its files show it."""

    id: str
    title: str
    state: State
    report: Path
    status: Status | None = None
    facts: str = ""

    def sentence(self, curves: list[Curve]) -> str:
        """Return what there is to say of how far it is."""
        if self.state == "waiting":
            return "No training has begun here. As soon as one does, by `dvc repro` for example, it is shown."
        if self.state == "ended" or self.status is None:
            last = max((points[-1][0] for curve in curves for points in curve.lines.values()), default=None)
            return "It has ended." if last is None else f"It has ended, after epoch {last}."
        if self.state == "stopped":
            return (
                f"It was stopped or killed at step {_of(self.status.step, self.status.steps)}. "
                "Started again, it resumes from its checkpoint."
            )
        return _progress(self.status)

    def described(self, curves: list[Curve]) -> dict[str, Any]:
        """Return it as JSON values, without its curves."""
        status = self.status if self.state in ("running", "stopped") else None
        return {
            "id": self.id,
            "title": self.title,
            "state": self.state,
            "facts": self.facts,
            "sentence": self.sentence(curves),
            "step": status.step if status else 0,
            "steps": status.steps if status else 0,
        }


def find_trainings(top: Path) -> list[Training]:
    """Return the trainings of the checkout ``top``, those that run first; the one in ``top`` is always there.

    A training that was stopped is there as long as the curves that it wrote are.
    """
    newest: dict[str, tuple[Status, Path]] = {}
    for path in (top / ".cache/train").glob(f"*/{FILE}"):
        status = Status.load(path)
        if status and (status.report not in newest or newest[status.report][0].updated < status.updated):
            newest[status.report] = (status, path.parent)
    found = [
        training
        for status, work in newest.values()
        if (training := _of_status(status, work, top)) is not None
    ]
    here = _id(top / REPORT)
    if here not in [training.id for training in found]:
        ended = bool(read_curves(top / REPORT))
        found.append(Training(here, "in this folder", "ended" if ended else "waiting", top / REPORT))
    order = ["running", "stopped", "ended", "waiting"]
    return sorted(found, key=lambda training: (order.index(training.state), training.title))


def _of_status(status: Status, work: Path, top: Path) -> Training | None:
    report = Path(status.report)
    running = status.is_running()
    if not running and not _wrote_last(status, report):
        return None
    return Training(
        _id(report),
        _title(status, report, top),
        "running" if running else "stopped",
        report,
        status=status,
        facts=_facts(work / "settings.json"),
    )


def _id(report: Path) -> str:
    return sha256(str(report.resolve()).encode())[:12]


def _title(status: Status, report: Path, top: Path) -> str:
    name = f"experiment {status.experiment}" if status.experiment else ""
    if report == top / REPORT:
        return f"{name}, in this folder" if name else "in this folder"
    if report.parent.name.startswith("trial-"):
        return f"trial {int(report.parent.name.removeprefix('trial-'))} of a search"
    return name or f"in {report.relative_to(top) if report.is_relative_to(top) else report}"


def _facts(path: Path) -> str:
    try:
        settings = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return ""
    return " · ".join(text.format(settings[name]) for name, text in FACTS.items() if name in settings)


def _wrote_last(status: Status, report: Path) -> bool:
    """Return whether the metrics in ``report`` are those of the last epoch in ``status``."""
    if not status.record:
        return False
    try:
        written = json.loads((report / "metrics.json").read_text(encoding="utf-8"))
        values = [written["loss"]["val"], status.record["loss/val"]]
    except (OSError, ValueError, KeyError, TypeError):
        return False
    return written.get("step") == status.epoch and math.isclose(*values, rel_tol=1e-6)


def ended(training: Training) -> Training:
    """Return ``training`` as it is once its status has gone with its checkpoint."""
    return replace(training, state="ended", status=None)


def _progress(status: Status) -> str:
    if not status.pace:
        return "It begins: the first step has not ended yet."
    epoch = min(status.epoch + 1, status.epochs or status.epoch + 1)
    left = f", {duration(status.seconds_left)} left" if status.steps else ""
    sentence = (
        f"Epoch {_of(epoch, status.epochs)}, step {_of(status.step, status.steps)}. "
        f"{status.pace:.{0 if status.pace >= 10 else 1}f} photos/s{left}."
    )
    if not status.steps:
        sentence += " Once the pace is known, so is how many steps there will be."
    if (silent := time.time() - status.updated) > SILENT_SECONDS:
        sentence += f" It has written nothing for {duration(silent)}: it may be judging the val photos."
    return sentence


def _of(number: int, total: int) -> str:
    return f"{number} of {total}" if total else str(number)


def duration(seconds: float) -> str:
    """Return a duration for people: "40 s", "3 min", "2 h 10 min"."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"

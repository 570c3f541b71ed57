"""Search for good hyperparameters by random trials, as the section `tune` of params.yaml says.

Each trial draws values from `tune.space`, trains for `tune.epochs` on data/prepared and is scored by the
color difference of the val photos, CIEDE2000; lower is better. (Accuracy, a metric for classifiers, has no
meaning here: colors are continuous and never exactly right.) Trials are stored in a database: SQLite in
.cache, or the one that `tune.storage` names. If interrupted by Ctrl-C or killed, the search resumes when it
is started again. Several machines with the same `tune.storage` share the trials. The search writes
reports/tune/: trials.csv, best.yaml, history.png, importance.png, slices.png. Examples:

  python -m stages.tune                  runs the remaining trials
  python -m stages.tune --workers 2      runs them in two processes, each with half of the cores
  python -m stages.tune show             prints the table so far
  python -m stages.tune apply            writes the best values into params.yaml
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from stages.params import Machine, load
from stages.train.params import Params as TrainParams
from stages.tune.apply import apply
from stages.tune.params import Params
from stages.tune.progress import Progress, table_so_far, write_report
from stages.tune.report import best
from stages.tune.run import prepare, work
from stages.tune.study import results
from stages.tune.trial import Search
from stages.tune.workers import become_worker, run_workers
from ungray.errors import UngrayError
from ungray.system.console import run_command
from ungray.system.terminal import Parser, tell

PREPARED, REPORT = Path("data/prepared"), Path("reports/tune")


def search(arguments: Sequence[str]) -> None:
    """Run the remaining trials and write the report."""
    parser = Parser(
        prog="python -m stages.tune",
        description=__doc__,
    )
    parser.add_argument("--workers", type=int, default=1, help="processes that run trials (default 1)")
    workers = parser.parse_args(arguments).workers
    if workers < 1:
        raise UngrayError(f"--workers {workers} is not allowed: it must be 1 or more")
    found, sentence = _load()
    trials = found.params.trials
    left = trials - len(results(found.study, trials))
    tell(f"tune: {sentence}; {left} of {trials} trials to do; {found.study.study_name}")
    progress = Progress(found)
    try:
        with progress.bar:
            if left and workers > 1:
                run_workers(found, min(workers, left), progress)
            elif left:
                work(found, progress)
    finally:
        write_report(found, REPORT)
    first = best(results(found.study, trials))
    if first is None:
        raise UngrayError(f"no trial is complete; {REPORT}/trials.csv has the reasons")
    tell(f"tune: the best is trial {first}; {REPORT} has table and charts")
    tell("Next: `python -m stages.tune apply` writes its values into params.yaml")


def show(arguments: Sequence[str]) -> None:
    """Print the table of trials so far, the best first."""
    _no_arguments("show", "Print the table of trials so far, the best first.", arguments)
    found, sentence = _load()
    tell(*table_so_far(found).split("\n"))
    done = len(results(found.study, found.params.trials))
    tell(f"{sentence}; {done} of {found.params.trials} trials are done")


def apply_best(arguments: Sequence[str]) -> None:
    """Write the best trial's values into params.yaml."""
    text = f"Write the values of {REPORT}/best.yaml into params.yaml; nothing else in it changes."
    _no_arguments("apply", text, arguments)
    changes = apply(REPORT / "best.yaml", Path("params.yaml"))
    for change in changes:
        tell(change)
    tell("Next: `dvc repro` trains with them" if changes else "params.yaml already has these values")


def worker(arguments: Sequence[str]) -> None:
    """Run trials of the study that this process was started for; only the search itself calls this."""
    name, number, workers = arguments
    become_worker(int(number), int(workers))
    try:
        found, _ = _load()
        if found.study.study_name != name:
            raise UngrayError("params.yaml or the data changed while the search was starting; start it again")
        work(found, lambda: None)
    except KeyboardInterrupt:
        sys.exit(130)  # the search itself reports that it was interrupted


def _load() -> tuple[Search, str]:
    params, machine = load("tune", Params), load("machine", Machine)
    return prepare(params, load("train", TrainParams), machine, prepared=PREPARED)


def _no_arguments(tool: str, description: str, arguments: Sequence[str]) -> None:
    parser = Parser(prog=f"python -m stages.tune {tool}", description=description)
    parser.parse_args(arguments)


def main() -> None:
    """Run the command line."""
    tools = {"show": show, "apply": apply_best, "worker": worker}
    arguments = sys.argv[1:]
    if arguments and arguments[0] in tools:
        return run_command(lambda: tools[arguments[0]](arguments[1:]))
    run_command(lambda: search(arguments))


if __name__ == "__main__":
    main()

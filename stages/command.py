"""Runs a stage as a command: help, errors in one sentence, exit codes, timings."""

from __future__ import annotations

import json
import os
import pkgutil
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from ungray.system.console import run_command
from ungray.system.files import whole_file
from ungray.system.terminal import Parser

TIMINGS = Path("reports/timings.json")
"""How many seconds each stage took when it last ran here. No output of a stage: it differs in every run."""


def run_stage(
    name: str, main: Callable[[], None], *, doc: str | None, tools: Mapping[str, str] | None = None
) -> None:
    """Run the stage ``name`` as a command; ``--help`` prints ``doc``.

    If the first argument names one of ``tools``, which are sub-commands run by hand, that tool is called with
    the other arguments instead. A tool is written ``module:function`` and is imported when it is called for,
    because what it needs may take seconds to import. The stage's duration is written to :data:`TIMINGS`.
    """
    arguments = sys.argv[1:]
    if tools and arguments and arguments[0] in tools:
        return run_command(lambda: pkgutil.resolve_name(tools[arguments[0]])(arguments[1:]))
    Parser(prog=f"python -m stages.{name}", description=doc).parse_args()

    def timed() -> None:
        start = time.monotonic()
        main()
        if not _first_process():
            return
        timings = json.loads(TIMINGS.read_text()) if TIMINGS.exists() else {}
        with whole_file(TIMINGS) as partial:
            partial.write_text(
                json.dumps(timings | {name: round(time.monotonic() - start, 1)}, indent=2) + "\n"
            )

    run_command(timed)


def _first_process() -> bool:
    """Return whether this is the first of several processes (torchrun, Fabric, SLURM): only it writes."""
    ranks = ("RANK", "LOCAL_RANK", "NODE_RANK", "GROUP_RANK", "SLURM_PROCID")
    return all(os.environ.get(name, "0") == "0" for name in ranks)
